/* SPDX-License-Identifier: MIT */
#include "helpers.h"

#include <string.h>

WINAPI_SUITE(winapi_protection);

#define SIZE (16 * PAGE)
#define RESET WRITE_WATCH_FLAG_RESET

Test(winapi_protection, changes_neither_set_nor_clear)
{
	BYTE *base = alloc_watched(16);

	WRITE(base, 2, 4);
	EXPECT_PROTECT(base, 3 * PAGE, PAGE_READONLY, PAGE_READWRITE);
	EXPECT_QUERY(base, 3 * PAGE, MEM_COMMIT, PAGE_READONLY);
	EXPECT_WRITTEN(base, 16, 0, "2 4");
	EXPECT_PROTECT(base, 3 * PAGE, PAGE_READWRITE, PAGE_READONLY);
	EXPECT_WRITTEN(base, 16, 0, "2 4");
	EXPECT_QUERY(base, SIZE, MEM_COMMIT, PAGE_READWRITE);
	release(base);
}

Test(winapi_protection, memory_without_access_can_be_asked_and_reset)
{
	BYTE *base = VirtualAlloc(NULL, SIZE, MEM_RESERVE | MEM_WRITE_WATCH, PAGE_NOACCESS);

	EXPECT_WRITTEN(base, 16, 0, "");
	EXPECT_RESET(base, SIZE);
	SUCCEEDS(VirtualAlloc(base, SIZE, MEM_COMMIT, PAGE_NOACCESS) == base);
	EXPECT_WRITTEN(base, 16, 0, "");
	EXPECT_PROTECT(base, 6 * PAGE, PAGE_READWRITE, PAGE_NOACCESS);
	EXPECT_WRITTEN(base, 16, 0, "");
	WRITE(base, 5);
	EXPECT_RESET(base + 6 * PAGE, 10 * PAGE);
	EXPECT_PROTECT(base, 6 * PAGE, PAGE_NOACCESS, PAGE_READWRITE);
	EXPECT_WRITTEN(base, 16, 0, "5");
	EXPECT_RESET(base, SIZE);
	EXPECT_WRITTEN(base, 16, RESET, "");
	EXPECT_PROTECT(base, SIZE, PAGE_READWRITE, PAGE_NOACCESS);
	cr_assert(eq(u8, base[5 * PAGE], 1));
	WRITE(base, 5);
	EXPECT_WRITTEN(base, 16, RESET, "5");
	release(base);
}

Test(winapi_protection, read_only_pages_can_be_reset)
{
	BYTE *base = alloc_watched(16);

	WRITE(base, 14, 15);
	EXPECT_PROTECT(base + 15 * PAGE, PAGE, PAGE_READONLY, PAGE_READWRITE);
	EXPECT_RESET(base + 15 * PAGE, PAGE);
	EXPECT_WRITTEN(base, 16, 0, "14");
	EXPECT_WRITTEN(base, 16, RESET, "14");
	release(base);
}

Test(winapi_protection, the_first_page_tells_the_old_protection)
{
	BYTE *base = alloc_watched(16);

	EXPECT_PROTECT(base + 4 * PAGE, PAGE, PAGE_EXECUTE_READ, PAGE_READWRITE);
	EXPECT_PROTECT(base + 3 * PAGE + 1, PAGE, PAGE_READONLY, PAGE_READWRITE);
	EXPECT_QUERY(base + 3 * PAGE, 2 * PAGE, MEM_COMMIT, PAGE_READONLY);
	EXPECT_PROTECT(base + 4 * PAGE + 1, 1, PAGE_EXECUTE, PAGE_READONLY);
	EXPECT_PROTECT(base + 4 * PAGE, SIZE - 4 * PAGE, PAGE_READWRITE, PAGE_EXECUTE);
	EXPECT_QUERY(base + 3 * PAGE, PAGE, MEM_COMMIT, PAGE_READONLY);
	EXPECT_QUERY(base + 4 * PAGE, 12 * PAGE, MEM_COMMIT, PAGE_READWRITE);
	release(base);
}

Test(winapi_protection, checks_its_arguments)
{
	BYTE *base = alloc_watched(16);
	DWORD old = POISON;

	FAILS_WITH(ERROR_NOACCESS, VirtualProtect(base, PAGE, PAGE_READONLY, NULL));
	FAILS_WITH(ERROR_INVALID_PARAMETER, VirtualProtect(base, 0, PAGE_READONLY, &old));
	FAILS_WITH(ERROR_INVALID_PARAMETER, VirtualProtect(base, SIZE_MAX, PAGE_READONLY, &old));
	FAILS_WITH(ERROR_INVALID_PARAMETER,
		   VirtualProtect((void *)UINTPTR_MAX, 1, PAGE_READONLY, &old));
	FAILS_WITH(ERROR_INVALID_ADDRESS, VirtualProtect(base, SIZE + 1, PAGE_READONLY, &old));
	FAILS_WITH(ERROR_INVALID_ADDRESS, VirtualProtect(base - 1, 2, PAGE_READONLY, &old));
	FAILS_WITH(ERROR_INVALID_ADDRESS, VirtualProtect(NULL, 1, PAGE_READONLY, &old));
	cr_assert(eq(u32, old, POISON));
	EXPECT_QUERY(base, SIZE, MEM_COMMIT, PAGE_READWRITE);
	WRITE(base, 0);
	release(base);
}

Test(winapi_protection, needs_committed_pages)
{
	BYTE *base = alloc_watched(16);
	DWORD old = POISON;

	SUCCEEDS(VirtualFree(base + 3 * PAGE, PAGE, MEM_DECOMMIT));
	FAILS_WITH(ERROR_INVALID_ADDRESS, VirtualProtect(base, SIZE, PAGE_READONLY, &old));
	FAILS_WITH(ERROR_INVALID_ADDRESS,
		   VirtualProtect(base + 3 * PAGE, PAGE, PAGE_READONLY, &old));
	cr_assert(eq(u32, old, POISON));
	EXPECT_PROTECT(base, 3 * PAGE, PAGE_READONLY, PAGE_READWRITE);
	EXPECT_PROTECT(base + 4 * PAGE, 12 * PAGE, PAGE_READONLY, PAGE_READWRITE);
	release(base);
}

Test(winapi_protection, every_protection_is_reported_as_it_was_set)
{
	static const DWORD protects[] = {
		PAGE_NOACCESS,
		PAGE_READONLY,
		PAGE_READWRITE,
		PAGE_EXECUTE,
		PAGE_EXECUTE_READ,
		PAGE_EXECUTE_READWRITE,
		PAGE_READONLY | PAGE_GUARD,
		PAGE_READWRITE | PAGE_NOCACHE,
		PAGE_EXECUTE_READWRITE | PAGE_WRITECOMBINE,
	};
	BYTE *base = alloc_watched(16);
	DWORD before = PAGE_READWRITE;

	for (size_t i = 0; i < sizeof(protects) / sizeof(*protects); i++) {
		EXPECT_PROTECT(base + PAGE, 2 * PAGE, protects[i], before);
		if (protects[i] != PAGE_READWRITE)
			EXPECT_QUERY(base + PAGE, 2 * PAGE, MEM_COMMIT, protects[i]);
		before = protects[i];
	}
	EXPECT_WRITTEN(base, 16, 0, "");
	release(base);
}

Test(winapi_protection, every_protection_gives_its_access)
{
	static const struct {
		DWORD protect;
		const char *access;
	} rows[] = {
		{PAGE_NOACCESS, "-"},
		{PAGE_READONLY, "r"},
		{PAGE_READWRITE, "rw"},
		{PAGE_EXECUTE, "r"},
		{PAGE_EXECUTE_READ, "r"},
		{PAGE_EXECUTE_READWRITE, "rw"},
		{PAGE_READWRITE | PAGE_GUARD, "-"},
		{PAGE_READWRITE | PAGE_NOCACHE, "rw"},
		{PAGE_READONLY | PAGE_WRITECOMBINE, "r"},
	};
	BYTE *base = alloc_watched(16);
	DWORD old;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		SUCCEEDS(VirtualProtect(base + PAGE, PAGE, rows[i].protect, &old));
		EXPECT_ACCESS(base + PAGE, rows[i].access);
		EXPECT_ACCESS(base, "rw");
		EXPECT_WRITTEN(base, 16, WRITE_WATCH_FLAG_RESET,
			       strcmp(rows[i].access, "rw") == 0 ? "0 1" : "0");
	}
	release(base);
}
