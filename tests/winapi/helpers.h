/* SPDX-License-Identifier: MIT */
#ifndef TEST_WINAPI_HELPERS_H
#define TEST_WINAPI_HELPERS_H

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <writewatch/winapi.h>

#include "support/backends.h"
#include "support/pages.h"

#define PAGE page_bytes()
#define POISON 0xdeadbeef

/* Asks for a backend, and makes the context of the process before leaks are counted: it is never freed. */
void winapi_begin(void);
void winapi_end(void);

#define WINAPI_SUITE(name) TestSuite(name, .init = winapi_begin, .fini = winapi_end)

/* Reserved, committed, readable, writable, watched. */
BYTE *alloc_watched(size_t pages);
void release(void *base);

/* Address space for allocations side by side, where the library itself will not map anything. */
BYTE *free_place(void);

/* Writes a byte into each of these pages. */
#define WRITE(base, ...)                                                                           \
	write_pages(base, (const size_t[]){__VA_ARGS__},                                           \
		    sizeof((const size_t[]){__VA_ARGS__}) / sizeof(size_t))
void write_pages(BYTE *base, const size_t *page, size_t count);

/* What GetWriteWatch() reports, with more than enough room: page numbers, as in "1 2 4". */
#define EXPECT_WRITTEN(base, pages, flags, want)                                                   \
	expect_written(base, (pages) * PAGE, flags, want, __LINE__)
void expect_written(BYTE *base, size_t size, DWORD flags, const char *want, int line);

/* These set the last error to POISON first. A success leaves it so. */
#define FAILS_WITH(error, call)                                                                    \
	do {                                                                                       \
		SetLastError(POISON);                                                              \
		cr_assert(eq(int, !!(call), 0), "line %d: succeeds", __LINE__);                    \
		cr_assert(eq(u32, GetLastError(), error), "line %d", __LINE__);                    \
	} while (0)
#define SUCCEEDS(call)                                                                             \
	do {                                                                                       \
		SetLastError(POISON);                                                              \
		cr_assert(eq(int, !!(call), 1), "line %d: fails with %u", __LINE__,                \
			  (unsigned)GetLastError());                                               \
		cr_assert(eq(u32, GetLastError(), POISON), "line %d", __LINE__);                   \
	} while (0)

/* GetWriteWatch() returns ~0u, sets the error, and leaves its three out-parameters alone. */
#define EXPECT_GET_FAILS(error, flags, base, size)                                                 \
	expect_get_fails(error, flags, base, size, __LINE__)
void expect_get_fails(DWORD error, DWORD flags, void *base, size_t size, int line);

/* The same for ResetWriteWatch(). */
#define EXPECT_RESET_FAILS(error, base, size)                                                      \
	do {                                                                                       \
		SetLastError(POISON);                                                              \
		cr_assert(eq(u32, ResetWriteWatch(base, size), ~0u), "line %d", __LINE__);         \
		cr_assert(eq(u32, GetLastError(), error), "line %d", __LINE__);                    \
	} while (0)

#define EXPECT_RESET(base, size) SUCCEEDS(ResetWriteWatch(base, size) == 0)

/* VirtualProtect() succeeds and the protection was this one. */
#define EXPECT_PROTECT(addr, size, protect, was)                                                   \
	do {                                                                                       \
		DWORD before_ = POISON;                                                            \
		SUCCEEDS(VirtualProtect(addr, size, protect, &before_));                           \
		cr_assert(eq(u32, before_, was), "line %d", __LINE__);                             \
	} while (0)

/* VirtualQuery() says this; bytes from the queried page on. */
#define EXPECT_QUERY(addr, size, state, protect) expect_query(addr, size, state, protect, __LINE__)
void expect_query(const void *addr, size_t size, DWORD state, DWORD protect, int line);

/* What a program may do with the first byte of a page, writing it if it can: "-", "r" or "rw". */
#define EXPECT_ACCESS(page, want) expect_access(page, want, __LINE__)
void expect_access(void *page, const char *want, int line);

#endif
