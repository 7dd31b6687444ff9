/* SPDX-License-Identifier: MIT */
#include "helpers.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

WINAPI_SUITE(winapi_tracking);

#define RESET WRITE_WATCH_FLAG_RESET

Test(winapi_tracking, fresh_memory_is_clean)
{
	BYTE *base = alloc_watched(16);
	BYTE *large = alloc_watched(2048);

	EXPECT_WRITTEN(base, 16, 0, "");
	EXPECT_WRITTEN(large, 2048, 0, "");
	release(large);
	release(base);
}

Test(winapi_tracking, a_written_page_is_reported_until_it_is_reset)
{
	BYTE *base = alloc_watched(16);

	WRITE(base, 1);
	EXPECT_WRITTEN(base, 16, 0, "1");
	EXPECT_WRITTEN(base, 16, 0, "1");
	EXPECT_WRITTEN(base, 16, RESET, "1");
	EXPECT_WRITTEN(base, 16, 0, "");
	WRITE(base, 4, 2);
	EXPECT_WRITTEN(base, 16, 0, "2 4");
	EXPECT_RESET(base, 3 * PAGE);
	EXPECT_WRITTEN(base, 16, 0, "4");
	EXPECT_RESET(base, 16 * PAGE);
	EXPECT_WRITTEN(base, 16, 0, "");
	release(base);
}

Test(winapi_tracking, a_store_across_two_pages_writes_both)
{
	BYTE *base = alloc_watched(16);

	WRITE(base, 4);
	memset(base + 2 * PAGE - 2, 1, 4);
	EXPECT_WRITTEN(base, 16, 0, "1 2 4");
	release(base);
}

Test(winapi_tracking, a_short_list_resets_what_it_returns)
{
	BYTE *base = alloc_watched(16);
	PVOID addrs[2] = {NULL, NULL};
	ULONG_PTR count = 1;
	DWORD granularity = POISON;

	WRITE(base, 1, 2, 4);
	SUCCEEDS(GetWriteWatch(RESET, base, 16 * PAGE, addrs, &count, &granularity) == 0);
	cr_assert(eq(sz, count, 1));
	cr_assert(eq(ptr, addrs[0], base + PAGE));
	cr_assert(eq(ptr, addrs[1], NULL));
	cr_assert(eq(u32, granularity, (DWORD)PAGE));
	EXPECT_WRITTEN(base, 16, 0, "2 4");
	release(base);
}

Test(winapi_tracking, a_short_list_without_reset_keeps_everything)
{
	BYTE *base = alloc_watched(16);
	PVOID addrs[2];
	ULONG_PTR count = 2;
	DWORD granularity;

	WRITE(base, 1, 2, 4);
	SUCCEEDS(GetWriteWatch(0, base, 16 * PAGE, addrs, &count, &granularity) == 0);
	cr_assert(eq(sz, count, 2));
	cr_assert(eq(ptr, addrs[1], base + 2 * PAGE));
	EXPECT_WRITTEN(base, 16, 0, "1 2 4");
	release(base);
}

Test(winapi_tracking, a_thousand_separate_pages_half_of_them_read_only)
{
	enum { PAGES = 2048 };
	static PVOID addrs[PAGES];
	BYTE *base = alloc_watched(PAGES);
	ULONG_PTR count = PAGES;
	DWORD granularity;

	for (size_t i = 0; i < PAGES; i += 2)
		WRITE(base, i);
	EXPECT_PROTECT(base, PAGES / 2 * PAGE, PAGE_READONLY, PAGE_READWRITE);
	SUCCEEDS(GetWriteWatch(0, base, PAGES * PAGE, addrs, &count, &granularity) == 0);
	cr_assert(eq(sz, count, PAGES / 2));
	for (size_t i = 0; i < count; i++)
		cr_assert(eq(ptr, addrs[i], base + 2 * i * PAGE));

	memset(addrs, 0, sizeof(addrs));
	SUCCEEDS(GetWriteWatch(RESET, base, PAGES * PAGE, addrs, &count, &granularity) == 0);
	cr_assert(eq(sz, count, PAGES / 2));
	for (size_t i = 0; i < count; i++)
		cr_assert(eq(ptr, addrs[i], base + 2 * i * PAGE));
	EXPECT_WRITTEN(base, PAGES, 0, "");
	release(base);
}

Test(winapi_tracking, reads_are_not_writes)
{
	BYTE *base = alloc_watched(16);
	unsigned sum = 0;

	for (size_t i = 0; i < 16; i++)
		sum += *(volatile BYTE *)(base + i * PAGE);
	cr_assert(eq(u32, sum, 0));
	EXPECT_WRITTEN(base, 16, 0, "");
	WRITE(base, 3);
	EXPECT_WRITTEN(base, 16, RESET, "3");
	for (size_t i = 0; i < 16; i++)
		sum += *(volatile BYTE *)(base + i * PAGE);
	EXPECT_WRITTEN(base, 16, 0, "");
	release(base);
}

#if defined(__x86_64__) || defined(__i386__)
Test(winapi_tracking, execution_is_not_a_write)
{
	static const BYTE code[] = {0xb8, 0x2a, 0, 0, 0, 0xc3}; /* mov eax, 42; ret */
	BYTE *base = alloc_watched(16);
	int (*function)(void);

	memcpy(base, code, sizeof(code));
	EXPECT_WRITTEN(base, 16, RESET, "0");
	EXPECT_PROTECT(base, 16 * PAGE, PAGE_EXECUTE_READWRITE, PAGE_READWRITE);
	memcpy(&function, &base, sizeof(function));
	cr_assert(eq(int, function(), 42));
	EXPECT_PROTECT(base, 16 * PAGE, PAGE_EXECUTE, PAGE_EXECUTE_READWRITE);
	cr_assert(eq(int, function(), 42));
	EXPECT_WRITTEN(base, 16, 0, "");
	release(base);
}
#endif

Test(winapi_tracking, writing_the_same_value_is_a_write)
{
	BYTE *base = alloc_watched(16);
	volatile BYTE *p = base + 5 * PAGE;

	*p = 7;
	EXPECT_RESET(base, 16 * PAGE);
	*p = 7;
	p[PAGE] |= 0;
	EXPECT_WRITTEN(base, 16, 0, "5 6");
	release(base);
}

/* Where the kernel cannot write to pages that are armed, the program has to write there first. */
static void read_five(int fd, BYTE *to, size_t room)
{
	if (except(NO_KERNEL_WRITES)) {
		cr_assert(eq(int, (int)read(fd, to, room), -1));
		cr_assert(eq(int, errno, EFAULT));
		left_out("read(2) into a page that was not written", NO_KERNEL_WRITES);
		memset(to, 1, 5);
	}
	cr_assert(eq(int, (int)read(fd, to, room), 5));
}

Test(winapi_tracking, what_the_kernel_writes_is_reported)
{
	BYTE *base = alloc_watched(16);
	int ends[2];

	cr_assert(eq(int, pipe(ends), 0));
	cr_assert(eq(int, (int)write(ends[1], "hello", 5), 5));
	read_five(ends[0], base + 4 * PAGE - 2, PAGE);
	EXPECT_WRITTEN(base, 16, RESET, "3 4");
	cr_assert(eq(int, memcmp(base + 4 * PAGE - 2, "hello", 5), 0));

	cr_assert(eq(int, (int)write(ends[1], "hello", 5), 5));
	read_five(ends[0], base + 9 * PAGE, 16);
	EXPECT_WRITTEN(base, 16, RESET, "9");
	close(ends[1]);
	cr_assert(eq(int, (int)read(ends[0], base, PAGE), 0));
	cr_assert(eq(int, (int)read(-1, base, PAGE), -1));
	EXPECT_WRITTEN(base, 16, 0, "");
	close(ends[0]);
	release(base);
}

/* Windows has no way to do this, Linux programs have: a part is replaced behind the API's back. */
Test(winapi_tracking, memory_mapped_over_counts_as_written_and_is_watched_on)
{
	BYTE *base;
	void *over;

	skip_if(NO_STALE);
	base = alloc_watched(16);
	WRITE(base, 1, 12);
	over = mmap(base + 4 * PAGE, 2 * PAGE, PROT_READ | PROT_WRITE,
		    MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	cr_assert(eq(ptr, over, base + 4 * PAGE));
	/* The first call fails inside and is repeated. */
	EXPECT_WRITTEN(base, 16, more_when_short() ? 0 : RESET, "1 4 5 12");
	EXPECT_RESET(base, 16 * PAGE);
	EXPECT_WRITTEN(base, 16, 0, "");
	WRITE(base, 5);
	EXPECT_WRITTEN(base, 16, 0, "5");

	over = mmap(base + 8 * PAGE, PAGE, PROT_READ | PROT_WRITE,
		    MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	cr_assert(eq(ptr, over, base + 8 * PAGE));
	EXPECT_RESET(base, 16 * PAGE);
	EXPECT_WRITTEN(base, 16, 0, "");
	over = mmap(base + 8 * PAGE, PAGE, PROT_READ | PROT_WRITE,
		    MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	SUCCEEDS(VirtualFree(base, 0, MEM_DECOMMIT));
	EXPECT_WRITTEN(base, 16, 0, "");
	release(base);
}
