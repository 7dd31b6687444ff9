/* SPDX-License-Identifier: MIT */
#ifndef WW_PAGE_STATES_H
#define WW_PAGE_STATES_H

/*
 * A byte for each page that a context watches, found by address in three steps: what a signal
 * handler has to know, where it may neither allocate nor wait for whoever changes a list.
 *
 * Leaves are made in advance, so that bytes never move while any of them is in use.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE_STATES_LEAF_SHIFT 15
#define PAGE_STATES_BLOCK 64
#define PAGE_STATES_NODE_SHIFT 10
#define PAGE_STATES_ROOT_SHIFT 12

/**
 * enum page_state - bits of a byte; 0: not watched
 * @STATE_READ, @STATE_WRITE, @STATE_EXEC: what the program may do with the page
 * @STATE_WRITTEN: counts as written
 * @STATE_SHARED:  part of a shared mapping, or a file's
 * @STATE_WATCHED: see the name
 */
enum page_state {
	STATE_READ = 1 << 0,
	STATE_WRITE = 1 << 1,
	STATE_EXEC = 1 << 2,
	STATE_WRITTEN = 1 << 3,
	STATE_SHARED = 1 << 4,
	STATE_WATCHED = 1 << 7
};

struct page_states {
	unsigned page_shift;
	uint8_t ***root;
};

struct ww;

/* Makes room for [start, end) in w->states. -ENOMEM; -ENOTSUP: an address that is too high. */
int page_states_reserve(struct ww *w, uintptr_t start, uintptr_t end);
void page_states_free(struct page_states *t);

/* Whether any of [start, end) is memory of the table itself. */
bool page_states_use(const struct page_states *t, uintptr_t start, uintptr_t end);
/* Behind every address that can be in the table. */
uintptr_t page_states_end(const struct page_states *t);

/* The byte of the page at addr, with *count bytes of the pages behind it; NULL: none of them is
 * watched. */
static inline uint8_t *page_states_at(const struct page_states *t, uintptr_t addr, size_t *count)
{
	const size_t leaf_pages = (size_t)1 << PAGE_STATES_LEAF_SHIFT;
	const size_t node_size = (size_t)1 << PAGE_STATES_NODE_SHIFT;
	size_t page = addr >> t->page_shift, leaf = page / leaf_pages;
	uint8_t ***root = __atomic_load_n(&t->root, __ATOMIC_ACQUIRE), **node, *bytes;

	*count = node_size * leaf_pages - page % (node_size * leaf_pages);
	if (!root || leaf / node_size >= (size_t)1 << PAGE_STATES_ROOT_SHIFT)
		return NULL;
	node = __atomic_load_n(&root[leaf / node_size], __ATOMIC_ACQUIRE);
	if (!node)
		return NULL;
	*count = leaf_pages - page % leaf_pages;
	bytes = __atomic_load_n(&node[leaf % node_size], __ATOMIC_ACQUIRE);
	return bytes ? bytes + page % leaf_pages : NULL;
}

/* Whether, by that count, a neighbour's byte may lie elsewhere. */
static inline bool page_states_at_edge(size_t count)
{
	return count == 1 || count == (size_t)1 << PAGE_STATES_LEAF_SHIFT;
}

/* Makes the page STATE_WRITTEN that page_states_at() found: what page_states_change() does. */
static inline void page_states_note_write(uint8_t *p, size_t count)
{
	size_t n = ((size_t)1 << PAGE_STATES_LEAF_SHIFT) - count;

	__atomic_store_n(p + count + n / PAGE_STATES_BLOCK, 1, __ATOMIC_RELEASE);
	__atomic_store_n(p, (uint8_t)(*p | STATE_WRITTEN), __ATOMIC_RELEASE);
}

/* 0 if the page is not watched. */
static inline uint8_t page_state(const struct page_states *t, uintptr_t addr)
{
	size_t count;
	const uint8_t *p = page_states_at(t, addr, &count);

	return p ? __atomic_load_n(p, __ATOMIC_ACQUIRE) : 0;
}

/* Clears the bits @clear and sets @set in the bytes of [start, end) that are reserved. */
void page_states_change(struct page_states *t, uintptr_t start, uintptr_t end, uint8_t clear,
			uint8_t set);

/* Clears all of them, and gives back leaves in which nothing is watched any more. */
void page_states_clear(struct page_states *t, uintptr_t start, uintptr_t end);

/* Where in [start, end) the first STATE_WRITTEN page is; end if there is none. */
uintptr_t page_states_written(const struct page_states *t, uintptr_t start, uintptr_t end);
/* Where the first page is whose byte, masked, is not value. */
uintptr_t page_states_skip(const struct page_states *t, uintptr_t start, uintptr_t end,
			   uint8_t mask, uint8_t value);

#endif
