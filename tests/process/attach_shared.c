/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "attached.h"
#include "child.h"
#include "leaks.h"
#include "orders.h"
#include "pages.h"

/* Memory whose pages can be taken away without what was written to them: of files, and shared. */

#define PAGES 64
#define DROPPED 5
#define WRITTEN 9

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif

static char *memory;
static size_t page, bytes;

enum order { WRITE = 'w', DROP = 'd', RECLAIM = 'r', REPLACE = 'm' };

static int replace(void)
{
	memory = mmap(memory, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED,
		      -1, 0);
	if (memory == MAP_FAILED)
		return errno;
	for (size_t i = 0; i < PAGES; i++)
		memory[i * page] = 1;
	return 0;
}

static int obey(char order)
{
	if (order == WRITE)
		memory[DROPPED * page]++, memory[WRITTEN * page]++;
	if (order == DROP)
		madvise(memory + DROPPED * page, page, MADV_DONTNEED);
	if (order == RECLAIM) {
		msync(memory, bytes, MS_SYNC);
		madvise(memory + DROPPED * page, page, MADV_PAGEOUT);
	}
	return order == REPLACE ? replace() : 0;
}

static void begin(void)
{
	attach_begin();
	leaks_begin();
	orders_begin(obey);
	page = page_bytes();
	bytes = PAGES * page;
}

static void end(void)
{
	orders_end();
	unmap(memory, bytes);
	leaks_end();
}

TestSuite(shared, .init = begin, .fini = end);

/* All of it is there then: of what never was, older kernels tell nothing. */
static void touch(void *arg)
{
	(void)arg;
	for (size_t i = 0; i < PAGES; i++)
		memory[i * page] = 1;
}

static pid_t start(struct ww_process **p)
{
	pid_t pid = child_start_then(touch, orders_take, NULL);

	*p = attach_to(pid);
	cr_assert_eq(take_written(*p, memory, bytes), 0);
	return pid;
}

/* Asked without a reset, and with one. */
static void expect_both(struct ww_process *p)
{
	for (size_t i = 0; i < PAGES; i++)
		cr_assert_eq(is_written(p, memory + i * page, 0), i == DROPPED || i == WRITTEN,
			     "page %zu", i);
	cr_assert_eq(take_written(p, memory, bytes), 2);
	cr_assert_eq(take_written(p, memory, bytes), 0);
}

static bool is_empty(struct ww_process *p, const char *at)
{
	struct ww_page_range range;
	struct ww_process_query q = {
		.size = sizeof(q),
		.start = (uintptr_t)at,
		.end = (uintptr_t)at + page,
		.any_of = WW_PAGE_PRESENT | WW_PAGE_SWAPPED,
		.returned = WW_PAGE_PRESENT,
	};
	size_t count = 1;

	cr_assert_eq(ww_process_scan(p, &q, &range, &count), 0);
	return count == 0;
}

Test(shared, what_was_written_and_dropped_is_told)
{
	struct ww_process *p;
	pid_t pid;

	memory = map_common(bytes);
	pid = start(&p);
	for (int i = 0; i < 2; i++) {
		tell(WRITE);
		tell(DROP);
		cr_assert(is_empty(p, memory + DROPPED * page));
		expect_both(p);
	}
	/* Protected, it may come and go. */
	tell(DROP);
	cr_assert_eq(take_written(p, memory, bytes), 0);
	ww_process_close(p);
	child_end(pid);
}

Test(shared, what_was_written_and_reclaimed_is_told)
{
	char path[] = "attach-shared-XXXXXX";
	struct ww_process *p;
	int fd = mkstemp(path);
	bool reclaimed;
	pid_t pid;

	cr_assert_geq(fd, 0);
	cr_assert_eq(unlink(path), 0);
	cr_assert_eq(ftruncate(fd, (off_t)bytes), 0);
	memory = map_fd(NULL, bytes, MAP_SHARED, fd, 0);
	pid = start(&p);
	tell(WRITE);
	tell(RECLAIM);
	reclaimed = is_empty(p, memory + DROPPED * page);
	expect_both(p);
	ww_process_close(p);
	child_end(pid);
	close(fd);
	if (!reclaimed)
		cr_skip("the page was not reclaimed: this file system may be memory without swap");
}

/* The quick question takes what nobody watches for written. */
Test(shared, what_came_since_waits_for_a_refresh)
{
	struct ww_process *p;
	pid_t pid;

	memory = map_common(bytes);
	pid = start(&p);
	tell(REPLACE);
	cr_assert_not(is_written(p, memory + WRITTEN * page, 0));
	cr_assert_eq(take_written(p, memory, bytes), 0);
	tell(WRITE);
	tell(DROP);
	cr_assert_eq(ww_process_refresh(p), 0);
	cr_assert_eq(take_written(p, memory, bytes), PAGES, "what is empty may have been written");
	tell(WRITE);
	tell(DROP);
	expect_both(p);
	ww_process_close(p);
	child_end(pid);
}
