/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "backends.h"
#include "checkers.h"
#include "faulting.h"
#include "random.h"

/*
 * Programs that handle SIGSEGV and SIGBUS themselves. Whatever was installed, before or later, sees
 * the faults that are the program's, and none of the backend's.
 */

static const int numbers[] = {SIGSEGV, SIGBUS};

static void begin(void)
{
	backend_begin();
	/* A sanitizer has handlers of its own. */
	signal(SIGSEGV, SIG_DFL);
	signal(SIGBUS, SIG_DFL);
}

TestSuite(handlers, .init = begin);

static void ignore(int number)
{
	(void)number;
	seen.calls++;
}

/* The program's own fault comes to its handler as often as it happens, and everything goes on. */
static void expect_own(int number, int times)
{
	for (int i = 1; i <= times; i++) {
		seen.calls = 0;
		seen.number = 0;
		cr_assert_not(try_write(bad_address(number)));
		cr_assert_eq(seen.calls, 1, "%d", seen.calls);
		cr_assert_eq(seen.number, number);
		expect_watched();
		cr_assert_eq(seen.calls, 1, "a fault of the backend's was passed on");
	}
}

Test(handlers, one_from_before_gets_what_is_its_own)
{
	handle(SIGSEGV, jump_info, 0);
	handle(SIGBUS, jump_info, 0);
	watch_memory(0);
	expect_watched();
	for (int i = 0; i < 2; i++) {
		expect_own(numbers[i], 3);
		cr_assert_eq(seen.addr, bad_address(numbers[i]));
		cr_assert_eq(seen.code, numbers[i] == SIGBUS ? BUS_ADRERR : SEGV_ACCERR);
		cr_assert(seen.had_context);
	}
	cr_assert_not(try_write((char *)16));
	cr_assert_eq(seen.code, SEGV_MAPERR);
	unwatch_memory();
}

Test(handlers, a_plain_one_from_before_does_too)
{
	signal(SIGSEGV, jump_plain);
	signal(SIGBUS, jump_plain);
	watch_memory(0);
	expect_own(SIGSEGV, 3);
	expect_own(SIGBUS, 3);
	unwatch_memory();
}

static atomic_bool stop;

static void *fault(void *arg)
{
	size_t *made = arg;

	for (*made = 0; !stop; ++*made)
		if (try_write(bad_address(numbers[*made % 2])))
			abort();
	return NULL;
}

/* A fault may be on its way to it when the library's handler goes, or is there anew. */
Test(handlers, one_from_before_misses_none_while_contexts_come_and_go)
{
	const size_t rounds = in_a_hurry() ? 30 : 300;
	pthread_t thread;
	size_t made;

	handle(SIGSEGV, jump_info, 0);
	handle(SIGBUS, jump_info, 0);
	/*
	 * Opens a file, whose number must not be one that the library has just closed: ThreadSanitizer
	 * does not see that.
	 */
	for (size_t i = 0; i < 2; i++)
		bad_address(numbers[i]);
	cr_assert_eq(pthread_create(&thread, NULL, fault, &made), 0);
	for (size_t i = 0; i < rounds; i++) {
		watch_memory(0);
		expect_watched();
		unwatch_memory();
	}
	stop = true;
	pthread_join(thread, NULL);
	cr_assert_eq((size_t)seen.calls, made);
	cr_assert_gt(made, rounds / 3);
}

static int deadly;

/* With a flag that means nothing then, which the kernel keeps, and ThreadSanitizer goes by. */
static bool by_default(int number, void (*handler)(int))
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = SA_SIGINFO};

	if (thread_sanitizer) {
		fprintf(stderr, "# left out: a default action with SA_SIGINFO\n");
		return false;
	}
	cr_assert_eq(sigaction(number, &action, NULL), 0);
	return true;
}

static void die_by_fault(void)
{
	watch_memory(0);
	expect_watched();
	*(volatile char *)bad_address(deadly) = 1;
}

static void die_by_signal(void)
{
	watch_memory(0);
	expect_watched();
	kill(getpid(), deadly);
	expect_watched();
}

Test(handlers, without_one_the_process_ends_as_it_should)
{
	for (int i = 0; i < 2; i++) {
		deadly = numbers[i];
		cr_assert_eq(run_child(die_by_fault), DIES_BY(deadly));
		cr_assert_eq(run_child(die_by_signal), DIES_BY(deadly));
		if (!by_default(deadly, SIG_DFL))
			continue;
		cr_assert_eq(run_child(die_by_fault), DIES_BY(deadly));
		cr_assert_eq(run_child(die_by_signal), DIES_BY(deadly));
	}
}

/* What is sent can be ignored, a fault cannot. */
Test(handlers, ignoring_does_not_make_a_fault_endless)
{
	for (int i = 0; i < 2; i++) {
		deadly = numbers[i];
		signal(deadly, SIG_IGN);
		cr_assert_eq(run_child(die_by_fault), DIES_BY(deadly));
		cr_assert_eq(run_child(die_by_signal), 0);
		if (by_default(deadly, SIG_IGN)) {
			cr_assert_eq(run_child(die_by_fault), DIES_BY(deadly));
			cr_assert_eq(run_child(die_by_signal), 0);
		}
		signal(deadly, SIG_DFL);
	}
}

static bool is_back(void)
{
	const int flags = SA_SIGINFO | SA_RESTART;
	struct sigaction now[2];

	for (int i = 0; i < 2; i++)
		sigaction(numbers[i], NULL, &now[i]);
	return now[0].sa_sigaction == jump_info && (now[0].sa_flags & flags) == flags &&
	       now[1].sa_sigaction == jump_info && (now[1].sa_flags & flags) == flags;
}

static void come_and_go(void)
{
	struct ww *second;

	watch_memory(0);
	if (ww_new(&second, NULL) != 0)
		_exit(3);
	ww_free(second);
	expect_own(SIGSEGV, 1);
	unwatch_memory();
}

static void come_and_go_alone(void)
{
	for (int round = 0; round < 2; round++) {
		come_and_go();
		if (!is_back())
			_exit(2);
	}
}

/* In a child, which has no other threads; the test framework has. */
Test(handlers, what_was_there_is_back_at_the_end)
{
	handle(SIGSEGV, jump_info, SA_RESTART);
	handle(SIGBUS, jump_info, SA_RESTART);
	cr_assert_eq(run_child(come_and_go_alone), 0);
}

static void *wait_for_end(void *arg)
{
	while (!stop)
		usleep(1000);
	return arg;
}

/* A fault of another thread may be under way to ours: it stays, and passes on. */
Test(handlers, what_was_there_is_called_while_there_are_other_threads)
{
	pthread_t thread;

	handle(SIGSEGV, jump_info, SA_RESTART);
	handle(SIGBUS, jump_info, SA_RESTART);
	cr_assert_eq(pthread_create(&thread, NULL, wait_for_end, NULL), 0);
	for (int round = 0; round < 2; round++) {
		come_and_go();
		for (int i = 0; i < 2; i++) {
			seen.calls = 0;
			cr_assert_not(try_write(bad_address(numbers[i])));
			cr_assert_eq(seen.calls, 1);
			cr_assert_eq(seen.number, numbers[i]);
		}
	}
	stop = true;
	pthread_join(thread, NULL);
}

/* A program that installs its handler again for each context does not fill the list of them. */
Test(handlers, the_same_one_again_counts_once)
{
	for (int round = 0; round < 20; round++) {
		watch_memory(0);
		handle(SIGSEGV, jump_info, 0);
		handle(SIGBUS, jump_info, 0);
		expect_own(numbers[round % 2], 1);
		unwatch_memory();
	}
}

Test(handlers, one_that_is_to_run_once_runs_once)
{
	for (int i = 0; i < 2; i++) {
		deadly = numbers[i];
		handle(deadly, jump_info, (int)SA_RESETHAND);
		watch_memory(0);
		expect_own(deadly, 1);
		unwatch_memory();
		handle(deadly, jump_info, (int)SA_RESETHAND);
		watch_memory(0);
		cr_assert_not(try_write(bad_address(deadly)));
		cr_assert_eq(run_child(die_by_fault), DIES_BY(deadly));
		unwatch_memory();
	}
}

/* Nor does one that has to be installed again each time fill the list. */
Test(handlers, one_that_runs_once_is_installed_any_number_of_times)
{
	watch_memory(0);
	for (int round = 0; round < 20; round++)
		for (int i = 0; i < 2; i++) {
			handle(numbers[i], jump_info, (int)SA_RESETHAND);
			cr_assert_eq(ww_reset(w, memory, ALL), 0);
			expect_own(numbers[i], 1);
			expect_watched();
		}
	unwatch_memory();
}

/* Installed on top of the library's, and passing on what it was not installed for. */
static struct sigaction below[2];
static int chained;

static void chain(int number, siginfo_t *info, void *context)
{
	const struct sigaction *next = &below[number == SIGBUS];

	chained++;
	if (next->sa_flags & SA_SIGINFO)
		next->sa_sigaction(number, info, context);
	else if (next->sa_handler == SIG_DFL)
		signal(number, SIG_DFL);
}

static void chain_on_top(void)
{
	for (int i = 0; i < 2; i++)
		below[i] = handle(numbers[i], chain, SA_ONSTACK);
}

Test(handlers, one_installed_later_may_pass_on)
{
	handle(SIGSEGV, jump_info, 0);
	handle(SIGBUS, jump_info, 0);
	watch_memory(0);
	chain_on_top();
	/* The library's is below, and is called. */
	for (int i = 0; i < PAGES; i += 2)
		memory[i * PAGE]++;
	expect_watched();
	chained = 0;
	expect_watched();
	cr_assert_eq(chained, 0, "after a reset the library's is on top again");
	/* Through both to the first one, which jumps out of all of them. */
	expect_own(SIGSEGV, 3);
	expect_own(SIGBUS, 3);
	cr_assert_geq(chained, 6);
	unwatch_memory();
}

static void die_through_the_chain(void)
{
	watch_memory(0);
	chain_on_top();
	expect_watched();
	expect_watched();
	*(volatile char *)bad_address(deadly) = 1;
}

Test(handlers, passing_on_in_a_circle_ends)
{
	for (int i = 0; i < 2; i++) {
		deadly = numbers[i];
		cr_assert_eq(run_child(die_through_the_chain), DIES_BY(deadly));
	}
}

Test(handlers, one_installed_later_may_know_nothing)
{
	watch_memory(0);
	for (int round = 0; round < 3; round++) {
		handle(SIGSEGV, jump_info, 0);
		handle(SIGBUS, jump_info, 0);
		/* A reset, or a new watch, puts the library's on top. */
		if (round == 1)
			cr_assert_eq(ww_watch(w, memory, ALL, 0), 0);
		expect_own(SIGSEGV, 3);
		expect_own(SIGBUS, 3);
	}
	unwatch_memory();
}

static void on_top_of_default(void)
{
	watch_memory(0);
	signal(SIGSEGV, SIG_DFL);
	signal(SIGBUS, SIG_DFL);
	expect_watched();
	*(volatile char *)bad_address(deadly) = 1;
}

Test(handlers, resetting_to_the_default_later_is_no_loss)
{
	for (int i = 0; i < 2; i++) {
		handle(numbers[i], jump_info, 0);
		deadly = numbers[i];
		cr_assert_eq(run_child(on_top_of_default), DIES_BY(deadly));
	}
}

Test(handlers, a_signal_that_was_sent_is_the_programs)
{
	signal(SIGSEGV, ignore);
	signal(SIGBUS, ignore);
	watch_memory(0);
	for (int i = 0; i < 2; i++) {
		seen.calls = 0;
		cr_assert_eq(kill(getpid(), numbers[i]), 0);
		cr_assert_eq(raise(numbers[i]), 0);
		cr_assert_eq(sigqueue(getpid(), numbers[i], (union sigval){.sival_ptr = memory}),
			     0);
		cr_assert_eq(seen.calls, 3);
		expect_watched();
	}
	unwatch_memory();
}

/* The program's handler is the only one, and asks the library. */
static volatile int asked, ours;

static void ask_then_jump(int number, siginfo_t *info, void *context)
{
	int error = errno = 4321;

	asked++;
	if (ww_handle_fault(info->si_addr)) {
		ours += errno == error;
		return;
	}
	jump_info(number, info, context);
}

Test(handlers, a_program_may_ask_from_its_own)
{
	struct sigaction now;

	handle(SIGSEGV, ask_then_jump, 0);
	handle(SIGBUS, ask_then_jump, 0);
	watch_memory(WW_NO_HANDLER);
	for (int i = 0; i < 2; i++) {
		cr_assert_eq(sigaction(numbers[i], NULL, &now), 0);
		cr_assert_eq(now.sa_sigaction, ask_then_jump, "the library installed one");
	}
	expect_watched();
	cr_assert_eq(asked, ours, "asked %d times, %d were the library's", asked, ours);
	if (backend()->guarantees & WW_NO_SIGNAL_HANDLER)
		cr_assert_eq(asked, 0);
	else
		cr_assert_geq(asked, PAGES / 7);
	expect_own(SIGSEGV, 3);
	expect_own(SIGBUS, 3);
	unwatch_memory();
	for (int i = 0; i < 2; i++) {
		cr_assert_eq(sigaction(numbers[i], NULL, &now), 0);
		cr_assert_eq(now.sa_sigaction, ask_then_jump);
	}
}
