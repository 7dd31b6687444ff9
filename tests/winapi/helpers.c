/* SPDX-License-Identifier: MIT */
#include "helpers.h"

#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <writewatch/writewatch.h>

#include "support/leaks.h"

void winapi_begin(void)
{
	backend_begin();
	release(alloc_watched(1));
	leaks_begin();
}

void winapi_end(void)
{
	/* The context of the process stays. */
	if (except(KEEPS_TABLES))
		leaks_end_tables();
	else
		leaks_end_threads();
}

BYTE *alloc_watched(size_t pages)
{
	BYTE *base = VirtualAlloc(NULL, pages * PAGE, MEM_RESERVE | MEM_COMMIT | MEM_WRITE_WATCH,
				  PAGE_READWRITE);

	if (base == NULL)
		cr_fatal("VirtualAlloc: error %u", (unsigned)GetLastError());
	return base;
}

void release(void *base)
{
	SUCCEEDS(VirtualFree(base, 0, MEM_RELEASE));
}

/* The kernel fills a hole from its end. */
BYTE *free_place(void)
{
	const SIZE_T size = (SIZE_T)64 << 20;
	BYTE *hole = VirtualAlloc(NULL, size, MEM_RESERVE, PAGE_NOACCESS);

	release(hole);
	return hole + size / 2;
}

void write_pages(BYTE *base, const size_t *page, size_t count)
{
	for (size_t i = 0; i < count; i++)
		*(volatile BYTE *)(base + page[i] * PAGE) = 1;
}

static void append(char *text, size_t size, size_t number)
{
	const size_t used = strlen(text);

	snprintf(text + used, size - used, "%s%zu", used > 0 ? " " : "", number);
}

void expect_written(BYTE *base, size_t size, DWORD flags, const char *want, int line)
{
	const size_t room = size / PAGE + 2;
	PVOID *addrs = calloc(room, sizeof(*addrs));
	ULONG_PTR count = room;
	DWORD granularity = POISON;
	char got[512] = "";

	cr_assert(addrs != NULL);
	SUCCEEDS(GetWriteWatch(flags, base, size, addrs, &count, &granularity) == 0);
	cr_assert(eq(u32, granularity, (DWORD)PAGE), "line %d", line);
	for (size_t i = 0; i < count; i++) {
		const size_t offset = (size_t)((BYTE *)addrs[i] - base);

		cr_assert(eq(sz, offset % PAGE, 0), "line %d", line);
		append(got, sizeof(got), offset / PAGE);
	}
	for (size_t i = count; i < room; i++)
		cr_assert(eq(ptr, addrs[i], NULL), "line %d: wrote behind the count", line);
	free(addrs);
	cr_assert(eq(str, got, (char *)want), "line %d", line);
}

void expect_get_fails(DWORD error, DWORD flags, void *base, size_t size, int line)
{
	PVOID addrs[64];
	ULONG_PTR count = 64;
	DWORD granularity = POISON;

	memset(addrs, 0x5a, sizeof(addrs));
	SetLastError(POISON);
	cr_assert(eq(u32, GetWriteWatch(flags, base, size, addrs, &count, &granularity), ~0u),
		  "line %d", line);
	cr_assert(eq(u32, GetLastError(), error), "line %d", line);
	cr_assert(eq(sz, count, 64), "line %d", line);
	cr_assert(eq(u32, granularity, POISON), "line %d", line);
	for (size_t i = 0; i < sizeof(addrs); i++)
		cr_assert(eq(u8, ((BYTE *)addrs)[i], 0x5a), "line %d: wrote into addrs", line);
}

void expect_query(const void *addr, size_t size, DWORD state, DWORD protect, int line)
{
	MEMORY_BASIC_INFORMATION info;

	memset(&info, 0x5a, sizeof(info));
	SUCCEEDS(VirtualQuery(addr, &info, sizeof(info)) == sizeof(info));
	cr_assert(eq(ptr, info.BaseAddress, (void *)((uintptr_t)addr & ~(PAGE - 1))), "line %d",
		  line);
	cr_assert(eq(sz, info.RegionSize, size), "line %d", line);
	cr_assert(eq(u32, info.State, state), "line %d", line);
	cr_assert(eq(u32, info.Protect, protect), "line %d", line);
}

static sigjmp_buf no_access;

/* As in a program with a handler of its own, installed after the library's. */
static void on_fault(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)context;
	if (!ww_handle_fault(info->si_addr))
		siglongjmp(no_access, 1);
}

static BOOL can_read(const volatile BYTE *byte)
{
	if (sigsetjmp(no_access, 1) != 0)
		return FALSE;
	(void)*byte;
	return TRUE;
}

static BOOL can_write(volatile BYTE *byte)
{
	if (sigsetjmp(no_access, 1) != 0)
		return FALSE;
	*byte = 1;
	return TRUE;
}

void expect_access(void *page, const char *want, int line)
{
	struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO}, before;
	const char *got;

	sigaction(SIGSEGV, &action, &before);
	got = can_write(page) ? "rw" : can_read(page) ? "r" : "-";
	sigaction(SIGSEGV, &before, NULL);
	cr_assert(eq(str, (char *)got, (char *)want), "line %d", line);
}
