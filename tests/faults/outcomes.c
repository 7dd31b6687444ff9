/* SPDX-License-Identifier: MIT */
/* Failures for which more is promised than that they are told. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "case.h"
#include "model.h"
#include "pages.h"

TestSuite(outcomes, .timeout = 60);

static void arm(enum call_id call, enum scope scope, enum mode mode, int error, unsigned nth)
{
	struct plan plan = {
	    .call = call,
	    .scope = scope,
	    .mode = mode,
	    .error = error,
	    .nth = nth,
	};

	inject_begin(&plan);
	inject->on = true;
}

static struct ww *new_context(const char *backend, uint64_t flags)
{
	struct ww_options options = {.size = sizeof(options), .backend = backend, .flags = flags};
	struct ww *w;

	cr_assert_eq(ww_new(&w, &options), 0);
	return w;
}

static const char *backend_name(struct ww *w)
{
	struct ww_info info = {.size = sizeof(info)};

	cr_assert_eq(ww_info(w, &info), 0);
	return info.backend;
}

static uint64_t widened(struct ww *w)
{
	struct ww_info info = {.size = sizeof(info)};

	cr_assert_eq(ww_info(w, &info), 0);
	return info.widened;
}

/* The environment may ask for another one. */
static struct ww *context_of(const char *backend, uint64_t flags)
{
	const char *env = getenv("WRITEWATCH_BACKEND");

	if (env && strcmp(env, backend) != 0)
		cr_skip_test("a test of %s", backend);
	inject_prepare();
	return new_context(backend, flags);
}

/* Want of mappings is not the end: the neighbours are un-protected, too, and that is told. */
Test(outcomes, without_mappings_neighbours_are_written_and_counted)
{
	/* The first failure may be for want of something else, and is tried again. */
	for (size_t pages = 2; pages <= 5; pages++) {
		struct ww *w = context_of("mprotect", 0);
		char *p = map_private(pages * PAGE);
		void *list[5];
		size_t count = 5;

		cr_assert_eq(ww_watch(w, p, pages * PAGE, 0), 0);
		arm(CALL_MPROTECT, BY_HANDLER, ONCE, ENOMEM, 1);
		inject->plan.more = 1;
		page_write(p, 1);
		inject->on = false;
		cr_assert_eq(inject->failed, 2);
		cr_assert_eq(ww_get(w, p, pages * PAGE, WW_RESET, list, &count), 0);
		cr_assert_eq(count, pages);
		cr_assert_eq(widened(w), pages - 1, "%zu pages, %lu widened", pages,
			     (unsigned long)widened(w));
		ww_free(w);
		unmap(p, pages * PAGE);
	}
}

/* A huge page in a range that is watched lazily reports too much, and can lose writes. */
Test(outcomes, without_the_advice_nothing_is_watched_lazily)
{
	static const enum call_id advice[] = {CALL_NOHUGEPAGE, CALL_UNMERGEABLE};
	struct ww *w;
	char *p;

	if (!has_zero_page())
		cr_skip_test("this kernel has no zero page, and nothing is watched lazily");
	w = context_of("pagemap-scan", 0);
	p = map_private(PAGE);
	for (size_t i = 0; i < 2; i++) {
		arm(advice[i], BY_CALLER, ONCE, ENOMEM, 1);
		cr_expect_eq(ww_watch(w, p, PAGE, 0), -ENOMEM, "%s", calls[advice[i]].name);
		cr_expect_eq(inject->failed, 1);
		cr_expect_eq(ww_unwatch(w, p, PAGE), -ENOENT);
		/* The kernel has no such thing as huge pages. */
		arm(advice[i], BY_CALLER, ONCE, EINVAL, 1);
		cr_expect_eq(ww_watch(w, p, PAGE, 0), 0);
		cr_expect_eq(inject->failed, 1);
		inject->on = false;
		cr_expect_eq(ww_unwatch(w, p, PAGE), 0);
	}
	ww_free(w);
	unmap(p, PAGE);
}

Test(outcomes, a_fault_that_cannot_be_resolved_is_not_ours)
{
	struct ww *w = context_of("mprotect", WW_NO_HANDLER);
	char *p = map_private(PAGE);
	void *list[1];
	size_t count = 1;

	cr_assert_eq(ww_watch(w, p, PAGE, 0), 0);
	arm(CALL_MPROTECT, BY_HANDLER, EVER, EPERM, 1);
	errno = 0;
	cr_assert_eq(ww_handle_fault(p), 0);
	cr_assert_eq(errno, 0);
	inject->on = false;
	cr_assert_eq(ww_handle_fault(p), 1);
	page_write(p, 1);
	cr_assert_eq(ww_get(w, p, PAGE, WW_RESET, list, &count), 0);
	cr_assert_eq(count, 1);
	ww_free(w);
	unmap(p, PAGE);
}

/* mmap(2) calls it EAGAIN; the header does not. */
static void run_without_lockable_memory(void)
{
	const struct rlimit little = {65536, 65536};
	struct ww *w;

	if (setrlimit(RLIMIT_MEMLOCK, &little) < 0 || setresuid(65534, 65534, 65534) < 0 ||
	    mlockall(MCL_FUTURE) < 0)
		_exit(77);
	/* Sanitizers lock nothing. */
	if (mmap(NULL, 2 * little.rlim_max, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
	    MAP_FAILED)
		_exit(77);
	_exit(ww_new(&w, NULL) == -ENOMEM ? 0 : 1);
}

Test(outcomes, memory_that_may_not_be_locked_is_no_memory)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		run_without_lockable_memory();
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		cr_skip_test("memory cannot be locked here, or by everybody");
	cr_assert_eq(status, 0, "status 0x%x", status);
}

static void expect_choice(enum call_id call, int error, const char *expected)
{
	struct ww *w;

	arm(call, BY_CALLER, EVER, error, 1);
	w = new_context(NULL, 0);
	inject->on = false;
	cr_expect_gt(inject->failed, 0);
	cr_expect_str_eq(backend_name(w), expected, "%s: %s", calls[call].name, error_name(error));
	ww_free(w);
}

/* Not a machine without userfaultfd: one where it fails. */
Test(outcomes, what_fails_is_not_chosen)
{
	if (getenv("WRITEWATCH_BACKEND"))
		cr_skip_test("a test of the automatic choice");
	inject_prepare();
	expect_choice(CALL_SCAN, ENOTTY, "uffd");
	expect_choice(CALL_SCAN, ENOMEM, "uffd");
	expect_choice(CALL_USERFAULTFD, EMFILE, "mprotect");
	expect_choice(CALL_UFFD_API, EINVAL, "mprotect");
	expect_choice(CALL_UFFD_REGISTER, ENOMEM, "mprotect");
	expect_choice(CALL_UFFD_PROTECT, EFAULT, "mprotect");
}

/* In a process that never called the library; ends it. 0: nothing fails. */
static void use_first(unsigned nth)
{
	struct ww *w;
	int r;

	if (nth == 0)
		_exit(ww_new(&w, NULL) == -ENOTSUP ? 77 : 0);
	arm(CALL_MMAP, BY_CALLER, ONCE, ENOMEM, nth);
	if (ww_handle_fault(&r) != 0)
		_exit(1);
	r = ww_new(&w, NULL);
	if (r != 0 && (r != -ENOMEM || w))
		_exit(2);
	ww_free(w);
	inject->on = false;
	if (ww_new(&w, NULL) != 0)
		_exit(3);
	ww_free(w);
	_exit(0);
}

Test(outcomes, the_first_use_may_fail)
{
	unsigned nth = 0;

	inject_prepare();
	do {
		int status;
		pid_t pid = fork();

		if (pid == 0)
			use_first(nth);
		cr_assert_eq(waitpid(pid, &status, 0), pid);
		if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
			cr_skip_test("no backend");
		cr_assert_eq(status, 0, "mmap %u: status 0x%x", nth, status);
		nth++;
	} while (nth == 1 || inject->failed);
	cr_assert_gt(nth, 3);
}
