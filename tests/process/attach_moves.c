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

/* The process moves by mremap(2) what is watched. */

#define PAGES ((size_t)64)
#define WRITTEN 9

/* Where they are mapped, and where the process has what it moves. */
static char *memory, *target, *moved;
static size_t page, bytes;

enum order { WRITE = 'w', MOVE = 'm', MOVE_BACK = 'b' };

static int move(char *from, char *to)
{
	int flags = MREMAP_MAYMOVE | MREMAP_FIXED;

	return mremap(from, bytes, bytes, flags, to) == to ? 0 : errno;
}

static int obey(char order)
{
	char *from = moved;

	if (order == WRITE) {
		moved[WRITTEN * page]++;
		return 0;
	}
	moved = order == MOVE ? target : memory;
	return move(from, moved);
}

static void begin(void)
{
	attach_begin();
	leaks_begin();
	memset(&seam, 0, sizeof(seam));
	orders_begin(obey);
	page = page_bytes();
	bytes = PAGES * page;
	target = map_private(bytes);
	memory = map_private(bytes);
	moved = memory;
	madvise(memory, bytes, MADV_NOHUGEPAGE);
	memset(memory, 1, bytes);
}

static void end(void)
{
	orders_end();
	unmap(memory, bytes);
	unmap(target, bytes);
	leaks_end();
}

TestSuite(moves, .init = begin, .fini = end);

static void expect_one(struct ww_process *p, const char *at)
{
	cr_assert_eq(take_written(p, at, bytes), 0);
	tell(WRITE);
	cr_assert(is_written(p, at + WRITTEN * page, 0));
	cr_assert_eq(take_written(p, at, bytes), 1);
}

Test(moves, all_of_it_counts_as_written)
{
	pid_t pid = child_start_then(NULL, orders_take, NULL);
	struct ww_process *p = attach_to(pid);

	expect_one(p, memory);
	for (int i = 0; i < 2; i++) {
		tell(MOVE);
		cr_assert_eq(take_written(p, target, bytes), 0, "nobody has looked there yet");
		cr_assert_eq(ww_process_refresh(p), 0);
		cr_assert_eq(take_written(p, memory, bytes), 0);
		cr_assert_eq(take_written(p, target, bytes), PAGES);
		expect_one(p, target);
		tell(MOVE_BACK);
		cr_assert_eq(ww_process_refresh(p), 0);
		cr_assert_eq(take_written(p, memory, bytes), PAGES);
		expect_one(p, memory);
	}
	ww_process_close(p);
	child_end(pid);
}

static struct ww_process *other;

static bool is_target(uint64_t start, uint64_t end)
{
	return start < (uintptr_t)target + bytes && end > (uintptr_t)target;
}

/* As kernels before 6.12.11 leave it, that did not take back what the old place had. */
static void leave_protected(uint64_t start, uint64_t end)
{
	struct ww_page_range ranges[1];
	struct ww_process_query q = {
		.size = sizeof(q),
		.start = (uintptr_t)target,
		.end = (uintptr_t)target + bytes,
		.required = WW_PAGE_WRITTEN,
		.any_of = WW_PAGE_PRESENT | WW_PAGE_SWAPPED,
		.flags = WW_SCAN_RESET,
	};
	size_t count = 1;

	if (!is_target(start, end))
		return;
	seam.registered = NULL;
	cr_assert_eq(ww_process_scan(other, &q, ranges, &count), 0);
	cr_assert_eq(q.pages, PAGES);
}

Test(moves, also_where_the_kernel_leaves_it_protected)
{
	pid_t pid = child_start_then(NULL, orders_take, NULL);
	struct ww_process *p = attach_to(pid);

	cr_assert_eq(ww_process_open(&other, pid, 0), 0);
	tell(MOVE);
	seam.registered = leave_protected;
	cr_assert_eq(ww_process_refresh(p), 0);
	cr_assert_null(seam.registered);
	cr_assert_eq(take_written(p, target, bytes), PAGES);
	cr_assert_eq(ww_process_refresh(p), 0);
	expect_one(p, target);
	ww_process_close(other);
	ww_process_close(p);
	child_end(pid);
}

static void fail_to_unprotect(uint64_t start, uint64_t end)
{
	leave_protected(start, end);
	if (is_target(start, end))
		seam.fail_protect = ENOENT;
}

Test(moves, a_refresh_that_cannot_mend_it_leaves_it_to_the_next)
{
	pid_t pid = child_start_then(NULL, orders_take, NULL);
	struct ww_process *p = attach_to(pid);

	cr_assert_eq(ww_process_open(&other, pid, 0), 0);
	tell(MOVE);
	seam.registered = fail_to_unprotect;
	cr_assert_eq(ww_process_refresh(p), 0);
	cr_assert_eq(seam.fail_protect, ENOENT);
	cr_assert_eq(take_written(p, target, bytes), 0);
	seam.fail_protect = 0;
	cr_assert_eq(ww_process_refresh(p), 0);
	cr_assert_eq(take_written(p, target, bytes), PAGES);
	ww_process_close(other);
	ww_process_close(p);
	child_end(pid);
}
