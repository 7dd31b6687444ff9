/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "../pitfalls/seam.h"
#include "attached.h"
#include "child.h"
#include "leaks.h"
#include "orders.h"
#include "pages.h"
#include "watch.h"

/* Memory that belongs to another userfaultfd, where there was memory of ours before. */

#define PAGES 16
#define WRITTEN 3

static char *memory;
static size_t bytes;

enum order { MAP_ANEW = 'm', WRITE = 'w', WRITE_BEFORE = 'b', WATCH = 'W' };

static int map_anew(void)
{
	munmap(memory, bytes);
	if (mmap(memory, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		 0) != memory)
		return errno;
	return 0;
}

static int watch(void)
{
	int uffd = watch_open();

	memory[0] = 1;
	if (uffd < 0 || !watch_attach(uffd, memory, bytes) || !watch_protect(uffd, memory, bytes))
		return EIO;
	return 0;
}

static int obey(char order)
{
	if (order == MAP_ANEW)
		return map_anew();
	if (order == WATCH)
		return watch();
	if (order == WRITE)
		memory[WRITTEN * page_bytes()]++;
	if (order == WRITE_BEFORE)
		memory[-(ptrdiff_t)page_bytes()]++;
	return 0;
}

static void begin(void)
{
	memset(&seam, 0, sizeof(seam));
	attach_begin();
	leaks_begin();
	orders_begin(obey);
	bytes = PAGES * page_bytes();
	memory = map_private(bytes);
	madvise(memory, bytes, MADV_NOHUGEPAGE);
}

static void end(void)
{
	orders_end();
	unmap(memory, bytes);
	leaks_end();
}

TestSuite(others, .init = begin, .fini = end);

Test(others, watchers_keep_what_they_took)
{
	pid_t pid = child_start_then(NULL, orders_take, NULL);
	struct ww_process *first = attach_to(pid), *second = attach_to(pid);

	cr_assert_eq(take_written(first, memory, bytes), 0);
	tell(MAP_ANEW);
	cr_assert_eq(ww_process_refresh(second), 0);
	cr_assert_eq(ww_process_refresh(first), 0);
	tell(WRITE);
	cr_assert_eq(take_written(first, memory, bytes), 0, "it is the other's");
	cr_assert_eq(take_written(second, memory, bytes), 1);
	ww_process_close(first);
	tell(WRITE);
	cr_assert_eq(take_written(second, memory, bytes), 1);
	ww_process_close(second);
	child_end(pid);
}

Test(others, are_not_ended_by_who_was_there_before)
{
	pid_t pid = child_start_then(NULL, orders_take, NULL);
	struct ww_process *first = attach_to(pid), *second = attach_to(pid);

	tell(MAP_ANEW);
	cr_assert_eq(ww_process_refresh(second), 0);
	/* Which has not looked since. */
	ww_process_close(first);
	cr_assert_eq(ww_process_refresh(second), 0);
	tell(WRITE);
	cr_assert_eq(take_written(second, memory, bytes), 1);
	ww_process_close(second);
	child_end(pid);
}

/* Looks as the process itself would: nobody has told it of its write yet. */
static void expect_untold(struct ww_process *p)
{
	struct ww_page_range range = {0};
	struct ww_process_query q = {
		.size = sizeof(q),
		.start = (uintptr_t)memory,
		.end = (uintptr_t)memory + bytes,
		.required = WW_PAGE_WATCHED | WW_PAGE_WRITTEN,
		.any_of = WW_PAGE_PRESENT,
	};
	size_t count = 1;

	cr_assert_eq(ww_process_scan(p, &q, &range, &count), 0);
	cr_assert_eq(count, 1, "it is still to be found by itself");
	cr_assert_eq(range.start, q.start + WRITTEN * page_bytes());
	cr_assert_eq(range.end, range.start + page_bytes());
}

Test(others, the_process_itself_keeps_what_it_watches)
{
	pid_t pid = child_start_then(NULL, orders_take, NULL);
	struct ww_process *p = attach_to(pid);

	tell(MAP_ANEW);
	tell(WATCH);
	tell(WRITE);
	cr_assert_eq(take_written(p, memory, bytes), 0, "nobody has looked at the mappings since");
	expect_untold(p);
	cr_assert_eq(ww_process_refresh(p), 0);
	cr_assert_eq(take_written(p, memory, bytes), 0);
	expect_untold(p);
	ww_process_close(p);
	child_end(pid);
}

/* Between the last look at whose it is and the reset. */
static void begin_to_watch(uint64_t start, uint64_t end)
{
	if (start > (uintptr_t)memory + WRITTEN * page_bytes() || end <= (uintptr_t)memory)
		return;
	seam.registered = NULL;
	tell(MAP_ANEW);
	tell(WATCH);
	tell(WRITE);
}

Test(others, not_even_at_the_last_moment)
{
	pid_t pid = child_start_then(NULL, orders_take, NULL);
	struct ww_process *p = attach_to(pid);

	tell(WRITE);
	seam.registered = begin_to_watch;
	cr_assert_eq(take_written(p, memory, bytes), 0);
	cr_assert_null(seam.registered);
	expect_untold(p);
	ww_process_close(p);
	child_end(pid);
}

/* What lies beside it is told at once. */
Test(others, do_not_hide_what_is_ours)
{
	const size_t whole = bytes;
	char *beside = memory;
	pid_t pid;
	struct ww_process *p;

	memory += whole / 2;
	bytes = whole / 2;
	pid = child_start_then(NULL, orders_take, NULL);
	p = attach_to(pid);
	tell(MAP_ANEW);
	tell(WATCH);
	tell(WRITE);
	tell(WRITE_BEFORE);
	cr_assert_eq(take_written(p, beside, whole), 1);
	expect_untold(p);
	ww_process_close(p);
	child_end(pid);
	memory = beside;
	bytes = whole;
}
