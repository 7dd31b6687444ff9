/* SPDX-License-Identifier: MIT */
#include "helpers.h"

#include <string.h>

WINAPI_SUITE(winapi_arguments);

#define SIZE (16 * PAGE)

Test(winapi_arguments, get_refuses_null_base)
{
	EXPECT_GET_FAILS(ERROR_INVALID_PARAMETER, 0, NULL, SIZE);
}

Test(winapi_arguments, get_and_reset_refuse_memory_that_is_not_theirs)
{
	static BYTE data[1 << 16];
	BYTE stack[16];

	EXPECT_GET_FAILS(ERROR_INVALID_PARAMETER, 0, data, sizeof(data));
	EXPECT_GET_FAILS(ERROR_INVALID_PARAMETER, 0, stack, sizeof(stack));
	EXPECT_RESET_FAILS(ERROR_INVALID_PARAMETER, data, sizeof(data));
	EXPECT_RESET_FAILS(ERROR_INVALID_PARAMETER, NULL, SIZE);
}

Test(winapi_arguments, get_and_reset_refuse_an_allocation_without_the_watch)
{
	BYTE *base = VirtualAlloc(NULL, SIZE, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);

	EXPECT_GET_FAILS(ERROR_INVALID_PARAMETER, 0, base, SIZE);
	EXPECT_RESET_FAILS(ERROR_INVALID_PARAMETER, base, SIZE);
	release(base);
}

Test(winapi_arguments, get_and_reset_refuse_released_memory)
{
	BYTE *base = alloc_watched(16);

	release(base);
	EXPECT_GET_FAILS(ERROR_INVALID_PARAMETER, 0, base, SIZE);
	EXPECT_RESET_FAILS(ERROR_INVALID_PARAMETER, base, SIZE);
}

/* One call with each pointer given or not; what is given stays as it was. */
static void expect_pointers_fail(DWORD error, BYTE *base, PVOID *addrs, ULONG_PTR *count,
				 DWORD *granularity)
{
	const ULONG_PTR room = count != NULL ? *count : 0;
	const DWORD before = granularity != NULL ? *granularity : 0;

	SetLastError(POISON);
	cr_assert(eq(u32, GetWriteWatch(0, base, SIZE, addrs, count, granularity), ~0u));
	cr_assert(eq(u32, GetLastError(), error));
	if (count != NULL)
		cr_assert(eq(sz, *count, room));
	if (granularity != NULL)
		cr_assert(eq(u32, *granularity, before));
}

static void expect_order(DWORD error, DWORD flags, void *base, SIZE_T size, PVOID *addrs,
			 ULONG_PTR room, DWORD *granularity, int line)
{
	ULONG_PTR count = room;

	SetLastError(POISON);
	cr_assert(eq(u32, GetWriteWatch(flags, base, size, addrs, &count, granularity), ~0u),
		  "line %d", line);
	cr_assert(eq(u32, GetLastError(), error), "line %d", line);
	cr_assert(eq(sz, count, room), "line %d", line);
}

#define EXPECT_ORDER(...) expect_order(__VA_ARGS__, __LINE__)

/* Pointers to the count and the granularity, their values, flags, the list, the range. */
Test(winapi_arguments, get_checks_in_this_order)
{
	BYTE *base = alloc_watched(16);
	PVOID addrs[4] = {NULL};
	DWORD granularity = POISON;

	EXPECT_ORDER(ERROR_NOACCESS, 0, base, SIZE, addrs, 0, NULL);
	EXPECT_ORDER(ERROR_NOACCESS, POISON, base, SIZE, addrs, 4, NULL);
	EXPECT_ORDER(ERROR_INVALID_PARAMETER, 0, base, SIZE, NULL, 0, &granularity);
	EXPECT_ORDER(ERROR_INVALID_PARAMETER, 0, base, 0, NULL, 4, &granularity);
	EXPECT_ORDER(ERROR_INVALID_PARAMETER, POISON, base, SIZE, NULL, 4, &granularity);
	EXPECT_ORDER(ERROR_NOACCESS, 0, NULL, SIZE, NULL, 4, &granularity);
	EXPECT_ORDER(ERROR_NOACCESS, 0, base, 2 * SIZE, NULL, 4, &granularity);
	cr_assert(eq(u32, granularity, POISON));
	release(base);
}

Test(winapi_arguments, get_checks_its_pointers)
{
	BYTE *base = alloc_watched(16);
	PVOID addrs[64] = {NULL};
	ULONG_PTR count = 64, zero = 0;
	DWORD granularity = POISON;

	WRITE(base, 3);
	expect_pointers_fail(ERROR_NOACCESS, base, addrs, NULL, &granularity);
	expect_pointers_fail(ERROR_NOACCESS, base, addrs, &count, NULL);
	expect_pointers_fail(ERROR_NOACCESS, base, NULL, &count, &granularity);
	expect_pointers_fail(ERROR_NOACCESS, base, NULL, NULL, NULL);
	expect_pointers_fail(ERROR_INVALID_PARAMETER, base, addrs, &zero, &granularity);
	/* A count of 0 comes before the addresses. */
	expect_pointers_fail(ERROR_INVALID_PARAMETER, base, NULL, &zero, &granularity);
	cr_assert(eq(ptr, addrs[0], NULL));
	EXPECT_WRITTEN(base, 16, 0, "3");
	release(base);
}

Test(winapi_arguments, get_refuses_pointers_outside_user_space)
{
	BYTE *base = alloc_watched(16);
	PVOID addrs[64];
	ULONG_PTR count = 64, much = (ULONG_PTR)1 << 60, too_much = ~(ULONG_PTR)0;
	DWORD granularity = POISON;

	expect_pointers_fail(ERROR_NOACCESS, base, (PVOID *)8, &count, &granularity);
	expect_pointers_fail(ERROR_NOACCESS, base, (PVOID *)(UINTPTR_MAX - 63), &count,
			     &granularity);
	expect_pointers_fail(ERROR_NOACCESS, base, addrs, &much, &granularity);
	expect_pointers_fail(ERROR_INVALID_PARAMETER, base, addrs, &too_much, &granularity);
	SetLastError(POISON);
	cr_assert(eq(u32,
		     GetWriteWatch(0, base, SIZE, addrs, (ULONG_PTR *)UINTPTR_MAX, &granularity),
		     ~0u));
	cr_assert(eq(u32, GetLastError(), ERROR_NOACCESS));
	release(base);
}

Test(winapi_arguments, get_knows_one_flag)
{
	BYTE *base = alloc_watched(16);

	WRITE(base, 2);
	EXPECT_GET_FAILS(ERROR_INVALID_PARAMETER, 0xdeadbeef, base, SIZE);
	EXPECT_GET_FAILS(ERROR_INVALID_PARAMETER, 2, base, SIZE);
	EXPECT_GET_FAILS(ERROR_INVALID_PARAMETER, 3, base, SIZE);
	EXPECT_WRITTEN(base, 16, 0, "2");
	release(base);
}

Test(winapi_arguments, size_zero_is_refused)
{
	BYTE *base = alloc_watched(16);

	WRITE(base, 0);
	EXPECT_GET_FAILS(ERROR_INVALID_PARAMETER, 0, base, 0);
	EXPECT_RESET_FAILS(ERROR_INVALID_PARAMETER, base, 0);
	EXPECT_WRITTEN(base, 16, 0, "0");
	release(base);
}

Test(winapi_arguments, a_range_is_never_clipped)
{
	BYTE *base = alloc_watched(16);

	WRITE(base, 0, 15);
	EXPECT_GET_FAILS(ERROR_INVALID_PARAMETER, WRITE_WATCH_FLAG_RESET, base, 2 * SIZE);
	EXPECT_GET_FAILS(ERROR_INVALID_PARAMETER, WRITE_WATCH_FLAG_RESET, base + SIZE - PAGE,
			 PAGE + 1);
	EXPECT_GET_FAILS(ERROR_INVALID_PARAMETER, WRITE_WATCH_FLAG_RESET, base - 1, PAGE);
	EXPECT_GET_FAILS(ERROR_INVALID_PARAMETER, 0, base + SIZE, 1);
	EXPECT_RESET_FAILS(ERROR_INVALID_PARAMETER, base, 2 * SIZE);
	EXPECT_RESET_FAILS(ERROR_INVALID_PARAMETER, base + SIZE - PAGE, PAGE + 1);
	EXPECT_RESET_FAILS(ERROR_INVALID_PARAMETER, base - 1, PAGE);
	EXPECT_WRITTEN(base, 16, 0, "0 15");
	release(base);
}

Test(winapi_arguments, wrapping_ranges_and_kernel_space_are_refused)
{
	BYTE *base = alloc_watched(16);
	void *kernel = (void *)(UINTPTR_MAX << 47);

	WRITE(base, 1);
	EXPECT_GET_FAILS(ERROR_INVALID_PARAMETER, 0, base, SIZE_MAX);
	EXPECT_GET_FAILS(ERROR_INVALID_PARAMETER, 0, base, (SIZE_T)0 - (SIZE_T)base);
	EXPECT_GET_FAILS(ERROR_INVALID_PARAMETER, 0, base, SIZE_MAX / 2);
	EXPECT_GET_FAILS(ERROR_INVALID_PARAMETER, 0, kernel, SIZE);
	EXPECT_GET_FAILS(ERROR_INVALID_PARAMETER, 0, (void *)UINTPTR_MAX, 1);
	EXPECT_RESET_FAILS(ERROR_INVALID_PARAMETER, base, SIZE_MAX);
	EXPECT_RESET_FAILS(ERROR_INVALID_PARAMETER, base, SIZE_MAX / 2);
	EXPECT_RESET_FAILS(ERROR_INVALID_PARAMETER, kernel, SIZE);
	EXPECT_WRITTEN(base, 16, 0, "1");
	release(base);
}

/* Two allocations side by side, the first one without slack behind it. */
Test(winapi_arguments, a_range_lies_in_one_allocation)
{
	const size_t unit = 0x10000;
	BYTE *hole = free_place();
	const DWORD type = MEM_RESERVE | MEM_COMMIT | MEM_WRITE_WATCH;

	cr_assert(eq(ptr, VirtualAlloc(hole, unit, type, PAGE_READWRITE), hole));
	cr_assert(eq(ptr, VirtualAlloc(hole + unit, unit, type, PAGE_READWRITE), hole + unit));
	hole[unit - 1] = 1;
	hole[unit] = 1;
	EXPECT_GET_FAILS(ERROR_INVALID_PARAMETER, WRITE_WATCH_FLAG_RESET, hole, 2 * unit);
	EXPECT_GET_FAILS(ERROR_INVALID_PARAMETER, WRITE_WATCH_FLAG_RESET, hole + unit - 1, 2);
	EXPECT_RESET_FAILS(ERROR_INVALID_PARAMETER, hole, 2 * unit);
	EXPECT_WRITTEN(hole + unit - PAGE, 1, 0, "0");
	EXPECT_WRITTEN(hole + unit, 1, 0, "0");
	release(hole);
	EXPECT_WRITTEN(hole + unit, unit / PAGE, 0, "0");
	release(hole + unit);
}

Test(winapi_arguments, a_part_reports_its_own_pages)
{
	BYTE *base = alloc_watched(16);

	WRITE(base, 2, 3, 4, 5);
	EXPECT_WRITTEN(base + 3 * PAGE, 2, 0, "0 1");
	EXPECT_WRITTEN(base + 6 * PAGE, 10, 0, "");
	release(base);
}

Test(winapi_arguments, unaligned_ranges_are_rounded_outward)
{
	BYTE *base = alloc_watched(16);
	PVOID addrs[16];
	ULONG_PTR count = 16;
	DWORD granularity;

	WRITE(base, 3, 4, 5);
	SUCCEEDS(GetWriteWatch(0, base + 3 * PAGE + 100, PAGE, addrs, &count, &granularity) == 0);
	cr_assert(eq(sz, count, 2));
	cr_assert(eq(ptr, addrs[0], base + 3 * PAGE));
	cr_assert(eq(ptr, addrs[1], base + 4 * PAGE));
	EXPECT_RESET(base + 4 * PAGE + PAGE - 1, 2);
	EXPECT_WRITTEN(base, 16, 0, "3");
	EXPECT_RESET(base + 3 * PAGE + 7, 1);
	EXPECT_WRITTEN(base, 16, 0, "");
	release(base);
}

Test(winapi_arguments, nothing_is_stored_when_nothing_was_written)
{
	BYTE *base = alloc_watched(16);
	PVOID addrs[16];
	ULONG_PTR count = 16;
	DWORD granularity = POISON;

	memset(addrs, 0x5a, sizeof(addrs));
	SUCCEEDS(GetWriteWatch(0, base, SIZE, addrs, &count, &granularity) == 0);
	cr_assert(eq(sz, count, 0));
	cr_assert(eq(u32, granularity, (DWORD)PAGE));
	for (size_t i = 0; i < sizeof(addrs); i++)
		cr_assert(eq(u8, ((BYTE *)addrs)[i], 0x5a));
	release(base);
}

Test(winapi_arguments, last_error_is_kept_for_each_thread)
{
	SetLastError(12345);
	cr_assert(eq(u32, GetLastError(), 12345));
	SetLastError(0);
	cr_assert(eq(u32, GetLastError(), 0));
}
