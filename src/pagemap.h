/* SPDX-License-Identifier: MIT */
#ifndef WW_PAGEMAP_H
#define WW_PAGEMAP_H

/* /proc/PID/pagemap: a word for each page of address space, mapped or not. */

#include <stddef.h>
#include <stdint.h>

struct ww;

#define PM_PRESENT (UINT64_C(1) << 63)
#define PM_SWAPPED (UINT64_C(1) << 62) /* also a marker for a page that is not there */
#define PM_FILE (UINT64_C(1) << 61) /* of a file, or shared memory */
#define PM_GUARD (UINT64_C(1) << 58)
#define PM_UFFD_WP (UINT64_C(1) << 57)
#define PM_EXCLUSIVE (UINT64_C(1) << 56) /* no other mapping has it, and it is not the zero page */
#define PM_SOFT_DIRTY (UINT64_C(1) << 55)

/* How many words are read at a time: 64 KiB. */
#define PM_WORDS ((size_t)8192)

/* To look at in one step, as that should cost nothing beside the reading. */
typedef uint64_t two_words __attribute__((vector_size(16), aligned(8), may_alias));

/* The words of so many pages from start on; -ESRCH: the process has no such page, or no memory. */
int pagemap_words(int fd, uintptr_t start, size_t count, uint64_t *words);

/* Opens w->pagemap and w->maps. */
int pagemap_open(struct ww *w, const char **why);
/* The same, and makes w->words. pagemap_close() closes and frees everything. */
int pagemap_open_to_read(struct ww *w, const char **why);
void pagemap_close(struct ww *w);
/* The words of the pages in [start, end); -ESTALE, -EIO. */
int pagemap_read(struct ww *w, uintptr_t start, uintptr_t end, uint64_t *words);
/*
 * The same into w->words, as far as there is room; sets *end to how far that is. Another file by
 * that number would be believed, until pagemap_check() says -ESTALE.
 */
int pagemap_read_some(struct ww *w, uintptr_t start, uintptr_t *end);
int pagemap_check(struct ww *w);

#endif
