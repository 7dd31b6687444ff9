/* SPDX-License-Identifier: MIT */
#include "kept.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "sys.h"

#define FIRST_ROOM 256

int kept_reserve(struct kept *k, size_t room)
{
	size_t wanted = k->room ? k->room : FIRST_ROOM;
	void *memory;
	int r;

	if (room <= k->room)
		return 0;
	while (wanted < room)
		wanted *= 2;
	r = sys_mmap(&memory, wanted * sizeof(*k->ranges), PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS);
	if (r < 0)
		return r;
	if (k->ranges) {
		memcpy(memory, k->ranges, k->count * sizeof(*k->ranges));
		sys_munmap(k->ranges, k->room * sizeof(*k->ranges));
	}
	k->ranges = memory;
	k->room = wanted;
	return 0;
}

void kept_free(struct kept *k)
{
	if (k->ranges)
		sys_munmap(k->ranges, k->room * sizeof(*k->ranges));
	*k = (struct kept){0};
}

void kept_append(struct kept *k, uint64_t start, uint64_t end)
{
	struct kept_range *last = k->count ? &k->ranges[k->count - 1] : NULL;

	if (last && (start <= last->end || kept_reserve(k, k->count + 1) < 0)) {
		if (end > last->end)
			last->end = end;
		return;
	}
	k->ranges[k->count++] = (struct kept_range){start, end};
}

/* The first one that ends behind pos. */
static size_t find(const struct kept *k, uint64_t pos)
{
	size_t low = 0, high = k->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (k->ranges[middle].end > pos)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

void kept_add(struct kept *k, uint64_t start, uint64_t end)
{
	size_t first = find(k, start), last = first;

	while (last < k->count && k->ranges[last].start <= end) {
		if (k->ranges[last].start < start)
			start = k->ranges[last].start;
		if (k->ranges[last].end > end)
			end = k->ranges[last].end;
		last++;
	}
	memmove(k->ranges + first + 1, k->ranges + last, (k->count - last) * sizeof(*k->ranges));
	k->ranges[first] = (struct kept_range){start, end};
	k->count = k->count - (last - first) + 1;
}

void kept_remove(struct kept *k, uint64_t start, uint64_t end)
{
	size_t first = find(k, start), last = find(k, end), n = 0;
	struct kept_range rest[2];

	if (start >= end || first == k->count || kept_reserve(k, k->count + 1) < 0)
		return;
	if (k->ranges[first].start < start)
		rest[n++] = (struct kept_range){k->ranges[first].start, start};
	if (last < k->count && k->ranges[last].start < end) {
		rest[n++] = (struct kept_range){end, k->ranges[last].end};
		last++;
	}
	if (last < first)
		last = first;
	memmove(k->ranges + first + n, k->ranges + last, (k->count - last) * sizeof(*k->ranges));
	memcpy(k->ranges + first, rest, n * sizeof(*rest));
	k->count = k->count - (last - first) + n;
}

bool kept_next(const struct kept *k, uint64_t start, uint64_t end, struct kept_range *out)
{
	size_t i = find(k, start);

	if (start >= end || i == k->count || k->ranges[i].start >= end)
		return false;
	*out = k->ranges[i];
	if (out->start < start)
		out->start = start;
	if (out->end > end)
		out->end = end;
	return true;
}

int kept_merge_begin(struct kept_merge *m, const struct kept *old)
{
	*m = (struct kept_merge){.old = old};
	return kept_reserve(&m->list, old->count + 1);
}

void kept_merge_put(struct kept_merge *m, uint64_t start, uint64_t end)
{
	while (m->next < m->old->count && m->old->ranges[m->next].start <= start) {
		const struct kept_range *r = &m->old->ranges[m->next++];

		kept_append(&m->list, r->start, r->end);
	}
	kept_append(&m->list, start, end);
}

void kept_merge_end(struct kept_merge *m)
{
	while (m->next < m->old->count) {
		const struct kept_range *r = &m->old->ranges[m->next++];

		kept_append(&m->list, r->start, r->end);
	}
}
