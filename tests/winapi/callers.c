/* SPDX-License-Identifier: MIT */
#include "helpers.h"

#include <stdlib.h>
#include <string.h>

/* How the programs that call GetWriteWatch() call it. */

WINAPI_SUITE(winapi_callers);

#define RESET WRITE_WATCH_FLAG_RESET

/* Every page whose number is a multiple of step. */
static void write_every(BYTE *base, size_t pages, size_t step)
{
	for (size_t i = 0; i < pages; i += step)
		WRITE(base, i);
}

/* A collector with a list of 100 that goes on behind the last page it was told. */
static size_t collect_by_advancing(DWORD flags, BYTE *base, size_t size, BYTE *seen)
{
	enum { N = 100 };
	PVOID addrs[N];
	BYTE *at = base, *const end = base + size;
	size_t total = 0;

	for (;;) {
		ULONG_PTR count = N;
		DWORD granularity;

		SUCCEEDS(GetWriteWatch(flags, at, (SIZE_T)(end - at), addrs, &count,
				       &granularity) == 0);
		cr_assert(eq(u32, granularity, (DWORD)PAGE));
		for (size_t i = 0; i < count; i++)
			seen[((uintptr_t)addrs[i] - ((uintptr_t)base & ~(PAGE - 1))) / PAGE]++;
		total += count;
		if (count < N)
			return total;
		at = (BYTE *)addrs[N - 1] + PAGE;
		if (at >= end)
			return total;
	}
}

static void expect_every(const BYTE *seen, size_t pages, size_t step)
{
	for (size_t i = 0; i < pages; i++)
		cr_assert(eq(u8, seen[i], i % step == 0), "page %zu", i);
}

Test(winapi_callers, advance_behind_a_full_list)
{
	enum { PAGES = 4096 };
	static BYTE seen[PAGES];
	BYTE *base = alloc_watched(PAGES);

	write_every(base, PAGES, 3);
	cr_assert(eq(sz, collect_by_advancing(0, base, PAGES * PAGE, seen), 1366));
	expect_every(seen, PAGES, 3);
	memset(seen, 0, sizeof(seen));
	cr_assert(eq(sz, collect_by_advancing(RESET, base, PAGES * PAGE, seen), 1366));
	expect_every(seen, PAGES, 3);
	cr_assert(eq(sz, collect_by_advancing(RESET, base, PAGES * PAGE, seen), 0));
	release(base);
}

/* A card table begins anywhere: the first page may lie below it; one reset of the odd range ends.
 */
Test(winapi_callers, advance_from_an_unaligned_base_then_reset_it_all)
{
	enum { PAGES = 1024, ODD = 1000 };
	static BYTE seen[PAGES];
	BYTE *base = alloc_watched(PAGES);
	const size_t size = (PAGES - 1) * PAGE - 2 * ODD;

	write_every(base, PAGES, 1);
	collect_by_advancing(0, base + ODD, size, seen);
	for (size_t i = 0; i < PAGES; i++)
		cr_assert(eq(u8, seen[i], i < PAGES - 1), "page %zu", i);
	EXPECT_RESET(base + ODD, size);
	EXPECT_WRITTEN(base, PAGES, 0, "1023");
	release(base);
}

/* The same whole range until the list is not full any more: only what was returned was reset. */
Test(winapi_callers, repeat_the_whole_range_until_the_list_is_not_full)
{
	enum { PAGES = 3 * 4096, N = 2048 };
	static PVOID addrs[N];
	static BYTE seen[PAGES];
	BYTE *base = alloc_watched(PAGES);
	unsigned calls = 0;
	ULONG_PTR count;
	DWORD granularity;

	write_every(base, PAGES, 2);
	do {
		count = N;
		SUCCEEDS(GetWriteWatch(RESET, base, PAGES * PAGE, addrs, &count, &granularity) ==
			 0);
		for (size_t i = 0; i < count; i++)
			seen[(size_t)((BYTE *)addrs[i] - base) / PAGE]++;
		calls++;
	} while (count == N);
	cr_assert(eq(u32, calls, 4));
	expect_every(seen, PAGES, 2);
	EXPECT_WRITTEN(base, PAGES, 0, "");
	release(base);
}

Test(winapi_callers, one_page_asked_with_room_for_one)
{
	BYTE *base = alloc_watched(16);

	WRITE(base, 3);
	for (size_t i = 0; i < 16; i++) {
		PVOID addr = NULL;
		ULONG_PTR count = 1;
		DWORD granularity;

		SUCCEEDS(GetWriteWatch(RESET, base + i * PAGE, PAGE, &addr, &count, &granularity) ==
			 0);
		cr_assert(eq(sz, count, i == 3));
		cr_assert(eq(ptr, addr, i == 3 ? base + i * PAGE : NULL));
	}
	release(base);
}

/* "Is it dirty at all?" with a small list. */
Test(winapi_callers, eight_entries_to_ask_whether_anything_was_written)
{
	BYTE *base = alloc_watched(1024);
	PVOID addrs[8];
	ULONG_PTR count = 8;
	DWORD granularity;

	SUCCEEDS(GetWriteWatch(0, base, 1024 * PAGE, addrs, &count, &granularity) == 0);
	cr_assert(eq(sz, count, 0));
	write_every(base, 1024, 7);
	count = 8;
	SUCCEEDS(GetWriteWatch(0, base, 1024 * PAGE, addrs, &count, &granularity) == 0);
	cr_assert(eq(sz, count, 8));
	for (size_t i = 0; i < 8; i++)
		cr_assert(eq(ptr, addrs[i], base + 7 * i * PAGE));
	release(base);
}

Test(winapi_callers, segments_of_272_pages_reset_page_by_page)
{
	enum { PAGES = 272 };
	PVOID addrs[PAGES];
	BYTE *base = alloc_watched(PAGES);
	ULONG_PTR count = PAGES;
	DWORD granularity;

	write_every(base, PAGES, 1);
	for (size_t i = 0; i < PAGES; i++)
		if (i % 16)
			EXPECT_RESET(base + i * PAGE, PAGE);
	SUCCEEDS(GetWriteWatch(RESET, base, PAGES * PAGE, addrs, &count, &granularity) == 0);
	cr_assert(eq(sz, count, PAGES / 16));
	for (size_t i = 0; i < count; i++)
		cr_assert(eq(ptr, addrs[i], base + 16 * i * PAGE));

	/* Tail pages that are not used are made read-only and reset. */
	EXPECT_PROTECT(base + 270 * PAGE, 2 * PAGE, PAGE_READONLY, PAGE_READWRITE);
	EXPECT_RESET(base + 270 * PAGE, 2 * PAGE);
	EXPECT_WRITTEN(base, PAGES, 0, "");
	release(base);
}

/* A capture tool asks for mapped sizes that end inside a page, with room for every page. */
Test(winapi_callers, unaligned_sizes_with_room_for_every_page)
{
	BYTE *base = alloc_watched(16);
	PVOID addrs[16];
	ULONG_PTR count = 16;
	DWORD granularity;

	WRITE(base, 0, 9, 10);
	SUCCEEDS(GetWriteWatch(RESET, base, 9 * PAGE + 12, addrs, &count, &granularity) == 0);
	cr_assert(eq(sz, count, 2));
	cr_assert(eq(ptr, addrs[1], base + 9 * PAGE));
	EXPECT_WRITTEN(base, 16, 0, "10");
	release(base);
}

static BOOL is_among(const BYTE *page, PVOID *addrs, size_t count)
{
	while (count > 0 && addrs[count - 1] != page)
		count--;
	return count > 0;
}

/* A rollback buffer fills one list for many regions, at a moving offset. */
Test(winapi_callers, several_regions_into_one_list)
{
	enum { REGIONS = 5 };
	PVOID addrs[REGIONS * 16];
	size_t first[REGIONS + 1] = {0};
	BYTE *base[REGIONS];

	for (size_t r = 0; r < REGIONS; r++) {
		base[r] = alloc_watched(16);
		WRITE(base[r], r, 10);
	}
	for (size_t r = 0; r < REGIONS; r++) {
		ULONG_PTR count = REGIONS * 16 - first[r];
		DWORD granularity;

		SUCCEEDS(GetWriteWatch(RESET, base[r], 16 * PAGE, addrs + first[r], &count,
				       &granularity) == 0);
		first[r + 1] = first[r] + count;
	}
	for (size_t r = 0; r < REGIONS; r++) {
		const size_t count = first[r + 1] - first[r];

		cr_assert(count == 2 || except(NOT_EXACT));
		cr_assert(is_among(base[r] + r * PAGE, addrs + first[r], count));
		cr_assert(is_among(base[r] + 10 * PAGE, addrs + first[r], count));
		release(base[r]);
	}
}

/* A debugger check: failing calls of other functions with this buffer do not write it. */
Test(winapi_callers, failing_calls_leave_a_watched_buffer_alone)
{
	BYTE *base = alloc_watched(16);
	PVOID *addrs = (PVOID *)base;
	ULONG_PTR count = 16;
	DWORD granularity;

	cr_assert(eq(u32, GetWriteWatch(2, base, PAGE, addrs, &count, &granularity), ~0u));
	cr_assert(eq(sz, VirtualQuery(base, (MEMORY_BASIC_INFORMATION *)base, 1), 0));
	cr_assert(eq(int, VirtualProtect(base, PAGE, 0, (DWORD *)base), FALSE));
	EXPECT_WRITTEN(base, 16, 0, "");
	release(base);
}

/* The list itself may lie in watched memory. */
Test(winapi_callers, a_list_in_watched_memory)
{
	BYTE *base = alloc_watched(16);
	PVOID *addrs = (PVOID *)(base + 8 * PAGE);
	ULONG_PTR count = 16;
	DWORD granularity;

	WRITE(base, 2, 5);
	SUCCEEDS(GetWriteWatch(RESET, base, 16 * PAGE, addrs, &count, &granularity) == 0);
	cr_assert(eq(sz, count, 2));
	cr_assert(eq(ptr, addrs[0], base + 2 * PAGE));
	cr_assert(eq(ptr, addrs[1], base + 5 * PAGE));
	EXPECT_WRITTEN(base, 16, 0, "8");
	release(base);
}
