/* SPDX-License-Identifier: MIT */
#include "helpers.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

WINAPI_SUITE(winapi_query);

#define UNIT ((SIZE_T)0x10000)

/* What a program that writes them to a file, or to another process, relies on. */
Test(winapi_query, types_have_the_sizes_of_windows)
{
	cr_assert(eq(sz, sizeof(BYTE), 1));
	cr_assert(eq(sz, sizeof(WORD), 2));
	cr_assert(eq(sz, sizeof(BOOL), 4));
	cr_assert(eq(sz, sizeof(INT), 4));
	cr_assert(eq(sz, sizeof(UINT), 4));
	cr_assert(eq(sz, sizeof(LONG), 4));
	cr_assert(eq(sz, sizeof(ULONG), 4));
	cr_assert(eq(sz, sizeof(DWORD), 4));
	cr_assert(eq(sz, sizeof(NTSTATUS), 4));
	cr_assert(eq(sz, sizeof(ULONGLONG), 8));
	cr_assert(eq(sz, sizeof(SIZE_T), sizeof(void *)));
	cr_assert(eq(sz, sizeof(ULONG_PTR), sizeof(void *)));
	cr_assert(eq(sz, sizeof(HANDLE), sizeof(void *)));
	cr_assert(eq(sz, sizeof(MEMORY_BASIC_INFORMATION), sizeof(void *) == 8 ? 48 : 28));
	cr_assert(eq(sz, sizeof(SYSTEM_INFO), sizeof(void *) == 8 ? 48 : 36));
}

Test(winapi_query, checks_its_arguments)
{
	MEMORY_BASIC_INFORMATION info, before;
	BYTE *base = alloc_watched(16);

	memset(&info, 0x5a, sizeof(info));
	before = info;
	FAILS_WITH(ERROR_BAD_LENGTH, VirtualQuery(base, &info, sizeof(info) - 1));
	FAILS_WITH(ERROR_BAD_LENGTH, VirtualQuery(base, &info, 0));
	FAILS_WITH(ERROR_NOACCESS, VirtualQuery(base, NULL, sizeof(info)));
	FAILS_WITH(ERROR_INVALID_PARAMETER, VirtualQuery((void *)UINTPTR_MAX, &info, sizeof(info)));
	cr_assert(eq(int, memcmp(&info, &before, sizeof(info)), 0));
	release(base);
}

Test(winapi_query, more_room_than_needed_is_fine)
{
	struct {
		MEMORY_BASIC_INFORMATION info;
		BYTE more[64];
	} answer;
	BYTE *base = alloc_watched(16);

	SUCCEEDS(VirtualQuery(base, &answer.info, sizeof(answer)) == sizeof(answer.info));
	cr_assert(eq(sz, answer.info.RegionSize, UNIT));
	release(base);
}

Test(winapi_query, joins_pages_that_are_alike)
{
	BYTE *base = VirtualAlloc(NULL, 16 * PAGE, MEM_RESERVE | MEM_WRITE_WATCH, PAGE_NOACCESS);

	for (size_t i = 4; i < 8; i++)
		SUCCEEDS(VirtualAlloc(base + i * PAGE, PAGE, MEM_COMMIT, PAGE_READWRITE) ==
			 base + i * PAGE);
	SUCCEEDS(VirtualAlloc(base + 8 * PAGE, PAGE, MEM_COMMIT, PAGE_READONLY) == base + 8 * PAGE);
	EXPECT_QUERY(base, 4 * PAGE, MEM_RESERVE, 0);
	EXPECT_QUERY(base + 4 * PAGE, 4 * PAGE, MEM_COMMIT, PAGE_READWRITE);
	EXPECT_QUERY(base + 8 * PAGE, PAGE, MEM_COMMIT, PAGE_READONLY);
	EXPECT_QUERY(base + 9 * PAGE, 7 * PAGE, MEM_RESERVE, 0);
	/* From the page that was asked about, not from the beginning of the run. */
	EXPECT_QUERY(base + 6 * PAGE + 123, 2 * PAGE, MEM_COMMIT, PAGE_READWRITE);
	release(base);
}

Test(winapi_query, does_not_join_allocations)
{
	BYTE *hole = VirtualAlloc(NULL, 2 * UNIT, MEM_RESERVE, PAGE_NOACCESS);
	const DWORD type = MEM_RESERVE | MEM_COMMIT;
	MEMORY_BASIC_INFORMATION info;

	release(hole);
	SUCCEEDS(VirtualAlloc(hole, UNIT, type, PAGE_READWRITE) == hole);
	SUCCEEDS(VirtualAlloc(hole + UNIT, UNIT, type, PAGE_READWRITE) == hole + UNIT);
	EXPECT_QUERY(hole, UNIT, MEM_COMMIT, PAGE_READWRITE);
	SUCCEEDS(VirtualQuery(hole + UNIT + PAGE, &info, sizeof(info)) == sizeof(info));
	cr_assert(eq(ptr, info.AllocationBase, hole + UNIT));
	cr_assert(eq(sz, info.RegionSize, UNIT - PAGE));
	release(hole);
	release(hole + UNIT);
}

Test(winapi_query, keeps_the_protection_of_the_allocation)
{
	BYTE *base = VirtualAlloc(NULL, UNIT, MEM_RESERVE, PAGE_READONLY);
	MEMORY_BASIC_INFORMATION info;

	SUCCEEDS(VirtualAlloc(base, UNIT, MEM_COMMIT, PAGE_READWRITE) == base);
	SUCCEEDS(VirtualQuery(base, &info, sizeof(info)) == sizeof(info));
	cr_assert(eq(u32, info.AllocationProtect, PAGE_READONLY));
	cr_assert(eq(u32, info.Protect, PAGE_READWRITE));
	release(base);
}

Test(winapi_query, released_memory_is_free)
{
	BYTE *hole = VirtualAlloc(NULL, 4 * UNIT, MEM_RESERVE, PAGE_NOACCESS);
	MEMORY_BASIC_INFORMATION info;

	release(hole);
	SUCCEEDS(VirtualAlloc(hole + UNIT, PAGE, MEM_RESERVE, PAGE_NOACCESS) == hole + UNIT);
	EXPECT_QUERY(hole + PAGE, UNIT - PAGE, MEM_FREE, PAGE_NOACCESS);
	SUCCEEDS(VirtualQuery(hole + UNIT + PAGE, &info, sizeof(info)) == sizeof(info));
	cr_assert(eq(u32, info.State, MEM_FREE));
	cr_assert(eq(ptr, info.AllocationBase, NULL));
	cr_assert(eq(u32, info.AllocationProtect, 0));
	cr_assert(eq(u32, info.Type, 0));
	cr_assert(ge(sz, info.RegionSize, 2 * UNIT));
	release(hole + UNIT);
}

Test(winapi_query, everything_else_comes_from_the_system)
{
	const int prot = PROT_READ | PROT_WRITE;
	BYTE *shared = mmap(NULL, UNIT, prot, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	MEMORY_BASIC_INFORMATION info;

	EXPECT_QUERY(shared + PAGE, UNIT - PAGE, MEM_COMMIT, PAGE_READWRITE);
	SUCCEEDS(VirtualQuery(shared + PAGE, &info, sizeof(info)) == sizeof(info));
	cr_assert(eq(u32, info.Type, MEM_MAPPED));
	cr_assert(eq(ptr, info.AllocationBase, shared));
	munmap(shared, UNIT);

	SUCCEEDS(VirtualQuery(&info, &info, sizeof(info)) == sizeof(info));
	cr_assert(eq(u32, info.State, MEM_COMMIT));
	cr_assert(eq(u32, info.Protect, PAGE_READWRITE));
	cr_assert(eq(u32, info.Type, MEM_PRIVATE));

	/* The test program's own code. */
	SUCCEEDS(VirtualQuery((void *)(uintptr_t)&expect_query, &info, sizeof(info)) ==
		 sizeof(info));
	cr_assert(eq(u32, info.Protect, PAGE_EXECUTE_READ));
	cr_assert(eq(u32, info.Type, MEM_MAPPED));
	EXPECT_GET_FAILS(ERROR_INVALID_PARAMETER, 0, info.BaseAddress, info.RegionSize);

	SUCCEEDS(VirtualQuery(NULL, &info, sizeof(info)) == sizeof(info));
	cr_assert(eq(u32, info.State, MEM_FREE));
}

Test(winapi_query, neighbours_that_the_kernel_joined_are_kept_apart)
{
	BYTE *hole = VirtualAlloc(NULL, 3 * UNIT, MEM_RESERVE, PAGE_NOACCESS);
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
	MEMORY_BASIC_INFORMATION info;
	BYTE *middle = hole + UNIT;

	release(hole);
	SUCCEEDS(VirtualAlloc(hole, UNIT, MEM_RESERVE, PAGE_READWRITE) == hole);
	SUCCEEDS(VirtualAlloc(hole + 2 * UNIT, UNIT, MEM_RESERVE, PAGE_READWRITE) ==
		 hole + 2 * UNIT);
	cr_assert(eq(ptr, mmap(middle, UNIT, PROT_NONE, flags, -1, 0), middle));
	EXPECT_QUERY(middle + PAGE, UNIT - PAGE, MEM_COMMIT, PAGE_NOACCESS);
	SUCCEEDS(VirtualQuery(middle + PAGE, &info, sizeof(info)) == sizeof(info));
	cr_assert(eq(ptr, info.AllocationBase, middle));
	munmap(middle, UNIT);
	release(hole);
	release(hole + 2 * UNIT);
}

Test(winapi_query, walks_the_address_space)
{
	BYTE *base = alloc_watched(16);
	MEMORY_BASIC_INFORMATION info;
	const BYTE *addr = NULL;
	BOOL met = FALSE;
	SYSTEM_INFO system;

	GetSystemInfo(&system);
	while (addr <= (BYTE *)system.lpMaximumApplicationAddress) {
		SUCCEEDS(VirtualQuery(addr, &info, sizeof(info)) == sizeof(info));
		cr_assert(eq(ptr, info.BaseAddress, (void *)addr));
		cr_assert(gt(sz, info.RegionSize, 0));
		if (addr == base) {
			met = TRUE;
			cr_assert(eq(sz, info.RegionSize, 16 * PAGE));
		}
		addr += info.RegionSize;
	}
	cr_assert(eq(int, met, TRUE));
	cr_assert(eq(ptr, (void *)addr, (BYTE *)system.lpMaximumApplicationAddress + 1));
	release(base);
}
