/* SPDX-License-Identifier: MIT */
#include "helpers.h"

#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>

/* Not for the checkers: they need address space of their own. */

WINAPI_SUITE(winapi_no_memory);

#define WATCHED (MEM_RESERVE | MEM_COMMIT | MEM_WRITE_WATCH)

Test(winapi_no_memory, no_address_space_is_not_enough_memory)
{
	struct rlimit limit = {.rlim_cur = (rlim_t)1 << 30, .rlim_max = (rlim_t)1 << 30};
	BYTE *base = alloc_watched(16);

	WRITE(base, 2);
	setrlimit(RLIMIT_AS, &limit);
	FAILS_WITH(ERROR_NOT_ENOUGH_MEMORY,
		   VirtualAlloc(NULL, (SIZE_T)1 << 30, WATCHED, PAGE_READWRITE));
	EXPECT_WRITTEN(base, 16, 0, "2");
	release(base);
}

static size_t max_map_count(void)
{
	FILE *file = fopen("/proc/sys/vm/max_map_count", "re");
	size_t count = 0;

	if (file == NULL || fscanf(file, "%zu", &count) != 1)
		cr_skip_test("cannot read vm.max_map_count");
	fclose(file);
	return count;
}

/* Makes every other page read-only until the process has no mapping left; returns where it ended.
 */
static size_t use_up_mappings(BYTE *base, size_t pages)
{
	DWORD old = POISON;

	for (size_t i = 1; i < pages; i += 2) {
		SetLastError(POISON);
		if (VirtualProtect(base + i * PAGE, PAGE, PAGE_READONLY, &old))
			continue;
		cr_assert(eq(u32, GetLastError(), ERROR_NOT_ENOUGH_MEMORY));
		return i;
	}
	return pages;
}

static void expect_writable(BYTE *page)
{
	MEMORY_BASIC_INFORMATION info;

	for (size_t i = 0; i < 2; i++) {
		EXPECT_ACCESS(page + i * PAGE, "rw");
		SUCCEEDS(VirtualQuery(page + i * PAGE, &info, sizeof(info)) == sizeof(info));
		cr_assert(eq(u32, info.State, MEM_COMMIT));
		cr_assert(eq(u32, info.Protect, PAGE_READWRITE));
	}
}

/* The kernel changes the front of a range before it finds that it cannot divide what follows. */
Test(winapi_no_memory, a_protection_that_fails_half_way_changes_nothing, .timeout = 120)
{
	const size_t limit = max_map_count(), pages = limit + 16;
	DWORD old = POISON;
	BYTE *front, *large;

	if (limit > 300000)
		cr_skip_test("vm.max_map_count is too large to be used up");
	/*
	 * A writable page that is a mapping of its own, as it is marked so that the kernel cannot
	 * join it to the writable pages behind it, which are one mapping.
	 */
	front = alloc_watched(16);
	cr_assert(eq(int, madvise(front, PAGE, MADV_DONTDUMP), 0));
	large = VirtualAlloc(NULL, pages * PAGE, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
	cr_assert(lt(sz, use_up_mappings(large, pages) + 8, pages));
	/* If one mapping was left, which is not enough for a page in the middle, this takes it. */
	VirtualProtect(large + (pages - 1) * PAGE, PAGE, PAGE_READONLY, &old);

	old = POISON;
	FAILS_WITH(ERROR_NOT_ENOUGH_MEMORY, VirtualProtect(front, 2 * PAGE, PAGE_NOACCESS, &old));
	cr_assert(eq(u32, old, POISON));
	expect_writable(front);
	FAILS_WITH(ERROR_NOT_ENOUGH_MEMORY, VirtualFree(front, 2 * PAGE, MEM_DECOMMIT));
	expect_writable(front);
	EXPECT_WRITTEN(front, 2, WRITE_WATCH_FLAG_RESET, "0 1");
	release(large);
	release(front);
}

/* The kernel joins three allocations to one mapping; releasing the middle one would divide it. */
Test(winapi_no_memory, a_release_that_fails_loses_nothing, .timeout = 120)
{
	const SIZE_T unit = 16 * PAGE;
	const size_t limit = max_map_count(), pages = limit + 16;
	BYTE *large, *hole, *middle;
	DWORD old;

	if (limit > 300000)
		cr_skip_test("vm.max_map_count is too large to be used up");
	hole = free_place();
	for (size_t i = 0; i < 3; i++)
		SUCCEEDS(VirtualAlloc(hole + i * unit, unit, WATCHED, PAGE_READWRITE) ==
			 hole + i * unit);
	middle = hole + unit;
	/* Where this divides the mapping, there is nothing left to fail. */
	if (except(NO_MPROTECT))
		left_out("a page in the middle that was written", NO_MPROTECT);
	else
		WRITE(middle, 3);
	large = VirtualAlloc(NULL, pages * PAGE, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
	use_up_mappings(large, pages);
	VirtualProtect(large + (pages - 1) * PAGE, PAGE, PAGE_READONLY, &old);

	FAILS_WITH(ERROR_NOT_ENOUGH_MEMORY, VirtualFree(middle, 0, MEM_RELEASE));
	EXPECT_ACCESS(middle + PAGE, "rw");
	release(large);
	EXPECT_WRITTEN(middle, 16, WRITE_WATCH_FLAG_RESET,
		       more_when_short() ? "0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15" : "1 3");
	WRITE(middle, 7);
	EXPECT_WRITTEN(middle, 16, 0, "7");
	for (size_t i = 0; i < 3; i++)
		release(hole + i * unit);
}
