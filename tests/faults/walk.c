/* SPDX-License-Identifier: MIT */
/*
 * Every system call of the library, failing with every error that it can give, the first time, the
 * second, and so on, as long as the scenario makes it so often: alone, with all calls of its kind
 * behind it, and after the kernel did what it was asked for. Each time no page may be lost, nothing
 * left behind, no error returned that the header does not list, and nobody wait for ever.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "case.h"
#include "checkers.h"
#include "leaks.h"
#include "model.h"
#include "processor.h"
#include "scenario.h"
#include "tally.h"

/* More than that are not looked for. */
#define MOST_WRONG 10

static unsigned wrong;
/* How often the scenario makes the call where nothing fails. */
static unsigned made;

static const char *chosen(void)
{
	const char *env = getenv("WRITEWATCH_BACKEND");

	return env && *env ? env : "auto";
}

static bool is_auto(void)
{
	return strcmp(chosen(), "auto") == 0;
}

static void begin(void)
{
	backend_begin();
	/* To wake a thread on another one for every fault takes long, and changes no outcome. */
	stay_on_one_processor();
	case_prepare();
}

TestSuite(faults, .init = begin, .fini = tally_close, .timeout = 600);

static void start(enum setting setting)
{
	const char *no_fork = scenario_no_fork(backend());

	tally_open(chosen(), setting);
	if (no_fork && !is_auto())
		fprintf(stderr, "# %s: left out: fork: %s\n", chosen(), no_fork);
	leaks_begin();
}

static void explain(const struct plan *plan)
{
	static const char *const modes[] = {"ONCE", "EVER", "LATE"};

	cr_expect_fail("setting %d, %s%s, call %u, %s, %s: %s (%s)", plan->setting,
		       calls[plan->call].name, plan->scope ? " in the handler" : "", plan->nth,
		       modes[plan->mode], error_name(plan->error), result->failure, result->at);
	wrong++;
}

/*
 * Where many calls fail it matters less which is the first, and what was seen in the usual setting
 * need not be in others: all of the first few, and of the rest some, different ones for each error.
 * Where every process costs several times as much, under a sanitizer or where WW_FEW_FAULTS is set
 * as the kernel is slow at it, that has to do in the usual setting, too.
 */
static unsigned next_nth(const struct plan *plan)
{
	bool few = getenv("WW_FEW_FAULTS");
	unsigned step = made / (few ? 4 : 16) + 1;
	bool sanitizer = address_sanitizer || thread_sanitizer;
	bool every = !few && !sanitizer && plan->setting == USUAL && plan->mode == ONCE;

	if (every || plan->nth < 6)
		return plan->nth + 1;
	return plan->nth + (plan->nth == 6 ? 1 + (unsigned)plan->error % step : step);
}

static void walk_mode(struct plan *plan)
{
	for (plan->nth = 1; wrong < MOST_WRONG; plan->nth = next_nth(plan)) {
		bool ok = case_run(plan, scenario_run, is_auto());

		if (!ok)
			explain(plan);
		if (ok && !case_reached())
			break;
		tally_case(plan);
		/* What comes behind is wrong for the same reason. */
		if (!ok)
			break;
	}
}

static void walk_error(struct plan *plan, int error, bool lasts)
{
	const struct call *call = &calls[plan->call];

	plan->error = error;
	plan->mode = ONCE;
	walk_mode(plan);
	if (lasts) {
		plan->mode = EVER;
		walk_mode(plan);
	}
	if (call->partial && plan->scope == BY_CALLER) {
		plan->mode = LATE;
		walk_mode(plan);
	}
	tally_flush(plan);
}

/* Where nothing fails, everything has to succeed. */
static void look_at(struct plan *plan)
{
	plan->nth = UINT_MAX;
	plan->mode = ONCE;
	plan->error = 0;
	cr_assert(case_run(plan, scenario_run, is_auto()), "without failures: %s (%s)", result->failure,
		  result->at);
	cr_assert_eq(result->error_count, 0);
	made = inject->seen;
}

/* Other kernels are as this one is in other settings. */
static bool may_be_made(enum call_id call, unsigned here)
{
	unsigned by = 0;

	for (size_t i = 0; i < reach_count; i++)
		if (reaches[i].call == call)
			by |= reaches[i].by | reaches[i].in_handler | reaches[i].perhaps;
	return by & here;
}

/* A call that is never made is never made to fail. The automatic choice does a part of it all. */
static void expect_reached(const struct plan *plan)
{
	const struct reach *r = reach_find(plan->setting, plan->call);
	unsigned here = 1u << (backend() - backend_rows);
	bool expected = r && (plan->scope == BY_CALLER ? r->by : r->in_handler) & here;

	if (is_auto())
		return;
	if (expected && !made && plan->call == CALL_DONTNEED_LOCKED && !result->locked)
		fprintf(stderr, "# %s: left out: %s: locked memory cannot be had or dropped\n",
			chosen(), calls[plan->call].name);
	else if (expected && !made)
		cr_expect_fail("setting %d: %s is never made%s", plan->setting,
			       calls[plan->call].name, plan->scope ? " in the handler" : "");
	if (made && !may_be_made(plan->call, here))
		cr_expect_fail("%s is made, and reach.c does not say so", calls[plan->call].name);
}

static void walk(enum setting setting, enum call_id call)
{
	struct plan plan = {.setting = setting, .call = call};
	const struct call *c = &calls[call];

	for (int scope = BY_CALLER; scope <= BY_HANDLER; scope++) {
		plan.scope = (enum scope)scope;
		look_at(&plan);
		expect_reached(&plan);
		if (!made)
			continue;
		for (size_t i = 0; i < 8 && c->lasting[i]; i++)
			if (!case_is_answer(&plan, c->lasting[i]))
				walk_error(&plan, c->lasting[i], true);
		for (size_t i = 0; i < 3 && c->passing[i]; i++)
			walk_error(&plan, c->passing[i], false);
	}
}

/* The calls for which the setting makes a difference. */
static void walk_setting(enum setting setting)
{
	start(setting);
	for (size_t i = 0; i < reach_count; i++)
		if (reaches[i].setting == setting)
			walk(setting, reaches[i].call);
}

Test(faults, every_call_may_fail_at_any_time)
{
	start(USUAL);
	for (int call = 0; call < CALLS; call++)
		walk(USUAL, (enum call_id)call);
}

Test(faults, no_call_is_left_out)
{
	for (int call = 0; call < CALLS; call++)
		cr_expect(may_be_made((enum call_id)call, UINT_MAX), "%s is expected nowhere",
			  calls[call].name);
}

Test(faults, so_may_those_that_stand_in_for_userfaultfd)
{
	int fd = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);

	if (fd < 0 && !except(NO_USERFAULTFD))
		cr_skip_test("%s: /dev/userfaultfd cannot be opened: %s", backend()->name,
			     strerror(errno));
	if (fd >= 0)
		close(fd);
	walk_setting(NO_USERFAULTFD_CALL);
}

Test(faults, so_may_the_reading_of_what_is_mapped)
{
	walk_setting(NO_QUERY_MAP);
}

static void need_synchronous_protection(void)
{
	if (is_auto() || strcmp(backend()->reported, "uffd") != 0)
		cr_skip_test("a test of uffd-thread and uffd-sigbus");
}

/* As on Linux before 6.4. */
Test(faults, so_may_what_stands_in_for_markers)
{
	need_synchronous_protection();
	walk_setting(NO_MARKERS);
}

Test(faults, so_may_what_stands_in_for_the_zero_page)
{
	need_synchronous_protection();
	walk_setting(NO_ZERO_PAGE);
}

/* As where mremap(2) leaves protection behind: Linux before 6.13. */
Test(faults, so_may_the_question_whose_memory_it_is)
{
	need_synchronous_protection();
	walk_setting(STALE_BITS);
}

Test(faults, so_may_letting_a_writer_try_again)
{
	if (is_auto() || strcmp(backend()->name, "uffd-thread") != 0)
		cr_skip_test("a test of uffd-thread");
	walk_setting(EVERY_FAULT_TWICE);
}
