/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backends.h"
#include "checkers.h"
#include "faulting.h"
#include "pages.h"
#include "random.h"

/* Where faults happen, and whose they are: watched memory that the program keeps from being used. */

static void begin(void)
{
	backend_begin();
	/* An endless loop is what is wrong most easily. */
	alarm(60);
	handle(SIGSEGV, jump_info, SA_ONSTACK);
	handle(SIGBUS, jump_info, SA_ONSTACK);
}

TestSuite(faults, .init = begin);

static size_t count_written(void)
{
	size_t count = 0;

	cr_assert_eq(ww_get(w, memory, ALL, 0, NULL, &count), 0);
	return count;
}

static void expect_refused(char *at, bool readable)
{
	seen.calls = 0;
	cr_assert_not(try_write(at));
	cr_assert_eq(seen.calls, 1);
	cr_assert_eq(seen.number, SIGSEGV);
	cr_assert_eq(seen.code, SEGV_ACCERR);
	cr_assert_eq(seen.addr, at);
	cr_assert_eq(try_read(at), readable);
}

static void keep_from(char *page, int prot)
{
	cr_assert_eq(protect(w, page, PAGE, prot), 0);
	for (int i = 0; i < 3; i++)
		expect_refused(page + 8, prot & PROT_READ);
	page[-PAGE]++;
	page[PAGE]++;
	cr_assert_eq(count_written(), 2);
	cr_assert_eq(ww_reset(w, memory, ALL), 0);
	for (int i = 0; i < 3; i++)
		expect_refused(page + 8, prot & PROT_READ);
	cr_assert_eq(count_written(), 0);
	cr_assert_eq(protect(w, page, PAGE, PROT_READ | PROT_WRITE), 0);
	cr_assert_eq(count_written(), 0);
	page[0]++;
	cr_assert_eq(count_written(), 1);
	expect_watched();
}

Test(faults, a_guard_page_in_watched_memory_is_the_programs)
{
	watch_memory(0);
	keep_from(memory + 5 * PAGE, PROT_NONE);
	keep_from(memory + 5 * PAGE, PROT_READ);
	keep_from(memory + 6 * PAGE, PROT_NONE);
	unwatch_memory();
}

/* A page that was written, then protected, was written still. */
Test(faults, protecting_written_pages_hides_none)
{
	watch_memory(0);
	memory[3 * PAGE]++;
	cr_assert_eq(protect(w, memory, ALL, PROT_NONE), 0);
	cr_assert_eq(count_written(), 1);
	cr_assert_eq(ww_reset(w, memory, ALL), 0);
	expect_refused(memory + 3 * PAGE, false);
	cr_assert_eq(protect(w, memory, ALL, PROT_READ), 0);
	expect_refused(memory + 3 * PAGE, true);
	cr_assert_eq(count_written(), 0);
	cr_assert_eq(protect(w, memory, ALL, PROT_READ | PROT_WRITE), 0);
	expect_watched();
	unwatch_memory();
}

static void from_the_beginning(int prot)
{
	cr_assert_eq(ww_new(&w, NULL), 0);
	memory = map_private(ALL);
	cr_assert_eq(mprotect(memory, ALL, prot), 0);
	cr_assert_eq(ww_watch(w, memory, ALL, 0), 0);
	cr_assert_eq(count_written(), 0);
	expect_refused(memory + 9 * PAGE, prot & PROT_READ);
	cr_assert_eq(count_written(), 0);
	cr_assert_eq(ww_mark(w, memory + 9 * PAGE, PAGE), 0);
	expect_refused(memory + 9 * PAGE, prot & PROT_READ);
	cr_assert_eq(protect(w, memory, ALL, PROT_READ | PROT_WRITE), 0);
	cr_assert_eq(count_written(), 1);
	expect_watched();
	/* The protection is the program's own when the watch ends. */
	cr_assert_eq(protect(w, memory, ALL, prot), 0);
	cr_assert_eq(ww_unwatch(w, memory, ALL), 0);
	expect_refused(memory + 9 * PAGE, prot & PROT_READ);
	unwatch_memory();
}

Test(faults, memory_may_be_inaccessible_from_the_beginning)
{
	from_the_beginning(PROT_NONE);
}

Test(faults, memory_may_be_read_only_from_the_beginning)
{
	from_the_beginning(PROT_READ);
}

/* Run for a fault of the program's, on whatever signals are blocked meanwhile. */
static void write_in_handler(int number, siginfo_t *info, void *context)
{
	for (int i = 1; i < PAGES; i += 7)
		memory[i * PAGE]++;
	jump_info(number, info, context);
}

/* Whether it is the library that calls the program's handler, and sees to it that faults can be. */
static bool called_by_library(int number)
{
	struct sigaction now;

	sigaction(number, NULL, &now);
	return now.sa_sigaction != write_in_handler;
}

static void expect_handler_writes(int number, int flags, bool block_all)
{
	struct sigaction action = {.sa_sigaction = write_in_handler, .sa_flags = flags};

	if (block_all)
		sigfillset(&action.sa_mask);
	cr_assert_eq(sigaction(number, &action, NULL), 0);
	watch_memory(0);
	if ((block_all || thread_sanitizer) && except(NO_BLOCKED) && !called_by_library(number)) {
		left_out("a handler that has all signals blocked", NO_BLOCKED);
		unwatch_memory();
		return;
	}
	for (int i = 0; i < 3; i++) {
		cr_assert_not(try_write(bad_address(number)));
		cr_assert_eq(seen.number, number);
		cr_assert_eq(count_written(), PAGES / 7);
		expect_watched();
	}
	unwatch_memory();
}

Test(faults, the_programs_handler_may_write_to_watched_memory)
{
	static const int flags[] = {SA_SIGINFO, SA_SIGINFO | SA_NODEFER, SA_SIGINFO | SA_ONSTACK};

	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++) {
		for (int block = 0; block <= 1; block++) {
			expect_handler_writes(SIGSEGV, flags[i], block);
			expect_handler_writes(SIGBUS, flags[i], block);
		}
	}
}

static void write_on_stack(int number)
{
	unblock_faults();
	seen.number = number;
	for (int i = 1; i < PAGES; i += 7)
		memory[i * PAGE]++;
}

Test(faults, on_an_alternate_stack)
{
	struct sigaction action = {.sa_handler = write_on_stack, .sa_flags = SA_ONSTACK};
	stack_t stack = {.ss_size = 64 << 10, .ss_sp = map_private(64 << 10)};

	cr_assert_eq(sigaltstack(&stack, NULL), 0);
	cr_assert_eq(sigaction(SIGUSR1, &action, NULL), 0);
	watch_memory(0);
	for (int i = 0; i < 3; i++) {
		raise(SIGUSR1);
		cr_assert_eq(seen.number, SIGUSR1);
		cr_assert_eq(count_written(), PAGES / 7);
		expect_watched();
		/* The program's own, on the same stack. */
		cr_assert_not(try_write(bad_address(SIGSEGV)));
	}
	unwatch_memory();
	stack.ss_flags = SS_DISABLE;
	cr_assert_eq(sigaltstack(&stack, NULL), 0);
}

/* What a runtime does that turns the end of a stack into an error. */
static int overrun(volatile char *outer, size_t depth)
{
	volatile char frame[1024];

	frame[0] = outer[0];
	return depth ? overrun(frame, depth - 1) + frame[0] : 0;
}

static sigjmp_buf overran;

static void on_overrun(int number, siginfo_t *info, void *context)
{
	(void)info;
	(void)context;
	seen.calls++;
	seen.number = number;
	siglongjmp(overran, 1);
}

static void *run_out_of_stack(void *arg)
{
	volatile char outermost = 0;
	stack_t stack = {.ss_size = 64 << 10, .ss_sp = map_private(64 << 10)};

	sigaltstack(&stack, NULL);
	if (sigsetjmp(overran, 1) == 0)
		overrun(&outermost, SIZE_MAX);
	memory[2 * PAGE]++;
	stack.ss_flags = SS_DISABLE;
	sigaltstack(&stack, NULL);
	return arg;
}

Test(faults, the_end_of_a_stack_is_the_programs)
{
	pthread_t thread;

	handle(SIGSEGV, on_overrun, SA_ONSTACK);
	watch_memory(0);
	for (int i = 1; i <= 2; i++) {
		cr_assert_eq(pthread_create(&thread, NULL, run_out_of_stack, NULL), 0);
		pthread_join(thread, NULL);
		cr_assert(seen.calls == i && seen.number == SIGSEGV);
		cr_assert_eq(count_written(), 1);
		cr_assert_eq(ww_reset(w, memory, ALL), 0);
	}
	unwatch_memory();
}

Test(faults, behind_the_end_of_a_watched_file_they_are_the_programs)
{
	int fd = memfd_of(4 * PAGE);
	size_t count = 0;
	char *p = map_fd(NULL, 8 * PAGE, except(NO_SHARED) ? MAP_PRIVATE : MAP_SHARED, fd, 0);

	cr_assert_eq(ww_new(&w, NULL), 0);
	cr_assert_eq(ww_watch(w, p, 8 * PAGE, 0), 0);
	for (int i = 0; i < 3; i++) {
		seen.calls = 0;
		cr_assert_not(try_write(p + 6 * PAGE + 1));
		cr_assert_eq(seen.calls, 1);
		cr_assert_eq(seen.number, SIGBUS);
		cr_assert_eq(seen.addr, p + 6 * PAGE + 1);
		cr_assert_not(try_read(p + 5 * PAGE));
		p[2 * PAGE]++;
	}
	cr_assert_eq(ww_reset(w, p, 8 * PAGE), 0);
	cr_assert_not(try_write(p + 6 * PAGE));
	/* Once the file reaches there, it is memory like any other. */
	cr_assert_eq(ftruncate(fd, 8 * PAGE), 0);
	cr_assert(try_write(p + 6 * PAGE));
	cr_assert_eq(ww_get(w, p + 6 * PAGE, PAGE, 0, NULL, &count), 0);
	cr_assert_eq(count, 1);
	cr_assert_eq(ftruncate(fd, PAGE), 0);
	cr_assert_not(try_write(p + 6 * PAGE));
	cr_assert_not(try_write(p + 2 * PAGE));
	cr_assert(try_write(p));
	ww_free(w);
	unmap(p, 8 * PAGE);
	close(fd);
}

Test(faults, several_contexts_have_their_own)
{
	enum { N = 5 };
	struct ww *contexts[N];
	char *at[N];

	for (int i = 0; i < N; i++) {
		at[i] = map_private(ALL);
		memset(at[i], 1, ALL);
		cr_assert_eq(ww_new(&contexts[i], NULL), 0);
		cr_assert_eq(ww_watch(contexts[i], at[i], ALL, 0), 0);
	}
	for (int gone = 0; gone <= N; gone++) {
		for (int i = 0; i < N; i++)
			at[i][(i + 1) * PAGE]++;
		for (int i = gone; i < N; i++) {
			void *pages[PAGES];
			size_t count = PAGES;

			cr_assert_eq(ww_get(contexts[i], at[i], ALL, WW_RESET, pages, &count), 0);
			cr_assert(count == 1 && pages[0] == at[i] + (i + 1) * PAGE);
		}
		cr_assert_not(try_write(bad_address(SIGSEGV)));
		cr_assert_not(try_write(bad_address(SIGBUS)));
		if (gone < N)
			ww_free(contexts[gone]);
	}
	for (int i = 0; i < N; i++)
		unmap(at[i], ALL);
}

static void write_while_blocked(void)
{
	sigset_t all;

	watch_memory(0);
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	memory[PAGE]++;
	_exit(count_written() == 1 ? 0 : 1);
}

Test(faults, while_their_signal_is_blocked_end_the_process_or_do_no_harm)
{
	int result = run_child(write_while_blocked);

	if (except(NO_BLOCKED)) {
		cr_assert(result == DIES_BY(SIGSEGV) || result == DIES_BY(SIGBUS), "%d", result);
		left_out("a write with all signals blocked", NO_BLOCKED);
	} else {
		cr_assert_eq(result, 0, "%d", result);
	}
}

/* Two threads fault on one page at once, again and again; the later one is nobody's fault. */
static atomic_bool stop;

static void *write_all(void *arg)
{
	while (!stop)
		for (int i = 0; i < PAGES; i++)
			page_write(memory + i * PAGE + (arg ? 8 : 0), 1);
	return NULL;
}

Test(faults, of_two_threads_on_one_page_are_both_ours)
{
	/* Emulated processors that share one wait 20 ms for each other in every reset. */
	const int resets = in_a_hurry() ? 200 : 3000;
	pthread_t threads[2];

	watch_memory(0);
	for (int i = 0; i < 2; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, write_all, i ? memory : NULL), 0);
	for (int i = 0; i < resets; i++)
		cr_assert_eq(ww_reset(w, memory, ALL), 0);
	stop = true;
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	cr_assert_eq(seen.calls, 0, "%d faults were passed on", seen.calls);
	expect_watched();
	unwatch_memory();
}
