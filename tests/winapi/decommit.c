/* SPDX-License-Identifier: MIT */
#include "helpers.h"

#include <string.h>

WINAPI_SUITE(winapi_decommit);

#define SIZE (16 * PAGE)
#define RESET WRITE_WATCH_FLAG_RESET

#define COMMIT(addr, size) SUCCEEDS(VirtualAlloc(addr, size, MEM_COMMIT, PAGE_READWRITE) == (addr))

Test(winapi_decommit, a_decommitted_page_does_not_disturb_the_others)
{
	BYTE *base = alloc_watched(16);

	SUCCEEDS(VirtualFree(base + PAGE, PAGE, MEM_DECOMMIT));
	EXPECT_PROTECT(base + 2 * PAGE, PAGE, PAGE_READWRITE, PAGE_READWRITE);
	EXPECT_WRITTEN(base, 16, RESET, "");
	WRITE(base, 2);
	EXPECT_WRITTEN(base, 16, RESET, "2");
	release(base);
}

Test(winapi_decommit, drops_the_written_state)
{
	BYTE *base = alloc_watched(16);

	WRITE(base, 3, 5);
	SUCCEEDS(VirtualFree(base, 0, MEM_DECOMMIT));
	EXPECT_WRITTEN(base, 16, 0, "");
	COMMIT(base, SIZE);
	EXPECT_WRITTEN(base, 16, 0, "");
	cr_assert(eq(u8, base[3 * PAGE], 0));
	WRITE(base, 4);
	EXPECT_WRITTEN(base, 16, RESET, "4");
	release(base);
}

Test(winapi_decommit, a_part_drops_its_own_state_only)
{
	BYTE *base = alloc_watched(16);

	WRITE(base, 2, 3, 4, 5);
	/* The pages that hold the range. */
	SUCCEEDS(VirtualFree(base + 4 * PAGE - 1, 2, MEM_DECOMMIT));
	EXPECT_QUERY(base, 3 * PAGE, MEM_COMMIT, PAGE_READWRITE);
	EXPECT_QUERY(base + 3 * PAGE, 2 * PAGE, MEM_RESERVE, 0);
	EXPECT_WRITTEN(base, 16, 0, "2 5");
	COMMIT(base + 3 * PAGE, PAGE);
	WRITE(base, 3);
	EXPECT_WRITTEN(base, 16, RESET, "2 3 5");
	release(base);
}

Test(winapi_decommit, a_recommitted_page_is_empty_and_clean)
{
	BYTE *base = alloc_watched(16);

	memset(base, 0xff, SIZE);
	for (int round = 0; round < 3; round++) {
		SUCCEEDS(VirtualFree(base, SIZE, MEM_DECOMMIT));
		COMMIT(base, SIZE);
		for (size_t i = 0; i < SIZE; i++)
			if (base[i] != 0)
				cr_fatal("byte %zu survived", i);
		EXPECT_WRITTEN(base, 16, 0, "");
		WRITE(base, 0, 15);
		EXPECT_WRITTEN(base, 16, 0, "0 15");
	}
	release(base);
}

Test(winapi_decommit, what_is_not_committed_can_be_decommitted)
{
	BYTE *base = VirtualAlloc(NULL, SIZE, MEM_RESERVE | MEM_WRITE_WATCH, PAGE_READWRITE);

	SUCCEEDS(VirtualFree(base, SIZE, MEM_DECOMMIT));
	SUCCEEDS(VirtualFree(base, 0, MEM_DECOMMIT));
	EXPECT_QUERY(base, SIZE, MEM_RESERVE, 0);
	release(base);
}

Test(winapi_decommit, works_without_the_watch_too)
{
	BYTE *base = VirtualAlloc(NULL, SIZE, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);

	memset(base, 1, SIZE);
	SUCCEEDS(VirtualFree(base + PAGE, 2 * PAGE, MEM_DECOMMIT));
	EXPECT_QUERY(base + PAGE, 2 * PAGE, MEM_RESERVE, 0);
	COMMIT(base + PAGE, 2 * PAGE);
	cr_assert(eq(u8, base[2 * PAGE], 0));
	cr_assert(eq(u8, base[3 * PAGE], 1));
	release(base);
}

Test(winapi_decommit, works_on_read_only_pages)
{
	BYTE *base = alloc_watched(16);

	WRITE(base, 1, 2);
	EXPECT_PROTECT(base, 2 * PAGE, PAGE_READONLY, PAGE_READWRITE);
	SUCCEEDS(VirtualFree(base, SIZE, MEM_DECOMMIT));
	EXPECT_WRITTEN(base, 16, 0, "");
	COMMIT(base, SIZE);
	cr_assert(eq(u8, base[PAGE], 0));
	EXPECT_WRITTEN(base, 16, 0, "");
	release(base);
}

Test(winapi_decommit, what_is_not_committed_cannot_be_accessed)
{
	BYTE *base = VirtualAlloc(NULL, SIZE, MEM_RESERVE | MEM_WRITE_WATCH, PAGE_READWRITE);

	EXPECT_ACCESS(base + PAGE, "-");
	COMMIT(base + PAGE, PAGE);
	EXPECT_ACCESS(base, "-");
	EXPECT_ACCESS(base + PAGE, "rw");
	SUCCEEDS(VirtualFree(base + PAGE, PAGE, MEM_DECOMMIT));
	EXPECT_ACCESS(base + PAGE, "-");
	release(base);
}

Test(winapi_decommit, reset_keeps_what_was_written)
{
	BYTE *base = alloc_watched(16);

	WRITE(base, 3, 4);
	EXPECT_WRITTEN(base + 3 * PAGE, 1, RESET, "0");
	SUCCEEDS(VirtualAlloc(base, SIZE, MEM_RESET, PAGE_NOACCESS) == base);
	EXPECT_QUERY(base, SIZE, MEM_COMMIT, PAGE_READWRITE);
	EXPECT_WRITTEN(base, 16, 0, "4");
	WRITE(base, 9);
	EXPECT_WRITTEN(base, 16, RESET, "4 9");
	SUCCEEDS(VirtualAlloc(base, SIZE, MEM_RESET_UNDO, PAGE_NOACCESS) == base);
	cr_assert(eq(u8, base[3 * PAGE], 1));
	cr_assert(eq(u8, base[4 * PAGE], 1));
	EXPECT_WRITTEN(base, 16, RESET, "");
	release(base);
}

Test(winapi_decommit, reset_checks_its_arguments)
{
	BYTE *base = alloc_watched(16);

	FAILS_WITH(ERROR_INVALID_PARAMETER, VirtualAlloc(base, 0, MEM_RESET, PAGE_READWRITE));
	FAILS_WITH(ERROR_INVALID_PARAMETER, VirtualAlloc(base, SIZE, MEM_RESET, 0));
	FAILS_WITH(ERROR_INVALID_ADDRESS, VirtualAlloc(base, SIZE + 1, MEM_RESET, PAGE_READWRITE));
	FAILS_WITH(ERROR_INVALID_ADDRESS, VirtualAlloc(&base, 1, MEM_RESET, PAGE_READWRITE));
	FAILS_WITH(ERROR_INVALID_ADDRESS, VirtualAlloc(NULL, PAGE, MEM_RESET_UNDO, PAGE_READWRITE));
	release(base);
}
