/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "attached.h"
#include "child.h"
#include "leaks.h"
#include "pages.h"
#include "random.h"
#include "selfcheck.h"

/* Processes at work while they are attached to: nothing they do changes, and nothing is missed. */

#define PAGES 1024
#define THREADS 3

static void begin(void)
{
	attach_begin();
	leaks_begin();
}

TestSuite(undisturbed, .init = begin, .fini = leaks_end_threads, .timeout = 120);

Test(undisturbed, waits_and_registers)
{
	const int turns = in_a_hurry() ? 10 : 50;
	struct selfcheck *self;

	if (!selfcheck_possible())
		cr_skip("the registers that are checked are those of x86-64 with AVX2");
	self = map_common(sizeof(*self));
	for (int way = 0; way < SELFCHECK_WAYS; way++) {
		struct ww_attachment info;
		pid_t pid;

		*self = (struct selfcheck){.way = way};
		pid = fork();
		if (pid == 0)
			selfcheck_run(self);
		selfcheck_await(self);
		for (int i = 0; i < turns; i++)
			cr_assert_eq(attach_result(pid, &info), 0);
		selfcheck_await(self);
		cr_assert_eq(self->eintr, 0, "way %d", way);
		child_end(pid);
	}
	munmap(self, sizeof(*self));
}

static volatile unsigned *counted;

static void count_signal(int signal)
{
	(void)signal;
	++*counted;
}

static void count_signals(void *arg)
{
	struct sigaction action = {.sa_handler = count_signal};

	(void)arg;
	sigaction(SIGRTMIN, &action, NULL);
}

Test(undisturbed, each_signal_arrives_once)
{
	const unsigned signals = 2000;
	struct ww_process *p;
	unsigned turns = 0;
	union sigval value = {.sival_int = 0};
	pid_t pid, sender;
	int status;

	counted = map_common(sizeof(*counted));
	pid = child_start(count_signals, NULL);
	cr_assert_eq(ww_process_open(&p, pid, 0), 0);
	sender = fork();
	if (sender == 0) {
		for (unsigned i = 0; i < signals; i++) {
			while (sigqueue(pid, SIGRTMIN, value) < 0)
				usleep(100);
			usleep(50);
		}
		_exit(0);
	}
	while (waitpid(sender, &status, WNOHANG) == 0) {
		cr_assert_eq(ww_process_attach(p, 0), 0);
		cr_assert_eq(ww_process_detach(p), 0);
		turns++;
	}
	for (int i = 0; i < 1000 && *counted < signals; i++)
		usleep(1000);
	fprintf(stderr, "# %u signals, %u times attached\n", *counted, turns);
	cr_assert_eq(*counted, signals);
	ww_process_close(p);
	child_end(pid);
	munmap((void *)(uintptr_t)counted, sizeof(*counted));
}

static char *shared_pages;

static void *write_pages(void *arg)
{
	struct rng rng = {(uintptr_t)arg};

	for (;;) {
		char *page = shared_pages + rng_below(&rng, PAGES) * page_bytes();

		__atomic_add_fetch(page + rng_below(&rng, page_bytes()), 1, __ATOMIC_RELAXED);
		if (rng_one_in(&rng, 50))
			usleep(20);
	}
	return NULL;
}

static void write_by_threads(void *arg)
{
	for (uintptr_t i = 0; i < THREADS; i++) {
		pthread_t thread;

		(void)arg;
		pthread_create(&thread, NULL, write_pages, (void *)(i + 1));
	}
}

static void copy_memory(pid_t pid, char *to)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	cr_assert_eq(pread(fd, to, PAGES * page_bytes(), (off_t)(uintptr_t)shared_pages),
		     (ssize_t)(PAGES * page_bytes()));
	close(fd);
}

static void set_stopped(pid_t pid, bool stopped)
{
	int status;

	kill(pid, stopped ? SIGSTOP : SIGCONT);
	if (stopped)
		cr_assert_eq(waitpid(pid, &status, WUNTRACED), pid);
}

Test(undisturbed, what_threads_write_is_told)
{
	const size_t page = page_bytes(), bytes = PAGES * page;
	char *before = malloc(bytes), *after = malloc(bytes);
	size_t changed = 0, told = 0;
	struct ww_process *p;
	pid_t pid;

	shared_pages = map_private(bytes);
	madvise(shared_pages, bytes, MADV_NOHUGEPAGE);
	pid = child_start(write_by_threads, NULL);
	p = attach_to(pid);
	set_stopped(pid, true);
	take_written(p, shared_pages, bytes);
	copy_memory(pid, before);
	for (int round = 0; round < 20; round++) {
		set_stopped(pid, false);
		usleep(2000);
		set_stopped(pid, true);
		copy_memory(pid, after);
		for (size_t i = 0; i < PAGES; i++) {
			bool differs = memcmp(before + i * page, after + i * page, page) != 0;
			bool is = is_written(p, shared_pages + i * page, WW_RESET);

			changed += differs;
			told += is;
			cr_assert(is || !differs, "page %zu", i);
		}
		memcpy(before, after, bytes);
	}
	fprintf(stderr, "# %zu pages changed, %zu were told\n", changed, told);
	cr_assert_gt(changed, 0);
	ww_process_close(p);
	child_end(pid);
	unmap(shared_pages, bytes);
	free(before);
	free(after);
}

static ucontext_t inside;
static char *heap;

static void wait_on_small_stack(void)
{
	for (;;)
		pause();
}

static void run_on_small_stack(void *arg)
{
	int ready = *(int *)arg;

	getcontext(&inside);
	inside.uc_stack.ss_sp = heap + 16 * page_bytes();
	inside.uc_stack.ss_size = 2048;
	inside.uc_link = NULL;
	makecontext(&inside, wait_on_small_stack, 0);
	cr_assert_eq(write(ready, "", 1), 1);
	setcontext(&inside);
}

static void expect_unwritten_below(void)
{
	const size_t page = page_bytes();
	char *before = malloc(16 * page);
	struct ww_attachment info;
	int ready[2];
	pid_t pid;
	char c;

	cr_assert_eq(pipe(ready), 0);
	pid = fork();
	if (pid == 0)
		run_on_small_stack(&ready[1]);
	cr_assert_eq(read(ready[0], &c, 1), 1);
	wait_for_state(pid, 'S');
	memcpy(before, heap, 16 * page);
	for (int i = 0; i < 10; i++) {
		cr_assert_eq(attach_result(pid, &info), 0);
		cr_assert_not(info.self_healing);
		wait_for_state(pid, 'S');
	}
	cr_assert_eq(memcmp(before, heap, 16 * page), 0);
	free(before);
	close(ready[0]);
	close(ready[1]);
	child_end(pid);
}

Test(undisturbed, small_stacks_are_not_written_below)
{
	heap = map_common(64 * page_bytes());
	expect_unwritten_below();
	munmap(heap, 64 * page_bytes());
}

/* The heaps of threads begin behind memory that cannot be accessed, as their stacks do. */
Test(undisturbed, nor_are_those_on_a_heap_with_a_guard)
{
	const size_t page = page_bytes();
	char *guard = map_reserve(66 * page, page);

	heap = guard + page;
	cr_assert_eq(mprotect(heap, 64 * page, PROT_READ | PROT_WRITE), 0);
	expect_unwritten_below();
	unmap(guard, 66 * page);
}

static unsigned taken;

static void take_all(int signal)
{
	const int error = errno;

	(void)signal;
	while (waitpid(-1, NULL, WNOHANG) > 0)
		taken++;
	errno = error;
}

Test(undisturbed, by_who_takes_what_is_told_of_children)
{
	struct sigaction action = {.sa_handler = take_all}, before;
	struct ww_attachment info;
	pid_t pid = child_start(NULL, NULL);

	sigaction(SIGCHLD, &action, &before);
	for (int i = 0; i < 50; i++)
		cr_assert_eq(attach_result(pid, &info), 0, "%s", info.reason);
	sigaction(SIGCHLD, &before, NULL);
	fprintf(stderr, "# %u stops were taken\n", taken);
	child_end(pid);
}

static void *come_and_go(void *arg)
{
	return arg;
}

static void threads_come_and_go(void *arg)
{
	for (;;) {
		pthread_t threads[4];

		for (int i = 0; i < 4; i++)
			pthread_create(&threads[i], NULL, come_and_go, arg);
		for (int i = 0; i < 4; i++)
			pthread_join(threads[i], NULL);
	}
}

Test(undisturbed, or_ended_meanwhile)
{
	for (int i = 0; i < 60; i++) {
		struct ww_attachment info;
		pid_t pid = fork(), killer;
		int r;

		if (pid == 0)
			threads_come_and_go(NULL);
		killer = fork();
		if (killer == 0) {
			usleep((useconds_t)(i * 100));
			_exit(kill(pid, SIGKILL));
		}
		for (r = 0; r == 0;)
			r = attach_result(pid, &info);
		cr_assert(r == -ESRCH || r == -ECHILD, "%d: %s", r, info.reason);
		cr_assert_eq(waitpid(killer, NULL, 0), killer);
		cr_assert_eq(waitpid(pid, NULL, 0), pid);
	}
}

Test(undisturbed, or_with_another_program_meanwhile)
{
	const int programs = in_a_hurry() ? 20 : 60;

	for (int i = 0; i < programs; i++) {
		pid_t pid = fork();
		struct ww_attachment info;

		if (pid == 0) {
			usleep((useconds_t)(i * 50));
			execl("/bin/sleep", "sleep", "100", NULL);
			_exit(1);
		}
		for (int turns = 0; turns < 5; turns++) {
			int r = attach_result(pid, &info);

			cr_assert(r == 0 || r == -EAGAIN || r == -ESTALE || r == -ESRCH,
				  "%d: %s", r, info.reason);
		}
		cr_assert_eq(waitpid(pid, NULL, WNOHANG), 0, "it goes on");
		child_end(pid);
	}
}
