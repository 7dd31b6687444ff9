/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <signal.h>
#include <ucontext.h>
#include <unistd.h>

#include "backends.h"
#include "faulting.h"
#include "pages.h"

/*
 * Handlers that are installed for a moment, as to find out whether an address can be used, while the
 * library puts its own on top again; whoever takes them away puts back what was there before.
 */

TestSuite(taken_away, .init = backend_begin, .timeout = 60);

static const int numbers[] = {SIGSEGV, SIGBUS};
static sigjmp_buf out;
static volatile int wrong, nested;

static void probe(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)info;
	(void)context;
	wrong++;
	siglongjmp(out, 1);
}

static void other_probe(int number, siginfo_t *info, void *context)
{
	probe(number, info, context);
}

static void probe_for_a_moment(int number, void (*by)(int, siginfo_t *, void *))
{
	struct sigaction before = handle(number, by, 0);

	cr_assert_eq(ww_reset(w, memory, ALL), 0);
	cr_assert_eq(sigaction(number, &before, NULL), 0);
}

static void expect_own(int number)
{
	int calls = seen.calls;

	if (sigsetjmp(out, 1) == 0)
		cr_assert_not(try_write(bad_address(number)));
	cr_assert_eq(wrong, 0, "a handler is called that was taken away");
	cr_assert_eq(seen.calls, calls + 1);
}

Test(taken_away, one_is_not_called_any_more)
{
	for (size_t i = 0; i < 2; i++)
		handle(numbers[i], jump_info, 0);
	watch_memory(0);
	for (size_t i = 0; i < 2; i++) {
		probe_for_a_moment(numbers[i], probe);
		expect_own(numbers[i]);
		expect_watched();
		expect_own(numbers[i]);
	}
	unwatch_memory();
}

Test(taken_away, one_does_not_come_back_at_the_end)
{
	struct sigaction now;

	for (size_t i = 0; i < 2; i++)
		handle(numbers[i], jump_info, 0);
	watch_memory(0);
	for (size_t i = 0; i < 2; i++)
		probe_for_a_moment(numbers[i], probe);
	unwatch_memory();
	for (size_t i = 0; i < 2; i++) {
		sigaction(numbers[i], NULL, &now);
		cr_assert_neq(now.sa_sigaction, probe);
		expect_own(numbers[i]);
	}
}

Test(taken_away, many_do_not_fill_the_list)
{
	for (size_t i = 0; i < 2; i++)
		handle(numbers[i], jump_info, 0);
	watch_memory(0);
	for (size_t i = 0; i < 40; i++) {
		probe_for_a_moment(numbers[i / 2 % 2], i % 2 ? probe : other_probe);
		expect_watched();
	}
	expect_own(SIGSEGV);
	expect_own(SIGBUS);
	unwatch_memory();
}

static struct sigaction below;

/* What another copy of the library does: it passes on, and marks the context as its own. */
static void pass_on(int number, siginfo_t *info, void *context)
{
	ucontext_t *c = context, *link = c->uc_link;

	if (++nested > 10)
		_exit(3);
	c->uc_link = (void *)&below;
	below.sa_sigaction(number, info, context);
	c->uc_link = link;
	nested--;
}

static void have_two_in_turns(void)
{
	handle(SIGSEGV, jump_info, 0);
	handle(SIGBUS, jump_info, 0);
	watch_memory(0);
	for (size_t i = 0; i < 2; i++) {
		nested = 0;
		below = handle(numbers[i], pass_on, 0);
		expect_watched();
		expect_own(numbers[i]);
		sigaction(numbers[i], &below, NULL);
	}
	unwatch_memory();
}

Test(taken_away, another_library_of_the_kind_is_no_circle)
{
	int result = run_child(have_two_in_turns);

	cr_assert_eq(result, 0, "%d", result);
}
