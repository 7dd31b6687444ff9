/* SPDX-License-Identifier: MIT */
#ifndef WW_WIN_H
#define WW_WIN_H

/*
 * Inside the Windows API: what its files share.
 *
 * One lock guards the table of allocations, the state of their pages, and the mappings themselves.
 * Queries and resets hold it only while they look the range up, so that a long scan stops nobody.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <writewatch/winapi.h>

#include "../sys.h"

#define WIN_GRANULARITY ((uintptr_t)0x10000)

/* The end of what can be mapped, without the ranges that mmap gives out by hint only. */
#if defined(__x86_64__) && !defined(__ILP32__)
#define WIN_USER_END ((uintptr_t)0x7ffffffff000)
#elif UINTPTR_MAX > 0xffffffff
#define WIN_USER_END ((uintptr_t)1 << 48)
#else
#define WIN_USER_END ((uintptr_t)0xfffff000)
#endif

/**
 * struct win_alloc - what one VirtualAlloc() reserved
 * @base:    first address, a multiple of the granularity
 * @size:    in bytes, whole pages
 * @protect: the protection asked for at that time
 * @watched: has MEM_WRITE_WATCH
 * @page:    state of each page: WIN_RESERVED, or its protection if it is committed
 */
struct win_alloc {
	uintptr_t base;
	size_t size;
	DWORD protect;
	bool watched;
	uint8_t page[];
};

#define WIN_RESERVED 0

/* context.c */
void win_lock(void);
void win_unlock(void);
/* The context of the process, made if need be; NULL where nothing can watch. Lock held. */
struct ww *win_context(void);

/* status.c: the only place that knows which error is which. */
NTSTATUS win_status(int error);
DWORD win_error(NTSTATUS status);
/* Sets the last error if status is one; returns whether it is none. */
bool win_done(NTSTATUS status);

/* range.c */
size_t win_page_size(void);
bool win_pointer_ok(const void *pointer, size_t size);
uintptr_t win_page_down(uintptr_t addr);
uintptr_t win_page_up(uintptr_t addr);
/* The pages that hold [addr, addr + size); false if that is empty or leaves user space. */
bool win_pages(const void *addr, size_t size, uintptr_t *start, uintptr_t *end);
bool win_inside(const struct win_alloc *a, uintptr_t start, uintptr_t end);
/* State of the page at addr, and of those behind it. */
uint8_t *win_state(struct win_alloc *a, uintptr_t addr);

/* table.c: allocations by address. Lock held. */
/* The one that holds addr, or NULL. */
struct win_alloc *win_find(uintptr_t addr);
/* End of the last one below addr, or 0; start of the first one above it, or WIN_USER_END. */
void win_neighbours(uintptr_t addr, uintptr_t *below, uintptr_t *above);
NTSTATUS win_insert(struct win_alloc *a);
void win_remove(struct win_alloc *a);

/* protect.c */
/* What a page's state is for a protection; WIN_RESERVED if that is invalid. */
uint8_t win_encode(DWORD protect);
DWORD win_decode(uint8_t state);
int win_access(uint8_t state);
/* How far from start on, up to end, pages are in the same state. */
uintptr_t win_run_end(struct win_alloc *a, uintptr_t start, uintptr_t end);
/* Gives pages the state, and the access that goes with it. On an error nothing changed. */
NTSTATUS win_set_state(struct win_alloc *a, uintptr_t start, uintptr_t end, uint8_t state);
/* Takes content, written state and access away: WIN_RESERVED. On an error content may be gone. */
NTSTATUS win_decommit(struct win_alloc *a, uintptr_t start, uintptr_t end);

/* map.c: what is mapped, and what of it is watched. Lock held. */
/*
 * Maps a->size bytes with this access at base, or anywhere if that is 0, watches them if they are
 * to be, and sets a->base.
 */
NTSTATUS win_map(struct win_alloc *a, uintptr_t base, int access);
NTSTATUS win_unmap(struct win_alloc *a);
/* Where the program mapped something else over watched memory: watches that. */
NTSTATUS win_repair(const struct win_alloc *a);
/* Drops content and written state. */
NTSTATUS win_discard(const struct win_alloc *a, uintptr_t start, uintptr_t end);

/* foreign.c: an address that is in no allocation of ours, between these two. */
void win_query_foreign(uintptr_t page, uintptr_t below, uintptr_t above,
		       MEMORY_BASIC_INFORMATION *info);

#endif
