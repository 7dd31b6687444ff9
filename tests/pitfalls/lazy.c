/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdbool.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>
#include <writewatch/writewatch.h>

#include "leaks.h"
#include "pages.h"

/* What arming nothing costs, and what it must never be combined with. */

#define PAGE 4096
#define GIB ((size_t)1 << 30)

TestSuite(lazy, .init = leaks_begin, .fini = leaks_end);

static long vm_pte_kib(void)
{
	char line[256];
	long kib = -1;
	FILE *f = fopen("/proc/self/status", "r");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "VmPTE: %ld", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return kib;
}

/* The VmFlags of the mapping that begins at p, in buffer. */
static void vm_flags(const void *p, char *buffer, size_t size)
{
	char start[32], line[512];
	FILE *f = fopen("/proc/self/smaps", "r");
	bool here = false;

	snprintf(start, sizeof(start), "%lx-", (unsigned long)p);
	*buffer = '\0';
	while (f && fgets(line, sizeof(line), f)) {
		if (strncmp(line, start, strlen(start)) == 0)
			here = true;
		else if (here && strncmp(line, "VmFlags:", 8) == 0) {
			snprintf(buffer, size, "%s", line);
			break;
		}
	}
	if (f)
		fclose(f);
}

static size_t get(struct ww *w, void *addr, size_t len, unsigned flags)
{
	static void *pages[1 << 16];
	size_t count = sizeof(pages) / sizeof(*pages);

	cr_assert_eq(ww_get(w, addr, len, flags, pages, &count), 0);
	return count;
}

static struct ww *context(void)
{
	struct ww *w;

	cr_assert_eq(ww_new(&w, NULL), 0);
	return w;
}

static void need_laziness(void)
{
	if (!has_zero_page())
		cr_skip_test("this kernel has no zero page, and nothing is watched lazily");
}

Test(lazy, watching_fresh_memory_makes_no_page_tables)
{
	size_t size = 16 * GIB;
	struct ww *w;
	long before;
	char *p;

	need_laziness();
	p = map_reserve(size, PAGE);
	w = context();
	cr_assert_eq(mprotect(p, size, PROT_READ | PROT_WRITE), 0);
	before = vm_pte_kib();
	cr_assert_geq(before, 0);
	cr_assert_eq(ww_watch(w, p, size, 0), 0);
	cr_assert_eq(get(w, p, size, WW_RESET), 0);
	cr_assert_leq(vm_pte_kib() - before, 64);
	cr_assert_eq(ww_unwatch(w, p, size), 0);

	/* What it would cost otherwise, so that the check above means something. */
	cr_assert_eq(ww_watch(w, p, GIB, WW_DISCARDS), 0);
	cr_assert_geq(vm_pte_kib() - before, 2048);
	ww_free(w);
	unmap(p, size);
}

Test(lazy, one_byte_in_memory_that_wants_huge_pages_is_one_page)
{
	char *p = map_reserve(4 * HUGE_BYTES, HUGE_BYTES);
	struct ww *w = context();

	mprotect(p, 4 * HUGE_BYTES, PROT_READ | PROT_WRITE);
	madvise(p, 4 * HUGE_BYTES, MADV_HUGEPAGE);
	cr_assert_eq(ww_watch(w, p, 4 * HUGE_BYTES, 0), 0);
	p[HUGE_BYTES + 5 * PAGE] = 1;
	cr_assert_eq(get(w, p, 4 * HUGE_BYTES, WW_RESET), 1);
	cr_assert_eq(get(w, p, 4 * HUGE_BYTES, 0), 0);
	ww_free(w);
	unmap(p, 4 * HUGE_BYTES);
}

/*
 * Splitting a huge page maps its zero-filled parts to the zero page. A page that the program wrote
 * zeros into must stay written all the same.
 */
Test(lazy, zeros_written_to_a_huge_page_survive_its_split)
{
	size_t size = 2 * HUGE_BYTES;
	char *p = map_reserve(size, HUGE_BYTES);
	struct ww *w = context();

	mprotect(p, size, PROT_READ | PROT_WRITE);
	madvise(p, HUGE_BYTES, MADV_HUGEPAGE);
	memset(p, 1, HUGE_BYTES);
	cr_assert_eq(ww_watch(w, p, size, 0), 0);
	cr_assert_eq(get(w, p, size, 0), 0);
	memset(p, 0, HUGE_BYTES);
	madvise(p + 9 * PAGE, PAGE, MADV_COLD);
	madvise(p + 9 * PAGE, PAGE, MADV_PAGEOUT);
	madvise(p + 9 * PAGE, PAGE, MADV_FREE);
	cr_assert_geq(get(w, p, size, WW_RESET), 511);
	ww_free(w);
	unmap(p, size);
}

/* A huge zero page becomes a huge page at the first write, even where the mapping wants none. */
Test(lazy, a_huge_zero_page_is_no_hole)
{
	size_t size = 2 * HUGE_BYTES;
	char *p = map_reserve(size, HUGE_BYTES);
	struct ww *w = context();

	mprotect(p, size, PROT_READ | PROT_WRITE);
	madvise(p, size, MADV_HUGEPAGE);
	(void)*(volatile char *)(p + 3 * PAGE);
	cr_assert_eq(ww_watch(w, p, size, 0), 0);
	cr_assert_eq(get(w, p, size, 0), 0);
	p[7 * PAGE] = 1;
	cr_assert_eq(get(w, p, size, WW_RESET), 1);
	ww_free(w);
	unmap(p, size);
}

Test(lazy, is_kept_from_merging_and_huge_pages_and_nothing_else_is)
{
	size_t size = 64 * PAGE;
	char *fresh, *populated;
	char flags[512];
	struct ww *w;

	need_laziness();
	fresh = map_reserve(3 * size, PAGE);
	populated = fresh + 2 * size;
	w = context();
	mprotect(fresh, size, PROT_READ | PROT_WRITE);
	mprotect(populated, size, PROT_READ | PROT_WRITE);
	madvise(fresh, size, MADV_MERGEABLE);
	memset(populated, 1, size);
	cr_assert_eq(ww_watch(w, fresh, size, 0), 0);
	cr_assert_eq(ww_watch(w, populated, size, 0), 0);
	vm_flags(fresh, flags, sizeof(flags));
	cr_assert(strstr(flags, " nh") && strstr(flags, " uw"), "%s", flags);
	cr_assert_null(strstr(flags, " mg"), "%s", flags);
	vm_flags(populated, flags, sizeof(flags));
	cr_assert(strstr(flags, " uw") && !strstr(flags, " nh"), "%s", flags);
	ww_free(w);
	unmap(fresh, 3 * size);
}

static void on_alarm(int number)
{
	(void)number;
}

/* The kernel gives up unmerging when a signal comes; and then merged pages would lose their state. */
Test(lazy, signals_do_not_leave_it_mergeable)
{
	const struct itimerval often = {{0, 200}, {0, 200}}, never = {{0, 0}, {0, 0}};
	struct sigaction action = {.sa_handler = on_alarm};
	size_t size = 2 * GIB;
	char flags[512];
	struct ww *w;
	char *p;

	need_laziness();
	p = map_reserve(size, HUGE_BYTES);
	w = context();
	mprotect(p, size, PROT_READ | PROT_WRITE);
	if (madvise(p, size, MADV_MERGEABLE) != 0)
		cr_skip_test("the kernel merges no pages");
	*p = 1;
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	cr_expect_eq(ww_watch(w, p, size, 0), 0);
	setitimer(ITIMER_REAL, &never, NULL);
	/* The first block holds a page, and is armed. */
	vm_flags(p + HUGE_BYTES, flags, sizeof(flags));
	cr_assert(strstr(flags, " uw") && !strstr(flags, " mg"), "%s", flags);
	ww_free(w);
	unmap(p, size);
}

Test(lazy, reads_and_the_zero_page_are_not_writes)
{
	size_t size = 256 * PAGE;
	volatile char *p = map_private(size);
	struct ww *w = context();
	char sum = 0;

	cr_assert_eq(ww_watch(w, (void *)p, size, 0), 0);
	for (size_t i = 0; i < size; i += PAGE)
		sum |= p[i];
	cr_assert_eq(sum, 0);
	cr_assert_eq(get(w, (void *)p, size, 0), 0);
	p[3 * PAGE] = 0;
	cr_assert_eq(get(w, (void *)p, size, WW_RESET), 1, "a zero written is a write");
	ww_free(w);
	unmap((void *)p, size);
}

/* A range that became dense changes its mode inside a reset; random writers must not notice. */
Test(lazy, becoming_dense_loses_and_invents_nothing)
{
	size_t n = 4096;
	char *p = map_private(n * PAGE);
	struct ww *w = context();

	cr_assert_eq(ww_watch(w, p, n * PAGE, 0), 0);
	srand(1);
	for (int round = 0; round < 60; round++) {
		bool model[4096] = {false};
		static void *pages[4096];
		size_t count = n;

		for (int i = 0; i < 400; i++) {
			size_t page = (size_t)rand() % n;

			if (rand() % 4 == 0) {
				(void)*(volatile char *)(p + page * PAGE);
			} else {
				p[page * PAGE + 7]++;
				model[page] = true;
			}
		}
		cr_assert_eq(ww_get(w, p, n * PAGE, WW_RESET, pages, &count), 0);
		for (size_t i = 0; i < count; i++) {
			size_t page = (size_t)((char *)pages[i] - p) / PAGE;

			cr_assert(model[page], "round %d: page %zu was not written", round, page);
			model[page] = false;
		}
		for (size_t i = 0; i < n; i++)
			cr_assert(!model[i], "round %d: page %zu was lost", round, i);
	}
	ww_free(w);
	unmap(p, n * PAGE);
}

/* The populated part of a mostly empty range is armed, the rest costs nothing. */
Test(lazy, a_sparse_range_is_armed_where_it_holds_pages)
{
	size_t size = GIB;
	struct ww_info info = {.size = sizeof(info)};
	struct ww *w;
	long before;
	char *p;

	need_laziness();
	p = map_private(size);
	w = context();
	memset(p + (size_t)512 * 1024 * 1024, 1, 8 * HUGE_BYTES);
	p[(size_t)512 * 1024 * 1024 + 12 * HUGE_BYTES] = 1;
	before = vm_pte_kib();
	cr_assert_eq(ww_watch(w, p, size, 0), 0);
	cr_assert_eq(get(w, p, size, 0), 0);
	cr_assert_leq(vm_pte_kib() - before, 64);
	cr_assert_eq(ww_info(w, &info), 0);
	cr_assert_eq(info.range_count, 3, "a small hole is not worth a range");
	cr_assert_eq(info.watched, size);
	p[(size_t)512 * 1024 * 1024] = 2;
	p[0] = 1;
	p[size - 1] = 1;
	cr_assert_eq(get(w, p, size, WW_RESET), 3);
	ww_free(w);
	unmap(p, size);
}

Test(lazy, a_few_marked_pages_are_not_worth_a_range)
{
	char *p = map_private(64 * HUGE_BYTES);
	struct ww_info info = {.size = sizeof(info)};
	struct ww *w = context();

	cr_assert_eq(ww_watch(w, p, 64 * HUGE_BYTES, 0), 0);
	cr_assert_eq(ww_mark(w, p + 5 * PAGE, 2 * PAGE), 0);
	cr_assert_eq(ww_info(w, &info), 0);
	cr_assert_eq(info.range_count, 1);
	cr_assert_eq(get(w, p, 64 * HUGE_BYTES, 0), 2);
	cr_assert_eq(ww_mark(w, p + 32 * HUGE_BYTES, 8 * HUGE_BYTES), 0);
	cr_assert_eq(get(w, p, 64 * HUGE_BYTES, 0), 2 + 8 * 512);
	ww_free(w);
	unmap(p, 64 * HUGE_BYTES);
}

/*
 * A range is looked at for how dense it is in the middle of a query across many: that must not
 * disturb what the query knows about the others. Scattered pages, written first, make the look
 * long; few runs, written then, make the query's list short.
 */
Test(lazy, looking_at_one_range_during_a_query_across_gaps_hides_nothing_of_others)
{
	enum { RANGES = 6, RANGE_PAGES = 1024 };
	size_t stride = (RANGE_PAGES + 3) * PAGE;
	char *p = map_private(RANGES * stride);
	struct ww *w = context();

	for (int i = 0; i < RANGES; i++)
		cr_assert_eq(ww_watch(w, p + (size_t)i * stride, RANGE_PAGES * PAGE, 0), 0);
	for (int round = 0; round < 3; round++) {
		static void *pages[RANGES * RANGE_PAGES];
		size_t count = RANGES * RANGE_PAGES, expected = 0;

		for (int i = 0; i < RANGES; i++) {
			for (size_t n = 0; n < 400; n++) {
				p[(size_t)i * stride + (round == 0 ? 2 * n : n / 2) * PAGE]++;
				expected += round == 0 || n % 2 == 0;
			}
		}
		cr_assert_eq(ww_get(w, p, RANGES * stride, WW_ACROSS | WW_RESET, pages, &count), 0);
		cr_assert_eq(count, expected, "round %d: %zu", round, count);
	}
	ww_free(w);
	unmap(p, RANGES * stride);
}
