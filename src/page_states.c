/* SPDX-License-Identifier: MIT */
#include "page_states.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "context.h"

#define LEAF_PAGES ((size_t)1 << PAGE_STATES_LEAF_SHIFT)
/* Behind the bytes of a leaf there is one for each block of them: whether any is STATE_WRITTEN. */
#define BLOCK_PAGES ((size_t)PAGE_STATES_BLOCK)
#define LEAF_SIZE (LEAF_PAGES + LEAF_PAGES / BLOCK_PAGES)
#define ONES UINT64_C(0x0101010101010101)
#define NODE_SIZE ((size_t)1 << PAGE_STATES_NODE_SHIFT)
#define ROOT_SIZE ((size_t)1 << PAGE_STATES_ROOT_SHIFT)

/* A handler may be looking while a table grows. */
static int make_leaf(struct ww *w, size_t leaf)
{
	struct page_states *t = &w->states;
	uint8_t ***node = &t->root[leaf >> PAGE_STATES_NODE_SHIFT], **slot;
	void *p;
	int r = 0;

	if (!*node) {
		r = context_map(w, &p, NODE_SIZE * sizeof(**node));
		if (r < 0)
			return r;
		__atomic_store_n(node, p, __ATOMIC_RELEASE);
	}
	slot = &(*node)[leaf & (NODE_SIZE - 1)];
	if (!*slot) {
		r = context_map(w, &p, LEAF_SIZE);
		if (r == 0)
			__atomic_store_n(slot, p, __ATOMIC_RELEASE);
	}
	return r;
}

static size_t leaf_of(const struct page_states *t, uintptr_t addr)
{
	return addr >> t->page_shift >> PAGE_STATES_LEAF_SHIFT;
}

int page_states_reserve(struct ww *w, uintptr_t start, uintptr_t end)
{
	struct page_states *t = &w->states;
	size_t leaf, last;
	int r = 0;

	leaf = leaf_of(t, start);
	last = leaf_of(t, end - 1);
	if (last >> PAGE_STATES_NODE_SHIFT >= ROOT_SIZE)
		return -ENOTSUP;
	if (!t->root) {
		void *p;

		r = context_map(w, &p, ROOT_SIZE * sizeof(*t->root));
		if (r == 0)
			__atomic_store_n(&t->root, p, __ATOMIC_RELEASE);
	}
	for (; r == 0 && leaf <= last; leaf++)
		r = make_leaf(w, leaf);
	return r;
}

/*
 * The last one first: mostly it lies at the end of them all, so that no mapping has to be divided, of
 * which the process may have no more.
 */
void page_states_free(struct page_states *t)
{
	for (size_t i = t->root ? ROOT_SIZE : 0; i-- > 0;) {
		uint8_t **node = t->root[i];

		for (size_t k = node ? NODE_SIZE : 0; k-- > 0;)
			if (node[k])
				sys_munmap(node[k], LEAF_SIZE);
		if (node)
			sys_munmap(node, NODE_SIZE * sizeof(*node));
	}
	if (t->root)
		sys_munmap(t->root, ROOT_SIZE * sizeof(*t->root));
	t->root = NULL;
}

bool page_states_use(const struct page_states *t, uintptr_t start, uintptr_t end)
{
	bool found = range_meets(start, end, t->root, ROOT_SIZE * sizeof(*t->root));

	for (size_t i = 0; !found && t->root && i < ROOT_SIZE; i++) {
		uint8_t **node = t->root[i];

		found = range_meets(start, end, node, NODE_SIZE * sizeof(*node));
		for (size_t k = 0; !found && node && k < NODE_SIZE; k++)
			found = range_meets(start, end, node[k], LEAF_SIZE);
	}
	return found;
}

uintptr_t page_states_end(const struct page_states *t)
{
	uint64_t end = (uint64_t)ROOT_SIZE * NODE_SIZE * LEAF_PAGES << t->page_shift;

	return end < UINTPTR_MAX ? (uintptr_t)end : UINTPTR_MAX << t->page_shift;
}

static bool any_written(const uint8_t *p)
{
	uint64_t word, all = 0;

	for (size_t i = 0; i < BLOCK_PAGES; i += 8) {
		memcpy(&word, p + i, 8);
		all |= word;
	}
	return all & STATE_WRITTEN * ONES;
}

/* A reader without the lock must not see the byte of a block before the block's own. */
static void change_leaf(uint8_t *leaf, size_t first, size_t end, uint8_t clear, uint8_t set)
{
	uint8_t *blocks = leaf + LEAF_PAGES;

	if (set & STATE_WRITTEN)
		for (size_t b = first / BLOCK_PAGES; b <= (end - 1) / BLOCK_PAGES; b++)
			__atomic_store_n(&blocks[b], 1, __ATOMIC_RELEASE);
	for (size_t i = first; i < end; i++)
		__atomic_store_n(&leaf[i], (uint8_t)((leaf[i] & ~clear) | set), __ATOMIC_RELEASE);
	if (clear & ~set & STATE_WRITTEN)
		for (size_t b = first / BLOCK_PAGES; b <= (end - 1) / BLOCK_PAGES; b++)
			if (blocks[b] && !any_written(leaf + b * BLOCK_PAGES))
				__atomic_store_n(&blocks[b], 0, __ATOMIC_RELEASE);
}

void page_states_change(struct page_states *t, uintptr_t start, uintptr_t end, uint8_t clear,
			uint8_t set)
{
	while (start < end) {
		size_t pages = (end - start) >> t->page_shift, count;
		uint8_t *p = page_states_at(t, start, &count);
		size_t first = LEAF_PAGES - count;

		if (count > pages)
			count = pages;
		if (p)
			change_leaf(p - first, first, first + count, clear, set);
		start += count << t->page_shift;
	}
}

static void trim(struct page_states *t, size_t leaf)
{
	uint8_t **node = t->root[leaf >> PAGE_STATES_NODE_SHIFT];
	uint8_t **slot = node ? &node[leaf & (NODE_SIZE - 1)] : NULL, *bytes = slot ? *slot : NULL;

	if (!bytes || bytes[0] || memcmp(bytes, bytes + 1, LEAF_PAGES - 1) != 0)
		return;
	__atomic_store_n(slot, NULL, __ATOMIC_RELEASE);
	/* It may lie amid other memory of the library, and no mapping be left to divide that. */
	if (sys_munmap(bytes, LEAF_SIZE) < 0)
		__atomic_store_n(slot, bytes, __ATOMIC_RELEASE);
}

void page_states_clear(struct page_states *t, uintptr_t start, uintptr_t end)
{
	page_states_change(t, start, end, 0xff, 0);
	for (size_t leaf = leaf_of(t, start); leaf <= leaf_of(t, end - 1); leaf++)
		trim(t, leaf);
}

/* Eight aligned bytes, any of which may be changing. */
static uint64_t load_word(const uint8_t *p)
{
	typedef uint64_t __attribute__((may_alias)) word;

	return __atomic_load_n((const word *)(const void *)p, __ATOMIC_ACQUIRE);
}

/* The first of them, from the i-th on, that has another value; n if there is none. */
static size_t run_of_bytes(const uint8_t *p, size_t i, size_t n, uint8_t mask, uint8_t value)
{
	while (i < n && (__atomic_load_n(&p[i], __ATOMIC_ACQUIRE) & mask) == value)
		i++;
	return i;
}

/* How many of the n bytes have, masked, this value. */
static size_t run_of(const uint8_t *p, size_t n, uint8_t mask, uint8_t value)
{
	size_t head = -(uintptr_t)p % sizeof(uint64_t), i;

	if (head > n)
		head = n;
	i = run_of_bytes(p, 0, head, mask, value);
	if (i < head)
		return i;
	/* Runs are mostly long: eight at a time. */
	while (i + 8 <= n && (load_word(p + i) & mask * ONES) == value * ONES)
		i += 8;
	return run_of_bytes(p, i, n, mask, value);
}

uintptr_t page_states_skip(const struct page_states *t, uintptr_t start, uintptr_t end,
			   uint8_t mask, uint8_t value)
{
	while (start < end) {
		size_t pages = (end - start) >> t->page_shift, count, n;
		const uint8_t *p = page_states_at(t, start, &count);

		if (count > pages)
			count = pages;
		if (p)
			n = run_of(p, count, mask, value);
		else
			n = value == 0 ? count : 0;
		start += n << t->page_shift;
		if (n < count)
			break;
	}
	return start;
}

static size_t written_in_leaf(const uint8_t *leaf, size_t first, size_t end)
{
	const uint8_t *blocks = leaf + LEAF_PAGES;

	while (first < end) {
		size_t block = first / BLOCK_PAGES, last = (end - 1) / BLOCK_PAGES, stop;

		/* Behind the blocks without written pages. */
		block += run_of(blocks + block, last + 1 - block, 0xff, 0);
		stop = (block + 1) * BLOCK_PAGES;
		if (first < block * BLOCK_PAGES)
			first = block * BLOCK_PAGES;
		if (stop > end)
			stop = end;
		if (first >= end)
			break;
		first += run_of(leaf + first, stop - first, STATE_WRITTEN, 0);
		if (first < stop)
			return first;
	}
	return end;
}

uintptr_t page_states_written(const struct page_states *t, uintptr_t start, uintptr_t end)
{
	while (start < end) {
		size_t pages = (end - start) >> t->page_shift, count;
		const uint8_t *p = page_states_at(t, start, &count);
		size_t first = LEAF_PAGES - count, n;

		if (count > pages)
			count = pages;
		n = p ? written_in_leaf(p - first, first, first + count) - first : count;
		start += n << t->page_shift;
		if (n < count)
			break;
	}
	return start;
}
