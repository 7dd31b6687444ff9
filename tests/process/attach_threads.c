/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <liburing.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attached.h"
#include "child.h"
#include "leaks.h"

/* Which thread of a process is stopped, where not every one could be. */

static void begin(void)
{
	attach_begin();
	leaks_begin();
}

TestSuite(threads, .init = begin, .fini = leaks_end_threads);

/* A parent waits for its child in vfork() without being interruptible, as others for a disk. */
static _Noreturn void wait_in_vfork(unsigned us)
{
	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		if (vfork())
			continue;
		while (!us)
			pause();
		usleep(us);
		_exit(0);
	}
}

static pid_t start(void (*body)(void))
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		setpgid(0, 0);
		body();
	}
	setpgid(pid, pid);
	wait_for_state(pid, 'D');
	return pid;
}

static void end(pid_t pid)
{
	kill(-pid, SIGKILL);
	cr_assert_eq(waitpid(pid, NULL, 0), pid);
}

static void block_for_moments(void)
{
	wait_in_vfork(20000);
}

Test(threads, that_are_blocked_for_a_moment_are_waited_for)
{
	pid_t pid = start(block_for_moments);

	for (int i = 0; i < 5; i++) {
		struct ww_attachment info;

		wait_for_state(pid, 'D');
		cr_assert_eq(attach_result(pid, &info), 0, "%s", info.reason);
	}
	end(pid);
}

static void *wait_idly(void *arg)
{
	for (;;)
		pause();
	return arg;
}

/* A worker of the kernel reads, and is listed before the thread that could be stopped. */
static void read_by_worker(void)
{
	static char byte;
	struct io_uring ring;
	struct io_uring_sqe *sqe;
	pthread_t thread;
	int ends[2];

	if (io_uring_queue_init(4, &ring, 0) < 0 || pipe(ends) < 0)
		_exit(77);
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_read(sqe, ends[0], &byte, 1, 0);
	io_uring_sqe_set_flags(sqe, IOSQE_ASYNC);
	io_uring_submit(&ring);
	usleep(50000);
	pthread_create(&thread, NULL, wait_idly, NULL);
	wait_in_vfork(0);
}

Test(threads, of_the_kernel_are_left_alone)
{
	struct io_uring ring;
	struct ww_attachment info;
	pid_t pid;
	int r = io_uring_queue_init(4, &ring, 0);

	if (r < 0)
		cr_skip("io_uring is not to be had: %d", r);
	io_uring_queue_exit(&ring);
	pid = start(read_by_worker);
	for (int i = 0; i < 3; i++)
		cr_assert_eq(attach_result(pid, &info), 0, "%s", info.reason);
	end(pid);
}
