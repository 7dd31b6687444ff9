/* SPDX-License-Identifier: MIT */
#include "page_states.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "sys.h"

#define LEAF_PAGES ((size_t)1 << PAGE_STATES_LEAF_SHIFT)
#define NODE_SIZE ((size_t)1 << PAGE_STATES_NODE_SHIFT)
#define ROOT_SIZE ((size_t)1 << PAGE_STATES_ROOT_SHIFT)

static int map_zero(void **out, size_t size)
{
	return sys_mmap(out, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
}

/* A handler may be looking while a table grows. */
static int make_leaf(struct page_states *t, size_t leaf)
{
	uint8_t ***node = &t->root[leaf >> PAGE_STATES_NODE_SHIFT], **slot;
	void *p;
	int r = 0;

	if (!*node) {
		r = map_zero(&p, NODE_SIZE * sizeof(**node));
		if (r < 0)
			return r;
		__atomic_store_n(node, p, __ATOMIC_RELEASE);
	}
	slot = &(*node)[leaf & (NODE_SIZE - 1)];
	if (!*slot) {
		r = map_zero(&p, LEAF_PAGES);
		if (r == 0)
			__atomic_store_n(slot, p, __ATOMIC_RELEASE);
	}
	return r;
}

static size_t leaf_of(const struct page_states *t, uintptr_t addr)
{
	return addr >> t->page_shift >> PAGE_STATES_LEAF_SHIFT;
}

int page_states_reserve(struct page_states *t, unsigned page_shift, uintptr_t start,
			uintptr_t end)
{
	size_t leaf, last;
	int r = 0;

	if (!t->root)
		t->page_shift = page_shift;
	leaf = leaf_of(t, start);
	last = leaf_of(t, end - 1);
	if (last >> PAGE_STATES_NODE_SHIFT >= ROOT_SIZE)
		return -ENOTSUP;
	if (!t->root) {
		void *p;

		r = map_zero(&p, ROOT_SIZE * sizeof(*t->root));
		if (r == 0)
			__atomic_store_n(&t->root, p, __ATOMIC_RELEASE);
	}
	for (; r == 0 && leaf <= last; leaf++)
		r = make_leaf(t, leaf);
	return r;
}

void page_states_free(struct page_states *t)
{
	for (size_t i = 0; t->root && i < ROOT_SIZE; i++) {
		uint8_t **node = t->root[i];

		for (size_t k = 0; node && k < NODE_SIZE; k++)
			if (node[k])
				sys_munmap(node[k], LEAF_PAGES);
		if (node)
			sys_munmap(node, NODE_SIZE * sizeof(*node));
	}
	if (t->root)
		sys_munmap(t->root, ROOT_SIZE * sizeof(*t->root));
	t->root = NULL;
}

uintptr_t page_states_end(const struct page_states *t)
{
	return (uintptr_t)(ROOT_SIZE * NODE_SIZE * LEAF_PAGES) << t->page_shift;
}

uint8_t *page_states_at(const struct page_states *t, uintptr_t addr, size_t *count)
{
	size_t page = addr >> t->page_shift, leaf = page >> PAGE_STATES_LEAF_SHIFT;
	size_t in_leaf = page & (LEAF_PAGES - 1);
	uint8_t ***root = __atomic_load_n(&t->root, __ATOMIC_ACQUIRE), **node, *bytes;

	*count = NODE_SIZE * LEAF_PAGES - (page & (NODE_SIZE * LEAF_PAGES - 1));
	if (!root || leaf >> PAGE_STATES_NODE_SHIFT >= ROOT_SIZE)
		return NULL;
	node = __atomic_load_n(&root[leaf >> PAGE_STATES_NODE_SHIFT], __ATOMIC_ACQUIRE);
	if (!node)
		return NULL;
	*count = LEAF_PAGES - in_leaf;
	bytes = __atomic_load_n(&node[leaf & (NODE_SIZE - 1)], __ATOMIC_ACQUIRE);
	return bytes ? bytes + in_leaf : NULL;
}

uint8_t page_state(const struct page_states *t, uintptr_t addr)
{
	size_t count;
	const uint8_t *p = page_states_at(t, addr, &count);

	return p ? __atomic_load_n(p, __ATOMIC_ACQUIRE) : 0;
}

void page_states_change(struct page_states *t, uintptr_t start, uintptr_t end, uint8_t clear,
			uint8_t set)
{
	while (start < end) {
		size_t pages = (end - start) >> t->page_shift, count;
		uint8_t *p = page_states_at(t, start, &count);

		if (count > pages)
			count = pages;
		for (size_t i = 0; p && i < count; i++)
			__atomic_store_n(&p[i], (uint8_t)((p[i] & ~clear) | set),
					 __ATOMIC_RELEASE);
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
	sys_munmap(bytes, LEAF_PAGES);
}

void page_states_clear(struct page_states *t, uintptr_t start, uintptr_t end)
{
	page_states_change(t, start, end, 0xff, 0);
	for (size_t leaf = leaf_of(t, start); leaf <= leaf_of(t, end - 1); leaf++)
		trim(t, leaf);
}

/* How many of the n bytes have, masked, this value; or have not, for equal == false. */
static size_t run_of(const uint8_t *p, size_t n, uint8_t mask, uint8_t value, bool equal)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);
	size_t i = 0;

	/* What long runs mostly are, eight at a time: all of them equal. */
	while (equal && i + 8 <= n) {
		uint64_t word;

		memcpy(&word, p + i, 8);
		if ((word & mask * ones) != value * ones)
			break;
		i += 8;
	}
	while (i < n && ((__atomic_load_n(&p[i], __ATOMIC_ACQUIRE) & mask) == value) == equal)
		i++;
	return i;
}

static uintptr_t walk(const struct page_states *t, uintptr_t start, uintptr_t end, uint8_t mask,
		      uint8_t value, bool equal)
{
	while (start < end) {
		size_t pages = (end - start) >> t->page_shift, count, n;
		const uint8_t *p = page_states_at(t, start, &count);

		if (count > pages)
			count = pages;
		if (p)
			n = run_of(p, count, mask, value, equal);
		else
			n = (value == 0) == equal ? count : 0;
		start += n << t->page_shift;
		if (n < count)
			break;
	}
	return start;
}

uintptr_t page_states_find(const struct page_states *t, uintptr_t start, uintptr_t end,
			   uint8_t mask, uint8_t value)
{
	return walk(t, start, end, mask, value, false);
}

uintptr_t page_states_skip(const struct page_states *t, uintptr_t start, uintptr_t end,
			   uint8_t mask, uint8_t value)
{
	return walk(t, start, end, mask, value, true);
}
