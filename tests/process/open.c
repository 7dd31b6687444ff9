/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <writewatch/process.h>

#include "child.h"
#include "leaks.h"

TestSuite(open, .init = leaks_begin, .fini = leaks_end);

#define NOBODY 65534

/* Whether it has a page from there on; or the error. */
static int look_from(struct ww_process *p, uint64_t start)
{
	struct ww_process_query q = {
		.size = sizeof(q), .start = start, .required = WW_PAGE_PRESENT, .max_pages = 1,
	};
	struct ww_page_range range;
	size_t count = 1;
	int r = ww_process_scan(p, &q, &range, &count);

	return r < 0 ? r : (int)count;
}

/* This process and its children have a stack here, above all that the sanitizers reserve. */
static int look(struct ww_process *p)
{
	char here;

	return look_from(p, (uintptr_t)&here & ~UINT64_C(0xffff));
}

static int try(pid_t pid)
{
	struct ww_process *p = (struct ww_process *)&p;
	int r = ww_process_open(&p, pid, 0);

	cr_assert_eq(r == 0, p != NULL, "a process exactly on success");
	if (r == 0)
		cr_assert_eq(look_from(p, 0), 1);
	ww_process_close(p);
	return r;
}

static int try_pidfd(int fd)
{
	struct ww_process *p = (struct ww_process *)&p;
	int r = ww_process_open_pidfd(&p, fd, 0);

	cr_assert_eq(r == 0, p != NULL, "a process exactly on success");
	if (r == 0)
		cr_assert_eq(look_from(p, 0), 1);
	ww_process_close(p);
	return r;
}

Test(open, itself_by_zero_by_number_and_by_descriptor)
{
	int fd = pidfd_of(getpid());

	cr_assert_eq(try(0), 0);
	cr_assert_eq(try(getpid()), 0);
	cr_assert_eq(try_pidfd(fd), 0);
	close(fd);
}

Test(open, a_child_by_number_and_by_descriptor)
{
	pid_t pid = child_start(NULL, NULL);
	struct ww_process *p;
	int fd = pidfd_of(pid);

	cr_assert_eq(try(pid), 0);
	cr_assert_eq(try_pidfd(fd), 0);
	cr_assert_eq(ww_process_open_pidfd(&p, fd, 0), 0);
	close(fd);
	cr_assert_eq(look(p), 1, "the descriptor was the caller's");
	ww_process_close(p);
	child_end(pid);
}

Test(open, what_is_no_argument)
{
	struct ww_process *p = (struct ww_process *)&p;
	int fd = open("/dev/null", O_RDONLY);

	cr_assert_eq(ww_process_open(NULL, 0, 0), -EINVAL);
	cr_assert_eq(ww_process_open_pidfd(NULL, fd, 0), -EINVAL);
	cr_assert_eq(ww_process_open(&p, 0, WW_PROCESS_READ_PAGEMAP << 1), -EINVAL);
	cr_assert_null(p);
	cr_assert_eq(try(-1), -EINVAL);
	cr_assert_eq(try_pidfd(fd), -EINVAL, "a file is no process");
	close(fd);
	cr_assert_eq(try_pidfd(fd), -EBADF);
	cr_assert_eq(try_pidfd(-1), -EBADF);
	ww_process_close(NULL);
	cr_assert_eq(ww_process_categories(NULL), 0);
}

Test(open, no_such_process)
{
	pid_t pid = child_start(NULL, NULL);
	int fd = pidfd_of(pid);

	child_end(pid);
	cr_assert_eq(try(pid), -ESRCH);
	cr_assert_eq(try_pidfd(fd), -ESRCH);
	cr_assert_eq(try(0x7fffffff), -ESRCH);
	close(fd);
}

/* A child with this number; -1 if it cannot be had. */
static pid_t child_numbered(pid_t wanted)
{
	char text[16];
	int length = snprintf(text, sizeof(text), "%d", wanted - 1);

	for (int tries = 0; tries < 100; tries++) {
		int fd = open("/proc/sys/kernel/ns_last_pid", O_WRONLY);
		bool set = fd >= 0 && write(fd, text, (size_t)length) == length;
		pid_t pid;

		close(fd);
		if (!set)
			return -1;
		pid = child_start(NULL, NULL);
		if (pid == wanted)
			return pid;
		child_end(pid);
	}
	return -1;
}

Test(open, a_number_that_went_to_another_process)
{
	struct ww_process *ways[2];
	pid_t pid = child_start(NULL, NULL);
	int fd = pidfd_of(pid), results[2], by_descriptor;

	for (unsigned flags = 0; flags <= WW_PROCESS_READ_PAGEMAP; flags++)
		cr_assert_eq(ww_process_open(&ways[flags], pid, flags), 0);
	child_end(pid);
	pid = child_numbered(pid);
	for (int i = 0; i < 2; i++) {
		results[i] = look(ways[i]);
		ww_process_close(ways[i]);
	}
	by_descriptor = try_pidfd(fd);
	close(fd);
	if (pid < 0)
		cr_skip_test("a process cannot be given a number that was in use");
	cr_assert_eq(try(pid), 0);
	child_end(pid);
	cr_assert(results[0] == -ESRCH && results[1] == -ESRCH);
	cr_assert_eq(by_descriptor, -ESRCH);
}

Test(open, a_zombie)
{
	pid_t pid = child_start(NULL, NULL);
	siginfo_t info;

	kill(pid, SIGKILL);
	cr_assert_eq(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	cr_assert_eq(try(pid), -ECHILD);
	child_end(pid);
}

Test(open, a_thread_of_the_kernel)
{
	char name[16] = "";
	int fd = open("/proc/2/comm", O_RDONLY);

	if (fd < 0 || read(fd, name, sizeof(name) - 1) <= 0 || strcmp(name, "kthreadd\n")) {
		close(fd);
		cr_skip_test("this /proc does not show the kernel's threads");
	}
	close(fd);
	cr_assert_eq(try(2), -ENXIO);
}

static int look_at_init(void *arg)
{
	struct ww_process *p;

	(void)arg;
	if (geteuid() == 0 && (setgid(NOBODY) || setuid(NOBODY)))
		return 255;
	return -ww_process_open(&p, 1, 0);
}

Test(open, another_users_process)
{
	cr_assert_eq(child_result(look_at_init, NULL), EACCES);
}

static int hidden_from_itself(void *arg)
{
	struct ww_process *p;

	(void)arg;
	if (geteuid() == 0 && (setgid(NOBODY) || setuid(NOBODY)))
		return 255;
	prctl(PR_SET_DUMPABLE, 0);
	return -ww_process_open(&p, 0, 0);
}

Test(open, a_process_that_is_not_dumpable_cannot_look_at_itself)
{
	cr_assert_eq(child_result(hidden_from_itself, NULL), EACCES);
}

static void *tell_number(void *arg)
{
	__atomic_store_n((int *)arg, (int)syscall(SYS_gettid), __ATOMIC_RELEASE);
	pause();
	return NULL;
}

/* A second thread of a child, whose number is told through shared memory. */
static void start_thread(void *arg)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, tell_number, arg))
		_exit(255);
	while (!__atomic_load_n((int *)arg, __ATOMIC_ACQUIRE))
		usleep(1000);
}

Test(open, a_thread_is_no_process)
{
	int *tid = mmap(NULL, sizeof(*tid), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
			0);
	pid_t pid = child_start(start_thread, tid);

	cr_assert_gt(*tid, pid);
	cr_assert_eq(try(*tid), -ESRCH);
	cr_assert_eq(try(pid), 0);
	child_end(pid);
	munmap(tid, sizeof(*tid));
}

Test(open, without_descriptors)
{
	struct rlimit old, few;
	int r[8], fd = dup(0);

	getrlimit(RLIMIT_NOFILE, &old);
	few = old;
	for (int i = 0; i < 8; i++) {
		few.rlim_cur = (rlim_t)(fd + i);
		setrlimit(RLIMIT_NOFILE, &few);
		r[i] = try(0);
	}
	setrlimit(RLIMIT_NOFILE, &old);
	close(fd);
	cr_assert_eq(r[0], -EMFILE);
	cr_assert_eq(r[7], 0);
	for (int i = 0; i < 8; i++)
		cr_assert(r[i] == 0 || r[i] == -EMFILE, "%d: %d", i, r[i]);
}

static void expect_gone(struct ww_process *p, int error)
{
	cr_assert_eq(look(p), error, "%d", look(p));
	cr_assert_eq(look(p), error);
	ww_process_close(p);
}

/* Closes what is not in @others and marks it in @closed; counts it. */
static int close_others(const bool *others, bool *closed)
{
	int n = 0;

	for (int fd = 3; fd < 100; fd++) {
		closed[fd] = !others[fd] && close(fd) == 0;
		n += closed[fd];
	}
	return n;
}

static void list_open(bool *fds)
{
	for (int fd = 0; fd < 100; fd++)
		fds[fd] = fcntl(fd, F_GETFD) >= 0;
}

/* Both ways to look, of which the flag forces one. */
Test(open, a_process_that_ends_is_noticed)
{
	for (unsigned flags = 0; flags <= WW_PROCESS_READ_PAGEMAP; flags++) {
		pid_t pid = child_start(NULL, NULL);
		struct ww_process *p;
		siginfo_t info;

		cr_assert_eq(ww_process_open(&p, pid, flags), 0);
		cr_assert_eq(look(p), 1);
		kill(pid, SIGKILL);
		cr_assert_eq(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
		cr_assert_eq(look(p), -ESRCH, "a zombie");
		child_end(pid);
		expect_gone(p, -ESRCH);
	}
}

static void exec_when_told(void *arg)
{
	int *ends = arg;
	char c;

	if (read(ends[0], &c, 1) == 1)
		execl("/bin/sleep", "sleep", "100", (char *)NULL);
	_exit(255);
}

static bool runs_sleep(pid_t pid)
{
	char path[64], name[16] = "";
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	fd = open(path, O_RDONLY);
	if (fd >= 0 && read(fd, name, sizeof(name) - 1) < 0)
		name[0] = '\0';
	close(fd);
	return strcmp(name, "sleep\n") == 0;
}

Test(open, a_process_that_calls_execve_is_noticed)
{
	for (unsigned flags = 0; flags <= WW_PROCESS_READ_PAGEMAP; flags++) {
		struct ww_process *p;
		int ends[2];
		pid_t pid;

		cr_assert_eq(pipe(ends), 0);
		pid = child_start_then(NULL, exec_when_told, ends);
		cr_assert_eq(ww_process_open(&p, pid, flags), 0);
		cr_assert_eq(look(p), 1);
		cr_assert_eq(write(ends[1], "", 1), 1);
		for (int i = 0; i < 1000 && !runs_sleep(pid); i++)
			usleep(10000);
		expect_gone(p, -ESTALE);
		cr_assert_eq(try(pid), 0, "it can be opened again");
		child_end(pid);
		close(ends[0]);
		close(ends[1]);
	}
}

Test(open, a_descriptor_that_the_program_closed_is_noticed)
{
	for (unsigned flags = 0; flags <= WW_PROCESS_READ_PAGEMAP; flags++) {
		bool others[100], ours[100];
		struct ww_process *p;
		int other;

		list_open(others);
		cr_assert_eq(ww_process_open(&p, 0, flags), 0);
		cr_assert_eq(close_others(others, ours), 3);
		cr_assert_eq(look(p), -EBADF);
		other = open("/dev/zero", O_RDONLY);
		cr_assert(dup(other) >= 0 && dup(other) >= 0);
		cr_assert_eq(look(p), -EBADF, "other files by their numbers");
		ww_process_close(p);
		for (int fd = 3; fd < 100; fd++)
			cr_assert(!ours[fd] || close(fd) == 0, "they were not closed");
	}
}

static int child_looks_at_parent(void *arg)
{
	struct ww_process *p = arg;
	struct ww_process_query q = {.size = sizeof(q), .required = WW_PAGE_PRESENT};
	static char page[3 * 4096];
	struct ww_page_range range;
	size_t count = 1;

	q.start = ((uintptr_t)page + 4095) & ~UINT64_C(4095);
	q.end = q.start + 4096;
	*(volatile char *)(uintptr_t)q.start = 1;
	if (ww_process_scan(p, &q, &range, &count) < 0)
		return 255;
	ww_process_close(p);
	return (int)count;
}

Test(open, what_is_inherited_speaks_of_the_parent)
{
	struct ww_process *p;

	cr_assert_eq(ww_process_open(&p, 0, 0), 0);
	cr_assert_eq(child_result(child_looks_at_parent, p), 0, "the child wrote its own page");
	ww_process_close(p);
}
