/* SPDX-License-Identifier: MIT */
#ifndef TEST_SUPPORT_PAGES_H
#define TEST_SUPPORT_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HUGE_BYTES ((size_t)2 << 20)

size_t page_bytes(void);

/* Whether memory that is only read is the zero page; some kernels give it pages of its own. */
bool has_zero_page(void);

/* All of these end the test with a message when the kernel refuses. */

/* Fresh private anonymous memory, readable and writable. */
void *map_private(size_t bytes);

/* Address space and nothing else, @align a power of two; give it back with unmap(). */
void *map_reserve(size_t bytes, size_t align);

/* A memfd of @bytes; map it with map_fd(). */
int memfd_of(size_t bytes);

/* Maps @fd, at @at if that is not NULL; @flags are MAP_SHARED or MAP_PRIVATE. */
void *map_fd(void *at, size_t bytes, int flags, int fd, size_t offset);

void unmap(void *at, size_t bytes);

/*
 * Word 0 of a page. Relaxed atomics, because several threads touch the same words on purpose in
 * some tests, and because a plain store of the value that is there could be optimised away.
 */
static inline uint64_t page_read(void *page)
{
	return __atomic_load_n((uint64_t *)page, __ATOMIC_RELAXED);
}

static inline void page_write(void *page, uint64_t value)
{
	__atomic_store_n((uint64_t *)page, value, __ATOMIC_RELAXED);
}

#endif
