/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>
#include <writewatch/process.h>

#include "child.h"
#include "leaks.h"
#include "pages.h"
#include "watch.h"

/* Written pages of memory that is watched, or else by their soft-dirty bits. */

#define PAGES ((size_t)256)
#define GET WW_MEMWATCH_GET
#define CLEAR WW_MEMWATCH_CLEAR
#define BOTH (GET | CLEAR)

static struct ww_process *p;
static char *memory;
static size_t page;
static int uffd = -1;
static uint64_t vec[PAGES];
static unsigned limits;

static void begin(void)
{
	leaks_begin();
	page = page_bytes();
	/* Nothing is next to it that it could be joined with. */
	memory = map_reserve((PAGES + 2) * page, page);
	memory += page;
	mmap(memory, PAGES * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
	     -1, 0);
	madvise(memory, PAGES * page, MADV_NOHUGEPAGE);
	cr_assert_eq(ww_process_open(&p, 0, 0), 0);
	limits = 77;
}

static void end(void)
{
	ww_process_close(p);
	unmap(memory - page, (PAGES + 2) * page);
	if (uffd >= 0)
		close(uffd);
	leaks_end();
}

static void fill(void)
{
	for (size_t i = 0; i < PAGES; i++)
		memory[i * page] = 1;
}

static ssize_t watch(size_t first, size_t pages, unsigned flags, size_t room)
{
	return ww_process_memwatch(p, (uintptr_t)memory + first * page, pages * page, flags,
				   flags & GET ? vec : NULL, flags & GET ? room : 0, &limits);
}

/* By a caller who does not want to know how. */
static ssize_t watch_blindly(unsigned flags)
{
	return ww_process_memwatch(p, (uintptr_t)memory, PAGES * page, flags, vec, PAGES, NULL);
}

static ssize_t written(void)
{
	return watch(0, PAGES, GET, PAGES);
}

static void write_pages(size_t first, size_t count, size_t step)
{
	for (size_t i = 0; i < count; i++)
		memory[(first + i * step) * page]++;
}

static void expect_pages(size_t count, size_t first, size_t step)
{
	for (size_t i = 0; i < count; i++)
		cr_assert_eq(vec[i], first + i * step, "%zu: %lu", i, vec[i]);
}

/* What both ways have to do. */

static void get_and_clear(void)
{
	cr_assert_eq(written(), 0);
	write_pages(10, 5, 3);
	for (int i = 0; i < 2; i++) {
		cr_assert_eq(written(), 5, "a get does not clear");
		expect_pages(5, 10, 3);
	}
	cr_assert_eq(watch(5, 100, BOTH, PAGES), 5);
	expect_pages(5, 5, 3);
	cr_assert_eq(written(), 0);
}

static void the_first_10_of_100(void)
{
	write_pages(0, 100, 2);
	cr_assert_eq(watch(0, PAGES, GET, 10), 10);
	expect_pages(10, 0, 2);
	for (size_t i = 0; i < 10; i++) {
		cr_assert_eq(watch(0, PAGES, BOTH, 10), 10);
		expect_pages(10, 20 * i, 2);
		cr_assert_eq(written(), 90 - 10 * (ssize_t)i);
	}
	cr_assert_eq(written(), 0);
}

static void only_the_range_is_cleared(void)
{
	write_pages(0, PAGES, 1);
	cr_assert_eq(watch(100, 50, CLEAR, 0), 0);
	cr_assert_eq(written(), PAGES - 50);
	expect_pages(100, 0, 1);
	cr_assert_eq(vec[100], 150);
	cr_assert_eq(watch(0, 10, BOTH, PAGES), 10);
	cr_assert_eq(watch(0, 20, BOTH, PAGES), 10, "what was not reported was not cleared");
	expect_pages(10, 10, 1);
	write_pages(5, 1, 1);
	cr_assert_eq(written(), PAGES - 69);
	cr_assert_eq(vec[0], 5);
	cr_assert_eq(watch(0, PAGES, CLEAR, 0), 0);
	cr_assert_eq(written(), 0);
}

/* Watched memory. */

TestSuite(memwatch, .init = begin, .fini = end);

static void begin_watched(void)
{
	if (!(ww_process_categories(p) & WW_PAGE_WATCHED))
		cr_skip_test("the kernel has no PAGEMAP_SCAN");
	uffd = watch_open();
	if (uffd < 0)
		cr_skip_test("userfaultfd is denied, or does not protect asynchronously");
	fill();
	cr_assert(watch_attach(uffd, memory, PAGES * page));
	cr_assert(watch_protect(uffd, memory, PAGES * page));
}

Test(memwatch, get_and_clear)
{
	begin_watched();
	get_and_clear();
	cr_assert_eq(limits, 0, "all is as it should be");
}

Test(memwatch, the_first_10_of_100)
{
	begin_watched();
	the_first_10_of_100();
}

Test(memwatch, only_the_range_is_cleared)
{
	begin_watched();
	only_the_range_is_cleared();
}

Test(memwatch, no_limits_are_fine_where_there_are_none)
{
	begin_watched();
	write_pages(3, 2, 1);
	cr_assert_eq(watch_blindly(BOTH), 2);
	expect_pages(2, 3, 1);
}

Test(memwatch, guard_pages_are_not_reported)
{
	begin_watched();
	if (!(ww_process_categories(p) & WW_PAGE_GUARD))
		cr_skip_test("the kernel tells no guard pages");
	write_pages(3, 2, 1);
	cr_assert_eq(madvise(memory + 50 * page, page, 102 /* MADV_GUARD_INSTALL */), 0);
	cr_assert_eq(watch(0, PAGES, BOTH, PAGES), 2);
	expect_pages(2, 3, 1);
}

/* Memory whose content was dropped is written, but if only pages are asked for. */
Test(memwatch, empty_pages)
{
	begin_watched();
	madvise(memory + 20 * page, 10 * page, MADV_DONTNEED);
	memory[25 * page] = 1;
	if (written() != 10)
		cr_skip_test("the kernel does not report memory as written that was dropped");
	for (int i = 0; i < 2; i++) {
		cr_assert_eq(watch(0, PAGES, GET | WW_MEMWATCH_PAGES_ONLY, PAGES), 1);
		cr_assert_eq(vec[0], 25);
	}
	cr_assert_eq(watch(0, PAGES, BOTH | WW_MEMWATCH_PAGES_ONLY, PAGES), 1);
	cr_assert_eq(watch(0, PAGES, BOTH, PAGES), 9, "and nothing but that was cleared");
	cr_assert_eq(vec[5], 26);
	cr_assert_eq(written(), 0);
}

Test(memwatch, memory_that_is_not_watched)
{
	begin_watched();
	if (ww_process_categories(p) & WW_PAGE_SOFT_DIRTY)
		cr_skip_test("the kernel has soft-dirty bits for that");
	write_pages(3, 2, 1);
	munmap(memory + 100 * page, page);
	cr_assert_eq(watch(0, PAGES, BOTH, PAGES), 2, "a hole is fine");
	write_pages(3, 2, 1);
	mmap(memory + 100 * page, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	cr_assert_eq(watch(0, PAGES, BOTH, PAGES), -ENOTSUP);
	cr_assert_eq(watch(0, PAGES, CLEAR, 0), -ENOTSUP);
	cr_assert_eq(watch(0, 100, BOTH, PAGES), 2, "nothing was cleared");
}

static void write_when_watched(void *arg)
{
	volatile bool *ready = arg;

	fill();
	uffd = watch_open();
	*ready = watch_attach(uffd, memory, PAGES * page) &&
		 watch_protect(uffd, memory, PAGES * page);
	write_pages(7, 20, 2);
}

Test(memwatch, another_process)
{
	volatile bool *shared = mmap(NULL, page, PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid = child_start(write_when_watched, (void *)shared);
	bool ready = *shared && ww_process_categories(p) & WW_PAGE_WATCHED;

	unmap((void *)shared, page);
	ww_process_close(p);
	cr_assert_eq(ww_process_open(&p, pid, 0), 0);
	if (ready) {
		cr_assert_eq(watch(0, PAGES, BOTH, 5), 5);
		expect_pages(5, 7, 2);
		cr_assert_eq(watch(0, PAGES, BOTH, PAGES), 15);
		expect_pages(15, 17, 2);
		cr_assert_eq(written(), 0);
	}
	child_end(pid);
	if (ready)
		cr_assert_eq(written(), -ESRCH);
	else
		cr_skip_test("no PAGEMAP_SCAN, or userfaultfd is denied");
}

Test(memwatch, arguments)
{
	const uint64_t start = (uintptr_t)memory, half = UINT64_C(1) << 63;
	const unsigned pages_only = WW_MEMWATCH_PAGES_ONLY;
	const struct {
		struct ww_process *p;
		uint64_t start, len;
		unsigned flags;
		uint64_t *vec;
		size_t room;
	} bad[] = {
		{NULL, start, page, GET, vec, 1}, {p, start + 1, page, GET, vec, 1},
		{p, start, 0, GET, vec, 1}, {p, start, half, GET, vec, 1},
		{p, start, -start, GET, vec, 1}, {p, start, UINT64_MAX, GET, vec, 1},
		{p, half, page, GET, vec, 1}, {p, -page, page, GET, vec, 1},
		{p, start, page, 0, NULL, 0}, {p, start, page, pages_only, NULL, 0},
		{p, start, page, GET | pages_only << 1, vec, 1}, {p, start, page, GET, NULL, 1},
		{p, start, page, GET, vec, 0}, {p, start, page, CLEAR, vec, 1},
		{p, start, page, CLEAR, NULL, 1},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		cr_assert_eq(ww_process_memwatch(bad[i].p, bad[i].start, bad[i].len, bad[i].flags,
						 bad[i].vec, bad[i].room, &limits),
			     -EINVAL, "%zu", i);
	cr_assert_eq(limits, 77, "untouched");
}

/* Soft-dirty bits, on either way to read them. */

static void begin_soft_dirty(unsigned flags)
{
	ww_process_close(p);
	cr_assert_eq(ww_process_open(&p, 0, flags), 0);
	if (!(ww_process_categories(p) & WW_PAGE_SOFT_DIRTY))
		cr_skip_test("the kernel has no soft-dirty bits (CONFIG_MEM_SOFT_DIRTY)");
	fill();
	cr_assert_eq(watch(0, PAGES, CLEAR, 0), 0);
	cr_assert_eq(limits, WW_MEMWATCH_PROCESS_WIDE | WW_MEMWATCH_NOT_ATOMIC);
}

static void all_by_soft_dirty(unsigned flags)
{
	begin_soft_dirty(flags);
	get_and_clear();
	cr_assert_eq(limits, WW_MEMWATCH_NEW_MAPPINGS);
	the_first_10_of_100();
	only_the_range_is_cleared();
}

Test(memwatch, soft_dirty)
{
	all_by_soft_dirty(0);
}

Test(memwatch, soft_dirty_read_from_pagemap)
{
	all_by_soft_dirty(WW_PROCESS_READ_PAGEMAP);
}

Test(memwatch, soft_dirty_is_not_cleared_by_who_does_not_ask_how)
{
	begin_soft_dirty(0);
	write_pages(3, 2, 1);
	cr_assert_eq(watch_blindly(BOTH), -ENOTSUP);
	cr_assert_eq(watch_blindly(GET), 2);
}

Test(memwatch, soft_dirty_is_not_cleared_under_contexts_that_use_it)
{
	struct ww_options options = {.size = sizeof(options), .backend = "soft-dirty"};
	struct ww *w;

	begin_soft_dirty(0);
	cr_assert_eq(ww_new(&w, &options), 0);
	write_pages(3, 2, 1);
	cr_assert_eq(watch(0, PAGES, BOTH, PAGES), -EBUSY);
	cr_assert_eq(written(), 2);
	ww_free(w);
	cr_assert_eq(watch(0, PAGES, BOTH, PAGES), 2);
}

/* A new mapping is all soft-dirty, also what of it is empty. */
Test(memwatch, soft_dirty_new_mappings)
{
	begin_soft_dirty(0);
	mmap(memory + 100 * page, 20 * page, PROT_READ | PROT_WRITE,
	     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	memory[105 * page] = 1;
	cr_assert_eq(watch(100, 20, GET, PAGES), 20);
	cr_assert_eq(watch(100, 20, GET | WW_MEMWATCH_PAGES_ONLY, PAGES), 1);
	cr_assert_eq(vec[0], 5);
	/* What is cleared of the rest of the process is kept, and what it was. */
	cr_assert_eq(watch(0, 1, CLEAR, 0), 0);
	cr_assert_eq(watch(100, 20, GET | WW_MEMWATCH_PAGES_ONLY, PAGES), 1);
	cr_assert_eq(vec[0], 5);
	cr_assert_eq(watch(100, 20, BOTH | WW_MEMWATCH_PAGES_ONLY, PAGES), 1);
	cr_assert_eq(watch(100, 20, GET, PAGES), 19, "nothing but that was cleared");
	cr_assert_eq(watch(100, 20, BOTH, 7), 7);
	cr_assert_eq(watch(100, 20, BOTH, PAGES), 12);
	cr_assert_eq(watch(100, 20, BOTH, PAGES), 0);
}

Test(memwatch, soft_dirty_of_another_process)
{
	pid_t pid;

	begin_soft_dirty(0);
	pid = child_start(NULL, NULL);
	ww_process_close(p);
	cr_assert_eq(ww_process_open(&p, pid, 0), 0);
	fill();
	cr_assert_eq(watch(0, PAGES, CLEAR, 0), 0);
	cr_assert_eq(written(), 0, "the writes were not its own");
	child_end(pid);
	cr_assert_eq(written(), -ESRCH);
	cr_assert_eq(watch(0, PAGES, CLEAR, 0), -ESRCH);
}
