/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <writewatch/process.h>

#include "../pitfalls/seam.h"
#include "leaks.h"
#include "pages.h"
#include "watch.h"

/* What a kernel may answer: it fails after it reset, and does not say where it stopped. */

#define PAGES ((size_t)16384)
#define LISTED ((size_t)4096) /* by one call of the library's */

static struct ww_process *p;
static char *memory;
static size_t page;
static int uffd = -1;
static struct ww_page_range ranges[PAGES];

static void begin(void)
{
	memset(&seam, 0, sizeof(seam));
	leaks_begin();
	page = page_bytes();
	memory = map_private(PAGES * page);
	madvise(memory, PAGES * page, MADV_NOHUGEPAGE);
	cr_assert_eq(ww_process_open(&p, 0, 0), 0);
	uffd = watch_open();
	if (uffd < 0 || !(ww_process_categories(p) & WW_PAGE_WATCHED))
		cr_skip_test("no PAGEMAP_SCAN, or userfaultfd is denied");
	for (size_t i = 0; i < PAGES; i++)
		memory[i * page] = 1;
	cr_assert(watch_attach(uffd, memory, PAGES * page));
	cr_assert(watch_protect(uffd, memory, PAGES * page));
	for (size_t i = 0; i < PAGES; i += 2)
		memory[i * page]++;
	seam.scans = 0;
}

static void end(void)
{
	cr_expect_eq(seam.without_vector, 0, "the kernel ignores all conditions then");
	memset(&seam, 0, sizeof(seam));
	ww_process_close(p);
	unmap(memory, PAGES * page);
	if (uffd >= 0)
		close(uffd);
	leaks_end();
}

TestSuite(errors, .init = begin, .fini = end);

static struct ww_process_query of_memory(void)
{
	return (struct ww_process_query){
		.size = sizeof(struct ww_process_query),
		.start = (uintptr_t)memory,
		.end = (uintptr_t)memory + PAGES * page,
		.required = WW_PAGE_WRITTEN,
		.returned = WW_PAGE_WRITTEN,
		.flags = WW_SCAN_RESET,
	};
}

static void expect_every_second(size_t from, size_t count)
{
	for (size_t i = 0; i < count; i++)
		cr_assert_eq(ranges[i].start, (uintptr_t)memory + (from + 2 * i) * page);
}

static long too_low(struct wwk_pm_scan_arg *arg, long result)
{
	if (result > 0 && (uint64_t)result == arg->vec_len)
		arg->walk_end = arg->start + 4096;
	return result;
}

Test(errors, a_stale_place_neither_loses_nor_repeats_pages)
{
	struct ww_process_query q = of_memory();
	size_t count = PAGES;

	seam.scan_done = too_low;
	for (int reset = 0; reset < 2; reset++) {
		q = of_memory();
		q.flags = reset ? WW_SCAN_RESET : 0;
		count = PAGES;
		seam.scans = 0;
		cr_assert_eq(ww_process_scan(p, &q, ranges, &count), 0);
		cr_assert_eq(count, PAGES / 2);
		expect_every_second(0, count);
		cr_assert(seam.scans > 2 && seam.scans < 5);
		cr_assert_eq(q.next, q.end);
	}
}

/* The third call fails, after it reset: all that is behind what was listed counts as listed. */
Test(errors, a_failing_reset_says_how_much_may_be_lost)
{
	static const int errors[][2] = {{ENOMEM, -ENOMEM}, {EFAULT, -EIO}, {EINTR, -EIO}};
	struct ww_process_query q = of_memory();
	size_t count = PAGES;

	for (size_t i = 0; i < 3; i++) {
		for (size_t n = 0; n < PAGES; n += 2)
			memory[n * page]++;
		q = of_memory();
		count = PAGES;
		seam.fail_scan = 2;
		seam.fail_with = errors[i][0];
		cr_assert_eq(ww_process_scan(p, &q, ranges, &count), errors[i][1]);
		cr_assert_eq(count, LISTED);
		cr_assert_eq(q.pages, LISTED);
		expect_every_second(0, count);
		cr_assert(q.next >= ranges[count - 1].end &&
			  q.next <= (uintptr_t)memory + 2 * LISTED * page);
	}
	count = PAGES;
	cr_assert_eq(ww_process_scan(p, &q, ranges, &count), 0, "it goes on");
	cr_assert_eq(count, 0, "all was reset");
}

static long nonsense(struct wwk_pm_scan_arg *arg, long result)
{
	struct wwk_page_region *v = (struct wwk_page_region *)(uintptr_t)arg->vec;

	v[0].start = v[0].end;
	return result;
}

static long too_many(struct wwk_pm_scan_arg *arg, long result)
{
	(void)result;
	return (long)arg->vec_len + 1;
}

Test(errors, answers_that_cannot_be)
{
	long (*const answers[])(struct wwk_pm_scan_arg *, long) = {nonsense, too_many};

	for (size_t i = 0; i < 2; i++) {
		struct ww_process_query q = of_memory();
		size_t count = PAGES;

		memory[0]++;
		seam.scan_done = answers[i];
		cr_assert_eq(ww_process_scan(p, &q, ranges, &count), -EIO);
		cr_assert(count == 0 && q.next == q.start);
	}
}

/* It reports nothing then, and all that may have been cleared later. */
Test(errors, a_failing_memwatch_loses_nothing)
{
	static uint64_t vec[PAGES];
	const uint64_t start = (uintptr_t)memory, len = PAGES * page;
	const unsigned get = WW_MEMWATCH_GET, both = get | WW_MEMWATCH_CLEAR;

	/* Before the scan another one looks whether all is watched. */
	for (int nth = 2; nth <= 3; nth++) {
		for (size_t n = 0; n < PAGES; n += 2)
			memory[n * page]++;
		seam.fail_scan = nth;
		seam.fail_with = ENOMEM;
		cr_assert_eq(ww_process_memwatch(p, start, len, both, vec, PAGES, NULL), -ENOMEM);
		cr_assert_eq(ww_process_memwatch(p, start, len, get, vec, PAGES, NULL), PAGES,
			     "in doubt, all of it");
		cr_assert_eq(ww_process_memwatch(p, start, len, both, vec, 10, NULL), 10);
		cr_assert_eq(ww_process_memwatch(p, start, len, get, vec, PAGES, NULL), PAGES - 10);
		cr_assert_eq(vec[0], 10);
		memory[0]++;
		/* It fails again, while something is kept. */
		seam.fail_scan = 2;
		cr_assert_eq(ww_process_memwatch(p, start, len, both, vec, PAGES, NULL), -ENOMEM);
		cr_assert_eq(ww_process_memwatch(p, start, len, both, vec, PAGES, NULL), PAGES);
		cr_assert_eq(vec[0], 0);
		cr_assert_eq(ww_process_memwatch(p, start, len, both, vec, PAGES, NULL), 0);
	}
}

static long no_tables(struct wwk_pm_scan_arg *arg, long result)
{
	return arg->flags & WWK_PM_SCAN_WP_MATCHING ? -ENOMEM : result;
}

/* That page tables are lacking is noticed at the first scan that makes some. */
Test(errors, attaching_fails_as_a_whole)
{
	struct ww_attachment info = {.size = sizeof(info)};

	seam.scan_done = no_tables;
	cr_assert_eq(ww_process_attach(p, 0), -ENOMEM);
	seam.scan_done = NULL;
	cr_assert_eq(ww_process_attachment(p, &info), 0);
	cr_assert_not(info.attached);
}

/* These lose writes in scans that reset, and misread what is swapped in those that do not. */
Test(errors, kernels_whose_scans_lose_writes_are_read)
{
	static const char *const releases[] = {"6.7.0", "6.8.9-1-amd64", "6.8.10", "6.9.1"};

	for (size_t i = 0; i < 4; i++) {
		struct ww_process *other;

		seam.release = releases[i];
		cr_assert_eq(ww_process_open(&other, 0, 0), 0);
		cr_assert_eq(!(ww_process_categories(other) & WW_PAGE_WATCHED), i < 2);
		ww_process_close(other);
	}
}
