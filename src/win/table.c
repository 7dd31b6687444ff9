/* SPDX-License-Identifier: MIT */
#include "win.h"

#include <stdlib.h>
#include <string.h>

/*
 * Sorted by address, in two arrays that take turns: a change is written into the spare one, which
 * then becomes the current one by a single store. A child that is forked in between finds either
 * the old table or the new one, both whole. The copying is 8 bytes for each allocation, of which
 * vm.max_map_count allows some 65,000.
 */
struct table {
	struct win_alloc **entry;
	size_t count;
	size_t room;
};

static struct table tables[2];
static unsigned current;

/* How many begin at addr or below. */
static size_t rank(const struct table *t, uintptr_t addr)
{
	size_t low = 0, high = t->count;

	while (low < high) {
		const size_t middle = low + (high - low) / 2;

		if (t->entry[middle]->base <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct win_alloc *win_find(uintptr_t addr)
{
	const struct table *t = &tables[current];
	const size_t i = rank(t, addr);

	if (i == 0 || addr - t->entry[i - 1]->base >= t->entry[i - 1]->size)
		return NULL;
	return t->entry[i - 1];
}

void win_neighbours(uintptr_t addr, uintptr_t *below, uintptr_t *above)
{
	const struct table *t = &tables[current];
	const size_t i = rank(t, addr);

	*below = i > 0 ? t->entry[i - 1]->base + t->entry[i - 1]->size : 0;
	*above = i < t->count ? t->entry[i]->base : WIN_USER_END;
}

static NTSTATUS make_room(struct table *t, size_t count)
{
	struct win_alloc **entry, **old = t->entry;

	if (count <= t->room)
		return STATUS_SUCCESS;
	entry = malloc(2 * count * sizeof(*entry));
	if (entry == NULL)
		return STATUS_NO_MEMORY;
	t->entry = entry;
	t->room = 2 * count;
	free(old);
	return STATUS_SUCCESS;
}

static void publish(void)
{
	__atomic_store_n(&current, !current, __ATOMIC_RELEASE);
}

NTSTATUS win_insert(struct win_alloc *a)
{
	const struct table *old = &tables[current];
	struct table *spare = &tables[!current];
	const size_t i = rank(old, a->base);
	const NTSTATUS status = make_room(spare, old->count + 1);

	if (!NT_SUCCESS(status))
		return status;
	if (old->count > 0) {
		memcpy(spare->entry, old->entry, i * sizeof(*old->entry));
		memcpy(spare->entry + i + 1, old->entry + i,
		       (old->count - i) * sizeof(*old->entry));
	}
	spare->entry[i] = a;
	spare->count = old->count + 1;
	publish();
	return STATUS_SUCCESS;
}

/* There is room: the spare array was the current one, with one allocation less or more. */
void win_remove(struct win_alloc *a)
{
	const struct table *old = &tables[current];
	struct table *spare = &tables[!current];
	const size_t i = rank(old, a->base) - 1;

	if (old->count > 1) {
		memcpy(spare->entry, old->entry, i * sizeof(*old->entry));
		memcpy(spare->entry + i, old->entry + i + 1,
		       (old->count - i - 1) * sizeof(*old->entry));
	}
	spare->count = old->count - 1;
	publish();
}
