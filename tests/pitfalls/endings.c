/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "backends.h"
#include "context.h"
#include "faulting.h"
#include "pages.h"
#include "sys.h"

/* Watching ends while a thread's fault is under way, or where what it takes is not to be had. */

#define WRITERS 3

static void begin(void)
{
	backend_begin();
	signal(SIGSEGV, SIG_DFL);
	signal(SIGBUS, SIG_DFL);
	memory = map_private(ALL);
}

static void end(void)
{
	unmap(memory, ALL);
}

TestSuite(endings, .init = begin, .fini = end, .timeout = 60);

static atomic_bool stop;

static void *write_all(void *arg)
{
	while (!stop)
		for (size_t i = 0; i < PAGES; i++)
			page_write(memory + i * PAGE + 8 * (1 + *(size_t *)arg), i);
	return NULL;
}

static void watch_for_a_moment(uint64_t flags)
{
	struct ww_options options = {.size = sizeof(options), .flags = flags};

	if (ww_new(&w, &options) != 0 || ww_watch(w, memory, ALL, 0) != 0 ||
	    ww_unwatch(w, memory, ALL) != 0)
		_exit(2);
	ww_free(w);
}

static void end_again_and_again(uint64_t flags)
{
	const time_t until = time(NULL) + 3;
	size_t numbers[WRITERS];
	pthread_t threads[WRITERS];

	for (size_t i = 0; i < WRITERS; i++) {
		numbers[i] = i;
		if (pthread_create(&threads[i], NULL, write_all, &numbers[i]) != 0)
			_exit(3);
	}
	for (int i = 0; i < 10 || (i < 2000 && time(NULL) < until); i++)
		watch_for_a_moment(flags);
	stop = true;
	for (size_t i = 0; i < WRITERS; i++)
		pthread_join(threads[i], NULL);
}

static void with_our_handler(void)
{
	end_again_and_again(0);
}

/* The signal of a fault may reach its thread long after nothing is watched any more. */
Test(endings, leave_writers_alive)
{
	int result = run_child(with_our_handler);

	cr_assert_eq(result, 0, "%d", result);
}

static void *ask_about_one(void *arg)
{
	(void)arg;
	return ww_handle_fault(memory + PAGE) ? memory : NULL;
}

static volatile int foreign;

static void ask(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)context;
	foreign += !ww_handle_fault(info->si_addr);
}

static void with_the_programs_handler(void)
{
	handle(SIGSEGV, ask, 0);
	handle(SIGBUS, ask, 0);
	end_again_and_again(WW_NO_HANDLER);
	_exit(foreign ? 10 : 0);
}

/* It is told of none of them that it is not the library's. */
Test(endings, are_known_to_a_program_that_asks)
{
	pthread_t thread;
	void *answer;
	int result = run_child(with_the_programs_handler);

	cr_assert_eq(result, 0, "%d", result);
	/* Once, for each thread; then it is nobody's. */
	watch_for_a_moment(WW_NO_HANDLER);
	if (backend()->guarantees & WW_NO_SIGNAL_HANDLER)
		return;
	cr_assert_eq(pthread_create(&thread, NULL, ask_about_one, NULL), 0);
	pthread_join(thread, &answer);
	cr_assert_eq(answer, memory);
	cr_assert_eq(ww_handle_fault(memory + PAGE), 1);
	cr_assert_eq(ww_handle_fault(memory + PAGE), 0);
}

static void without_descriptors(void)
{
	const struct rlimit none = {3, 3};

	setrlimit(RLIMIT_NOFILE, &none);
	ww_free(w);
	for (size_t i = 0; i < PAGES; i++)
		page_write(memory + i * PAGE, 1);
}

static void without_the_parents(void)
{
	for (int fd = 3; fd < 64; fd++)
		close(fd);
	without_descriptors();
}

static void with_a_hole(void)
{
	for (int fd = 3; fd < 64; fd++)
		close(fd);
	if (munmap(memory + 5 * PAGE, PAGE) != 0)
		_exit(2);
	ww_free(w);
	for (size_t i = 0; i < PAGES; i++)
		if (i != 5)
			page_write(memory + i * PAGE, 1);
}

/* A child that shut itself in lets go of what it inherited as well. */
Test(endings, need_no_descriptors)
{
	cr_assert_eq(ww_new(&w, NULL), 0);
	cr_assert_eq(ww_watch(w, memory, ALL, 0), 0);
	cr_assert_eq(run_child(without_descriptors), 0);
	cr_assert_eq(run_child(without_the_parents), 0);
	cr_assert_eq(run_child(with_a_hole), 0);
	ww_free(w);
}

#define NO_FILTER 77

static const int *denied;

/* For the library's threads as well. */
static void deny(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)denied[0], 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)denied[1], 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof(code) / sizeof(*code), code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) != 0)
		_exit(NO_FILTER);
}

/* Everything was written, which a call reports; or it fails. */
static void expect_all_or_error(void)
{
	void *pages[PAGES];
	size_t count = PAGES;

	if (ww_get(w, memory, ALL, 0, pages, &count) == 0 && count != PAGES)
		_exit(4);
}

static void write_denied(void)
{
	if (ww_new(&w, NULL) != 0 || ww_watch(w, memory, ALL, 0) != 0)
		_exit(2);
	deny();
	for (size_t i = 0; i < PAGES; i++)
		page_write(memory + i * PAGE, 1);
	for (int i = 0; i < 3; i++)
		expect_all_or_error();
}

/* A program that shuts itself in goes on, whatever of the library's it denies. */
Test(endings, by_a_filter_of_system_calls_leave_writers_alive)
{
	static const int calls[][2] = {
#ifdef SYS_newfstatat
		{SYS_fstat, SYS_newfstatat},
#endif
		{SYS_ioctl, SYS_ioctl},
		{SYS_read, SYS_read},
		{SYS_pread64, SYS_pread64},
		{SYS_ppoll, SYS_ppoll},
		{SYS_madvise, SYS_madvise},
	};

	/* What can have an end, before which its faults look alike. */
	if (except(NO_SHARED)) {
		left_out("shared memory", NO_SHARED);
	} else {
		unmap(memory, ALL);
		memory = mmap(NULL, ALL, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		cr_assert_neq(memory, MAP_FAILED);
	}
	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
		int result;

		denied = calls[i];
		result = run_child(write_denied);
		if (result == NO_FILTER)
			cr_skip_test("filters of system calls cannot be installed here");
		cr_expect_eq(result, 0, "without call %d: %d", denied[0], result);
	}
}

static const char *closes;
static struct sigaction below[NSIG];

/* All descriptors, or those of one file in /proc. */
static void close_some(void)
{
	for (int fd = 3; fd < 64; fd++) {
		char link[64], path[256] = "";

		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		if (readlink(link, path, sizeof(path) - 1) > 0 && strstr(path, closes))
			close(fd);
	}
}

/* Between a fault and what the library does about it. */
static void close_and_pass(int number, siginfo_t *info, void *context)
{
	close_some();
	below[number].sa_sigaction(number, info, context);
}

static void close_in_handlers(void)
{
	static const int numbers[] = {SIGSEGV, SIGBUS};
	struct sigaction action = {
		.sa_sigaction = close_and_pass,
		.sa_flags = SA_SIGINFO | SA_ONSTACK,
	};

	sigfillset(&action.sa_mask);
	for (size_t i = 0; i < 2; i++)
		if (sigaction(numbers[i], &action, &below[numbers[i]]) != 0)
			_exit(2);
}

static bool expected;

static void jump_if_expected(int number, siginfo_t *info, void *context)
{
	if (!expected)
		_exit(5);
	jump_info(number, info, context);
}

/* Until there was one, any fault may belong to a context that has ended. */
static void cause_own_faults(void)
{
	expected = true;
	if (try_write(bad_address(SIGSEGV)) || try_write(bad_address(SIGBUS)))
		_exit(6);
	expected = false;
}

static void write_closed(void)
{
	void *pages[PAGES];
	size_t count = PAGES;
	int r = -1;

	handle(SIGSEGV, jump_if_expected, 0);
	handle(SIGBUS, jump_if_expected, 0);
	if (ww_new(&w, NULL) != 0 || ww_watch(w, memory, ALL, 0) != 0)
		_exit(2);
	cause_own_faults();
	close_in_handlers();
	page_write(memory + PAGE, 1);
	close_some();
	for (size_t i = 0; i < PAGES; i += 2)
		page_write(memory + i * PAGE, 1);
	/* It looks as if it had been remapped, until that is found out. */
	for (int tries = 0; r != 0 && tries < 3; tries++) {
		r = ww_get(w, memory, ALL, 0, pages, &count);
		if (r == -ESTALE && ww_watch(w, memory, ALL, 0) != 0)
			_exit(4);
	}
	if (r != 0 || count < PAGES / 2 + 1)
		_exit(3);
}

/* Whatever a program closes that it did not open, and when. */
Test(endings, by_closed_descriptors_lose_nothing)
{
	static const char *const some[] = {"", "pagemap", "userfaultfd", "maps", "pipe:"};

	if (except(NO_SHARED))
		left_out("shared memory", NO_SHARED);
	for (int shared = 0; shared < 2 - !!except(NO_SHARED); shared++) {
		for (size_t i = 0; i < sizeof(some) / sizeof(*some); i++) {
			int result;

			closes = some[i];
			result = run_child(write_closed);
			cr_expect_eq(result, 0, "\"%s\", shared %d: %d", closes, shared, result);
		}
		unmap(memory, ALL);
		memory = mmap(NULL, ALL, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		cr_assert_neq(memory, MAP_FAILED);
	}
}

#define MANY_POLLS 1000

static atomic_int polls;

int __real_sys_poll(int a, int b, int timeout_ms);
int __wrap_sys_poll(int a, int b, int timeout_ms);

int __wrap_sys_poll(int a, int b, int timeout_ms)
{
	polls++;
	return __real_sys_poll(a, b, timeout_ms);
}

static void expect_rest(void)
{
	polls = 0;
	for (int ms = 0; ms < 200 && polls < MANY_POLLS; ms++)
		usleep(1000);
	if (polls >= MANY_POLLS)
		_exit(3);
}

static void no_descriptors_at_all(void)
{
	const struct rlimit none = {0, 0};

	watch_memory(0);
	setrlimit(RLIMIT_NOFILE, &none);
	for (size_t i = 0; i < PAGES; i++)
		page_write(memory + i * PAGE, 1);
	expect_rest();
}

static void nobody_to_ring(void)
{
	watch_memory(0);
	close(w->stop.fd);
	expect_rest();
	expect_watched();
}

/* What handles faults waits for them, whatever became of what it waits by. */
Test(endings, leave_no_thread_that_never_rests)
{
	cr_expect_eq(run_child(no_descriptors_at_all), 0);
	cr_expect_eq(run_child(nobody_to_ring), 0);
}
