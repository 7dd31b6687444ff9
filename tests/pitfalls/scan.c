/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <writewatch/writewatch.h>

#include "leaks.h"
#include "pages.h"
#include "seam.h"

/* What PAGEMAP_SCAN itself gets wrong or makes easy to get wrong. */

#define PAGES 32768
#define PAGE 4096

static struct ww *w;
static char *memory;
static void *pages[PAGES];

static void begin(void)
{
	memset(&seam, 0, sizeof(seam));
	leaks_begin();
	cr_assert_eq(ww_new(&w, NULL), 0);
	memory = map_private(PAGES * PAGE);
}

static void end(void)
{
	/* On every path of every test: never a scan without a vector, for which the kernel ignores
	 * its masks and older ones crash, and never a reset of what is not known to be ours. */
	cr_expect_eq(seam.without_vector, 0);
	cr_expect_eq(seam.reset_unchecked, 0);
	memset(&seam, 0, sizeof(seam));
	ww_free(w);
	unmap(memory, PAGES * PAGE);
	leaks_end();
}

TestSuite(scan, .init = begin, .fini = end);

static void watch_populated(void)
{
	memset(memory, 1, PAGES * PAGE);
	cr_assert_eq(ww_watch(w, memory, PAGES * PAGE, 0), 0);
}

static void write_every_second(void)
{
	for (size_t i = 0; i < PAGES; i += 2)
		memory[i * PAGE]++;
}

static size_t get(unsigned flags)
{
	size_t count = PAGES;

	cr_assert_eq(ww_get(w, memory, PAGES * PAGE, flags, pages, &count), 0);
	return count;
}

static void expect_every_second(size_t count)
{
	cr_assert_eq(count, PAGES / 2);
	for (size_t i = 0; i < count; i++)
		cr_assert_eq(pages[i], memory + 2 * i * PAGE, "result %zu", i);
}

static long stale_walk_end(struct wwk_pm_scan_arg *arg, long result)
{
	if (result > 0 && (uint64_t)result == arg->vec_len)
		arg->walk_end = arg->start + PAGE;
	return result;
}

Test(scan, a_stale_walk_end_neither_loses_nor_repeats_pages)
{
	seam.scan_done = stale_walk_end;
	for (int lazy = 0; lazy <= 1; lazy++) {
		if (!lazy)
			watch_populated();
		write_every_second();
		expect_every_second(get(0));
		expect_every_second(get(WW_RESET));
		cr_assert_eq(get(0), 0);
		if (!lazy) {
			cr_assert_eq(ww_unwatch(w, memory, PAGES * PAGE), 0);
			madvise(memory, PAGES * PAGE, MADV_DONTNEED);
			cr_assert_eq(ww_watch(w, memory, PAGES * PAGE, 0), 0);
		}
	}
}

Test(scan, more_regions_than_a_vector_holds_are_all_there)
{
	watch_populated();
	write_every_second();
	expect_every_second(get(WW_RESET));
	cr_assert_eq(get(0), 0);
	cr_assert_gt(seam.scans, 4, "the test needs several calls to mean anything");
}

/* The kernel resets, and then the answer does not reach us. */
static void fail_and_recover(int error, int expected, int nth)
{
	size_t count = PAGES;

	write_every_second();
	seam.fail_scan = nth;
	seam.fail_with = error;
	cr_assert_eq(ww_get(w, memory, PAGES * PAGE, WW_RESET, pages, &count), expected);
	cr_assert_eq(count, PAGES, "count is untouched by a failure");
	count = get(WW_RESET);
	for (size_t i = 0, next = 0; i < PAGES / 2; i++) {
		while (next < count && (char *)pages[next] < memory + 2 * i * PAGE)
			next++;
		cr_assert(next < count && pages[next] == memory + 2 * i * PAGE,
			  "page %zu was lost", 2 * i);
	}
	cr_assert_eq(get(0), 0);
}

Test(scan, a_failing_reset_loses_nothing_of_populated_memory)
{
	watch_populated();
	for (int nth = 1; nth <= 4; nth++) {
		fail_and_recover(EFAULT, -EIO, nth);
		fail_and_recover(ENOMEM, -ENOMEM, nth);
		fail_and_recover(EINTR, -EIO, nth);
		fail_and_recover(EPERM, -ESTALE, nth);
	}
}

Test(scan, a_failing_reset_loses_nothing_of_lazily_armed_memory)
{
	cr_assert_eq(ww_watch(w, memory, PAGES * PAGE, 0), 0);
	for (int nth = 1; nth <= 4; nth++)
		fail_and_recover(ENOMEM, -ENOMEM, nth);
}

/* Even what should mend the first failure fails: the mark lasts until it can be settled. */
Test(scan, two_failures_in_a_row_lose_nothing)
{
	size_t count = PAGES;

	watch_populated();
	write_every_second();
	seam.fail_scan = 2;
	seam.fail_with = ENOMEM;
	seam.fail_protect = ENOMEM;
	cr_assert_eq(ww_get(w, memory, PAGES * PAGE, WW_RESET, pages, &count), -ENOMEM);
	cr_assert_eq(ww_get(w, memory, PAGES * PAGE, WW_RESET, pages, &count), -ENOMEM);
	cr_assert_eq(ww_mark(w, memory, PAGE), -ENOMEM);
	seam.fail_protect = 0;
	cr_assert_eq(get(WW_RESET), PAGES);
	cr_assert_eq(get(WW_RESET), 0);
}

Test(scan, a_failing_ww_reset_leaves_everything_written)
{
	watch_populated();
	write_every_second();
	seam.fail_scan = 2;
	seam.fail_with = ENOMEM;
	cr_assert_eq(ww_reset(w, memory, PAGES * PAGE), -ENOMEM);
	cr_assert_geq(get(0), PAGES / 2);
}

Test(scan, a_failing_look_changes_nothing)
{
	watch_populated();
	write_every_second();
	for (int nth = 1; nth <= 3; nth++) {
		size_t count = PAGES;

		seam.fail_scan = nth;
		seam.fail_with = ENOMEM;
		cr_assert_eq(ww_get(w, memory, PAGES * PAGE, 0, pages, &count), -ENOMEM);
	}
	expect_every_second(get(WW_RESET));
}

Test(scan, resets_never_protect_page_by_page)
{
	watch_populated();
	write_every_second();
	seam.protects = 0;
	expect_every_second(get(WW_RESET));
	write_every_second();
	cr_assert_eq(ww_reset(w, memory, PAGES * PAGE), 0);
	cr_assert_eq(get(0), 0);
	cr_assert_eq(seam.protects, 0);
}

/* Answers that no kernel should give; each is -EIO, and the pages are reported by the next get. */
static int lie;

static long lying_kernel(struct wwk_pm_scan_arg *arg, long result)
{
	struct wwk_page_region *v = (struct wwk_page_region *)(uintptr_t)arg->vec;

	if (!(arg->flags & WWK_PM_SCAN_WP_MATCHING) || result < 2)
		return result;
	switch (lie) {
	case 0:
		return (long)arg->vec_len + 1;
	case 1:
		v[1].start = v[0].start;
		break;
	case 2:
		v[result - 1].end = arg->end + PAGE;
		break;
	case 3:
		v[0].start = arg->start - PAGE;
		break;
	case 4:
		v[0].end = v[0].start;
		break;
	case 5:
		v[0].start++;
		break;
	case 6:
		v[0].end = UINT64_MAX & ~(uint64_t)(PAGE - 1);
		break;
	case 7:
		if ((uint64_t)result == arg->vec_len)
			arg->walk_end = arg->end + PAGE;
		break;
	}
	return result;
}

Test(scan, a_lying_kernel_is_an_error_and_loses_nothing)
{
	watch_populated();
	for (lie = 0; lie <= 7; lie++) {
		size_t count = PAGES;

		write_every_second();
		seam.scan_done = lying_kernel;
		cr_assert_eq(ww_get(w, memory, PAGES * PAGE, WW_RESET, pages, &count), -EIO,
			     "lie %d", lie);
		seam.scan_done = NULL;
		cr_assert_geq(get(WW_RESET), PAGES / 2, "lie %d", lie);
	}
}

Test(scan, short_room_resets_what_it_returns_and_nothing_else)
{
	static bool seen[PAGES];
	size_t count, total = 0;

	watch_populated();
	write_every_second();
	do {
		count = 7;
		cr_assert_eq(ww_get(w, memory, PAGES * PAGE, WW_RESET, pages, &count), 0);
		for (size_t i = 0; i < count; i++) {
			size_t page = (size_t)((char *)pages[i] - memory) / PAGE;

			cr_assert(page % 2 == 0 && !seen[page]);
			seen[page] = true;
		}
		total += count;
	} while (count == 7);
	cr_assert_eq(total, PAGES / 2);
}

/* Protecting all of a range that became dense would swallow what is written at that moment. */
Test(scan, promoting_a_dense_range_protects_by_scans_alone)
{
	cr_assert_eq(ww_watch(w, memory, PAGES * PAGE, 0), 0);
	seam.protects = 0;
	for (int round = 0; round < 4; round++) {
		write_every_second();
		memset(memory, 1, (PAGES / 2 + 1) * PAGE);
		cr_assert_geq(get(WW_RESET), PAGES / 2 + 1);
	}
	cr_assert_eq(seam.protects, 0);
	cr_assert_gt(seam.resetting_scans, 6, "the test needs a promotion to mean anything");
}
