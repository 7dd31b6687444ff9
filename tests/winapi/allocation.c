/* SPDX-License-Identifier: MIT */
#include "helpers.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "support/random.h"

WINAPI_SUITE(winapi_allocation);

#define UNIT ((SIZE_T)0x10000)
#define WATCHED (MEM_RESERVE | MEM_COMMIT | MEM_WRITE_WATCH)

Test(winapi_allocation, the_watch_is_invisible)
{
	BYTE *base = VirtualAlloc(NULL, UNIT, WATCHED, PAGE_READWRITE);
	MEMORY_BASIC_INFORMATION info;

	cr_assert(ne(ptr, base, NULL));
	EXPECT_QUERY(base, UNIT, MEM_COMMIT, PAGE_READWRITE);
	SUCCEEDS(VirtualQuery(base, &info, sizeof(info)) == sizeof(info));
	cr_assert(eq(u32, info.Type, MEM_PRIVATE));
	cr_assert(eq(u32, info.AllocationProtect, PAGE_READWRITE));
	cr_assert(eq(ptr, info.AllocationBase, base));
	release(base);
}

Test(winapi_allocation, the_initial_protection_does_not_matter)
{
	static const DWORD protects[] = {PAGE_READWRITE, PAGE_NOACCESS, PAGE_READONLY};

	for (size_t i = 0; i < sizeof(protects) / sizeof(*protects); i++) {
		BYTE *base = VirtualAlloc(NULL, UNIT, MEM_RESERVE | MEM_WRITE_WATCH, protects[i]);

		cr_assert(ne(ptr, base, NULL));
		EXPECT_QUERY(base, UNIT, MEM_RESERVE, 0);
		EXPECT_WRITTEN(base, UNIT / PAGE, 0, "");
		EXPECT_RESET(base, UNIT);
		SUCCEEDS(VirtualAlloc(base, UNIT, MEM_COMMIT, PAGE_READWRITE) == base);
		EXPECT_WRITTEN(base, UNIT / PAGE, WRITE_WATCH_FLAG_RESET, "");
		WRITE(base, 1);
		EXPECT_WRITTEN(base, UNIT / PAGE, WRITE_WATCH_FLAG_RESET, "1");
		release(base);
	}
}

Test(winapi_allocation, the_watch_needs_a_reservation)
{
	BYTE *base = VirtualAlloc(NULL, UNIT, MEM_RESERVE, PAGE_READWRITE);

	FAILS_WITH(ERROR_INVALID_PARAMETER,
		   VirtualAlloc(NULL, UNIT, MEM_WRITE_WATCH, PAGE_READWRITE));
	FAILS_WITH(ERROR_INVALID_PARAMETER,
		   VirtualAlloc(NULL, UNIT, MEM_COMMIT | MEM_WRITE_WATCH, PAGE_READWRITE));
	FAILS_WITH(ERROR_INVALID_PARAMETER,
		   VirtualAlloc(base, UNIT, MEM_COMMIT | MEM_WRITE_WATCH, PAGE_READWRITE));
	release(base);
}

Test(winapi_allocation, guard_pages_can_be_watched)
{
	BYTE *base = VirtualAlloc(NULL, UNIT, WATCHED, PAGE_READWRITE | PAGE_GUARD);

	cr_assert(ne(ptr, base, NULL));
	EXPECT_QUERY(base, UNIT, MEM_COMMIT, PAGE_READWRITE | PAGE_GUARD);
	EXPECT_WRITTEN(base, 16, 0, "");
	EXPECT_PROTECT(base, PAGE, PAGE_READWRITE, PAGE_READWRITE | PAGE_GUARD);
	WRITE(base, 0);
	EXPECT_WRITTEN(base, 16, WRITE_WATCH_FLAG_RESET, "0");
	release(base);
}

Test(winapi_allocation, large_pages_are_refused)
{
	const DWORD type = MEM_RESERVE | MEM_COMMIT | MEM_LARGE_PAGES;

	FAILS_WITH(ERROR_INVALID_PARAMETER,
		   VirtualAlloc(NULL, 1 << 21, type | MEM_WRITE_WATCH, PAGE_READWRITE));
	FAILS_WITH(ERROR_PRIVILEGE_NOT_HELD, VirtualAlloc(NULL, 1 << 21, type, PAGE_READWRITE));
}

Test(winapi_allocation, unknown_and_contradicting_types_are_refused)
{
	static const DWORD types[] = {
		0,
		MEM_TOP_DOWN,
		MEM_RESERVE | 0x80000000,
		MEM_RESERVE | MEM_DECOMMIT,
		MEM_RESERVE | MEM_RESET,
		MEM_COMMIT | MEM_RESET,
		MEM_RESET | MEM_RESET_UNDO,
	};

	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
		FAILS_WITH(ERROR_INVALID_PARAMETER,
			   VirtualAlloc(NULL, UNIT, types[i], PAGE_READWRITE));
}

Test(winapi_allocation, invalid_protections_are_refused)
{
	static const DWORD protects[] = {
		0,
		PAGE_WRITECOPY,
		PAGE_EXECUTE_WRITECOPY,
		PAGE_READONLY | PAGE_READWRITE,
		PAGE_GUARD,
		PAGE_NOACCESS | PAGE_GUARD,
		PAGE_NOACCESS | PAGE_NOCACHE,
		PAGE_READWRITE | PAGE_GUARD | PAGE_NOCACHE,
		PAGE_READWRITE | PAGE_NOCACHE | PAGE_WRITECOMBINE,
		PAGE_READWRITE | 0x1000,
		0xdeadbeef,
	};
	BYTE *base = alloc_watched(16);
	DWORD old = POISON;

	for (size_t i = 0; i < sizeof(protects) / sizeof(*protects); i++) {
		FAILS_WITH(ERROR_INVALID_PARAMETER,
			   VirtualAlloc(NULL, UNIT, MEM_RESERVE | MEM_COMMIT, protects[i]));
		FAILS_WITH(ERROR_INVALID_PARAMETER,
			   VirtualAlloc(base, UNIT, MEM_COMMIT, protects[i]));
		FAILS_WITH(ERROR_INVALID_PARAMETER, VirtualProtect(base, UNIT, protects[i], &old));
	}
	cr_assert(eq(u32, old, POISON));
	EXPECT_QUERY(base, UNIT, MEM_COMMIT, PAGE_READWRITE);
	release(base);
}

Test(winapi_allocation, sizes_and_addresses_out_of_reach_are_refused)
{
	FAILS_WITH(ERROR_INVALID_PARAMETER, VirtualAlloc(NULL, 0, WATCHED, PAGE_READWRITE));
	FAILS_WITH(ERROR_INVALID_PARAMETER, VirtualAlloc(NULL, SIZE_MAX, WATCHED, PAGE_READWRITE));
	FAILS_WITH(ERROR_INVALID_PARAMETER,
		   VirtualAlloc(NULL, SIZE_MAX / 2, WATCHED, PAGE_READWRITE));
	FAILS_WITH(ERROR_INVALID_PARAMETER,
		   VirtualAlloc((void *)0x1000, UNIT, WATCHED, PAGE_READWRITE));
	FAILS_WITH(ERROR_INVALID_PARAMETER,
		   VirtualAlloc((void *)(UINTPTR_MAX << 47), UNIT, WATCHED, PAGE_READWRITE));
	FAILS_WITH(ERROR_INVALID_PARAMETER,
		   VirtualAlloc((void *)(2 * UNIT), SIZE_MAX, WATCHED, PAGE_READWRITE));
}

Test(winapi_allocation, too_much_is_not_enough_memory)
{
	FAILS_WITH(ERROR_NOT_ENOUGH_MEMORY,
		   VirtualAlloc(NULL, (SIZE_T)0x7fff << 32, MEM_RESERVE, PAGE_READWRITE));
}

Test(winapi_allocation, allocations_begin_at_multiples_of_64_kib)
{
	BYTE *base[20];

	for (size_t i = 0; i < 20; i++) {
		base[i] = VirtualAlloc(NULL, (i + 1) * PAGE, WATCHED, PAGE_READWRITE);
		cr_assert(ne(ptr, base[i], NULL));
		cr_assert(eq(sz, (uintptr_t)base[i] % UNIT, 0));
		EXPECT_QUERY(base[i], (i + 1) * PAGE, MEM_COMMIT, PAGE_READWRITE);
	}
	for (size_t i = 0; i < 20; i++)
		release(base[i]);
}

Test(winapi_allocation, a_wished_address_is_rounded_down_and_the_size_up)
{
	BYTE *hole = VirtualAlloc(NULL, 4 * UNIT, MEM_RESERVE, PAGE_NOACCESS);
	BYTE *wish = hole + UNIT + PAGE + 5;

	release(hole);
	SUCCEEDS(VirtualAlloc(wish, PAGE, WATCHED, PAGE_READWRITE) == hole + UNIT);
	EXPECT_QUERY(hole + UNIT, 3 * PAGE, MEM_COMMIT, PAGE_READWRITE);
	hole[UNIT + 2 * PAGE] = 1;
	EXPECT_WRITTEN(hole + UNIT, 3, 0, "2");
	/* What is left of its 64 KiB cannot be reserved: that rounds down into it. */
	FAILS_WITH(ERROR_INVALID_ADDRESS,
		   VirtualAlloc(hole + UNIT + 8 * PAGE, PAGE, WATCHED, PAGE_READWRITE));
	release(hole + UNIT);
}

Test(winapi_allocation, a_taken_address_is_refused)
{
	BYTE *base = alloc_watched(16);
	void *foreign = mmap(NULL, 2 * UNIT, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	WRITE(base, 1);
	FAILS_WITH(ERROR_INVALID_ADDRESS, VirtualAlloc(base, PAGE, MEM_RESERVE, PAGE_READWRITE));
	FAILS_WITH(ERROR_INVALID_ADDRESS,
		   VirtualAlloc(base + UNIT - 1, 1, WATCHED, PAGE_READWRITE));
	FAILS_WITH(ERROR_INVALID_ADDRESS,
		   VirtualAlloc((BYTE *)foreign + UNIT, PAGE, WATCHED, PAGE_READWRITE));
	EXPECT_WRITTEN(base, 16, 0, "1");
	munmap(foreign, 2 * UNIT);
	release(base);
}

Test(winapi_allocation, commit_at_no_address_reserves)
{
	BYTE *base = VirtualAlloc(NULL, PAGE + 1, MEM_COMMIT, PAGE_READWRITE);

	cr_assert(ne(ptr, base, NULL));
	EXPECT_QUERY(base, 2 * PAGE, MEM_COMMIT, PAGE_READWRITE);
	base[PAGE] = 1;
	release(base);
}

Test(winapi_allocation, commit_needs_a_reservation_around_it)
{
	BYTE *base = VirtualAlloc(NULL, UNIT, MEM_RESERVE | MEM_WRITE_WATCH, PAGE_READWRITE);
	BYTE *free_memory = VirtualAlloc(NULL, UNIT, MEM_RESERVE, PAGE_READWRITE);

	release(free_memory);
	FAILS_WITH(ERROR_INVALID_ADDRESS,
		   VirtualAlloc(free_memory, PAGE, MEM_COMMIT, PAGE_READWRITE));
	FAILS_WITH(ERROR_INVALID_ADDRESS, VirtualAlloc(base, UNIT + 1, MEM_COMMIT, PAGE_READWRITE));
	FAILS_WITH(ERROR_INVALID_ADDRESS, VirtualAlloc(base - 1, 2, MEM_COMMIT, PAGE_READWRITE));
	EXPECT_QUERY(base, UNIT, MEM_RESERVE, 0);
	release(base);
}

Test(winapi_allocation, pages_are_committed_piece_by_piece)
{
	BYTE *base = VirtualAlloc(NULL, UNIT, MEM_RESERVE | MEM_WRITE_WATCH, PAGE_NOACCESS);

	SUCCEEDS(VirtualAlloc(base + 2 * PAGE, PAGE, MEM_COMMIT, PAGE_READWRITE) ==
		 base + 2 * PAGE);
	/* Rounded to the pages that hold it. */
	SUCCEEDS(VirtualAlloc(base + 6 * PAGE - 1, 2, MEM_COMMIT, PAGE_READWRITE) ==
		 base + 5 * PAGE);
	EXPECT_QUERY(base, 2 * PAGE, MEM_RESERVE, 0);
	EXPECT_QUERY(base + 2 * PAGE, PAGE, MEM_COMMIT, PAGE_READWRITE);
	EXPECT_QUERY(base + 3 * PAGE, 2 * PAGE, MEM_RESERVE, 0);
	EXPECT_QUERY(base + 5 * PAGE, 2 * PAGE, MEM_COMMIT, PAGE_READWRITE);
	WRITE(base, 2, 6);
	EXPECT_WRITTEN(base, 16, WRITE_WATCH_FLAG_RESET, "2 6");
	WRITE(base, 5);
	SUCCEEDS(VirtualAlloc(base, UNIT, MEM_COMMIT, PAGE_READWRITE) == base);
	WRITE(base, 15);
	EXPECT_WRITTEN(base, 16, 0, "5 15");
	release(base);
}

Test(winapi_allocation, committing_again_keeps_content_and_state)
{
	BYTE *base = alloc_watched(16);

	base[PAGE] = 42;
	base[2 * PAGE] = 43;
	EXPECT_RESET(base + 2 * PAGE, PAGE);
	SUCCEEDS(VirtualAlloc(base, 3 * PAGE, MEM_COMMIT, PAGE_READONLY) == base);
	EXPECT_QUERY(base, 3 * PAGE, MEM_COMMIT, PAGE_READONLY);
	cr_assert(eq(u8, base[PAGE], 42));
	cr_assert(eq(u8, base[2 * PAGE], 43));
	EXPECT_WRITTEN(base, 16, 0, "1");
	release(base);
}

Test(winapi_allocation, modifiers_are_reported_and_have_no_effect)
{
	BYTE *base = VirtualAlloc(NULL, UNIT, WATCHED, PAGE_READWRITE | PAGE_WRITECOMBINE);

	cr_assert(ne(ptr, base, NULL));
	EXPECT_QUERY(base, UNIT, MEM_COMMIT, PAGE_READWRITE | PAGE_WRITECOMBINE);
	WRITE(base, 0, 1, 5, 9);
	EXPECT_WRITTEN(base, 16, 0, "0 1 5 9");
	EXPECT_PROTECT(base, UNIT, PAGE_READWRITE | PAGE_NOCACHE,
		       PAGE_READWRITE | PAGE_WRITECOMBINE);
	release(base);
}

Test(winapi_allocation, top_down_is_accepted)
{
	BYTE *base = VirtualAlloc(NULL, UNIT, WATCHED | MEM_TOP_DOWN, PAGE_READWRITE);

	cr_assert(ne(ptr, base, NULL));
	WRITE(base, 7);
	EXPECT_WRITTEN(base, 16, 0, "7");
	release(base);
}

Test(winapi_allocation, free_checks_its_arguments)
{
	/* Not on the stack, which may end less than a page behind it, where nothing can be freed. */
	static BYTE foreign;
	BYTE *base = alloc_watched(16);

	WRITE(base, 4);
	FAILS_WITH(ERROR_INVALID_PARAMETER, VirtualFree(base, UNIT, MEM_RELEASE));
	FAILS_WITH(ERROR_INVALID_PARAMETER, VirtualFree(base, 0, 0));
	FAILS_WITH(ERROR_INVALID_PARAMETER, VirtualFree(base, 0, MEM_FREE));
	FAILS_WITH(ERROR_INVALID_PARAMETER, VirtualFree(base, 0, MEM_DECOMMIT | MEM_RELEASE));
	FAILS_WITH(ERROR_INVALID_ADDRESS, VirtualFree(base + PAGE, 0, MEM_RELEASE));
	FAILS_WITH(ERROR_INVALID_ADDRESS, VirtualFree(base + PAGE, 0, MEM_DECOMMIT));
	FAILS_WITH(ERROR_INVALID_PARAMETER, VirtualFree(base, UNIT + 1, MEM_DECOMMIT));
	FAILS_WITH(ERROR_INVALID_PARAMETER, VirtualFree(base + PAGE, SIZE_MAX, MEM_DECOMMIT));
	FAILS_WITH(ERROR_INVALID_ADDRESS, VirtualFree(base + UNIT, 0, MEM_RELEASE));
	FAILS_WITH(ERROR_INVALID_ADDRESS, VirtualFree(NULL, 0, MEM_RELEASE));
	FAILS_WITH(ERROR_INVALID_ADDRESS, VirtualFree(&foreign, PAGE, MEM_DECOMMIT));
	FAILS_WITH(ERROR_INVALID_PARAMETER, VirtualFree((void *)UINTPTR_MAX, 0, MEM_RELEASE));
	EXPECT_WRITTEN(base, 16, 0, "4");
	release(base);
	FAILS_WITH(ERROR_INVALID_ADDRESS, VirtualFree(base, 0, MEM_RELEASE));
}

Test(winapi_allocation, released_memory_comes_back_clean)
{
	BYTE *base = alloc_watched(16);

	memset(base, 1, UNIT);
	release(base);
	SUCCEEDS(VirtualAlloc(base, UNIT, WATCHED, PAGE_READWRITE) == base);
	EXPECT_WRITTEN(base, 16, 0, "");
	cr_assert(eq(u8, base[PAGE], 0));
	release(base);
}

Test(winapi_allocation, one_granule_tells_whether_watching_works)
{
	BYTE *probe = VirtualAlloc(NULL, PAGE, MEM_WRITE_WATCH | MEM_RESERVE, PAGE_NOACCESS);
	PVOID addr;
	ULONG_PTR count = 1;
	DWORD granularity;

	cr_assert(ne(ptr, probe, NULL));
	SUCCEEDS(GetWriteWatch(WRITE_WATCH_FLAG_RESET, probe, PAGE, &addr, &count, &granularity) ==
		 0);
	cr_assert(eq(sz, count, 0));
	release(probe);
}

/* Allocated and released in an order that is no order. */
Test(winapi_allocation, thousands_of_allocations)
{
	enum { N = 3000, STRIDE = 1361 };
	static BYTE *base[N];

	for (size_t i = 0; i < N; i++)
		base[i] = VirtualAlloc(NULL, PAGE, i % 3 ? WATCHED : MEM_COMMIT, PAGE_READWRITE);
	for (size_t i = 0; i < N; i++) {
		cr_assert(ne(ptr, base[i], NULL));
		if (i % 2)
			base[i][0] = 1;
	}
	for (size_t i = 0; i < N; i++) {
		const size_t n = i * STRIDE % N;

		if (n % 3)
			EXPECT_WRITTEN(base[n], 1, 0, n % 2 ? "0" : "");
		else
			EXPECT_GET_FAILS(ERROR_INVALID_PARAMETER, 0, base[n], PAGE);
		release(base[n]);
		EXPECT_GET_FAILS(ERROR_INVALID_PARAMETER, 0, base[n], PAGE);
	}
}

Test(winapi_allocation, a_large_reservation_is_used_at_its_end)
{
	/* Before Linux 6.4 every page of it gets an entry in the page table. */
	const SIZE_T size = (SIZE_T)(in_a_hurry() ? 4 : 32) << 30;
	BYTE *base = VirtualAlloc(NULL, size, MEM_RESERVE | MEM_WRITE_WATCH, PAGE_READWRITE);
	BYTE *last = base + size - PAGE;

	cr_assert(ne(ptr, base, NULL));
	SUCCEEDS(VirtualAlloc(last, PAGE, MEM_COMMIT, PAGE_READWRITE) == last);
	*last = 1;
	EXPECT_WRITTEN(base + size - 16 * PAGE, 16, 0, "15");
	EXPECT_QUERY(base, size - PAGE, MEM_RESERVE, 0);
	release(base);
}

Test(winapi_allocation, system_info_tells_the_granularities)
{
	SYSTEM_INFO info;

	GetSystemInfo(&info);
	cr_assert(eq(u32, info.dwPageSize, (DWORD)PAGE));
	cr_assert(eq(u32, info.dwAllocationGranularity, 0x10000));
	cr_assert(eq(ptr, info.lpMinimumApplicationAddress, (void *)0x10000));
	cr_assert(gt(sz, (uintptr_t)info.lpMaximumApplicationAddress, (uintptr_t)&info));
	cr_assert(ge(u32, info.dwNumberOfProcessors, 1));
	ww_win_get_system_info(NULL);
}
