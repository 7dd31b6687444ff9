/* SPDX-License-Identifier: MIT */
#include "sink.h"

/* What regions have to be: each behind the one before. Whole pages is looked at once for all. */
struct check {
	uintptr_t pos;
	uintptr_t end;
	uintptr_t odd;
	uintptr_t bytes;
};

static inline bool plausible(struct check *check, const struct wwk_page_region *v)
{
	bool ok = v->start >= check->pos && v->end > v->start && v->end <= check->end;

	check->pos = v->end;
	check->odd |= v->start | v->end;
	check->bytes += v->end - v->start;
	return ok;
}

/*
 * Scattered results have thousands of regions, most of them of one page: for each shape there is a
 * loop that does as little as possible for each.
 */

static bool put_nothing(struct sink *sink, const struct wwk_page_region *v, size_t n,
			struct check *check)
{
	(void)sink;
	for (size_t i = 0; i < n; i++)
		if (!plausible(check, &v[i]))
			return false;
	return true;
}

static bool put_pages(struct sink *sink, const struct wwk_page_region *v, size_t n,
		      struct check *check)
{
	const uintptr_t step = (uintptr_t)1 << sink->page_shift;
	void **out = sink->list.pages + sink->count;
	size_t left = sink->room - sink->count;

	for (size_t i = 0; i < n; i++) {
		uintptr_t page = v[i].start;
		size_t pages = (v[i].end - page) >> sink->page_shift;

		if (!plausible(check, &v[i]))
			return false;
		if (pages > left)
			pages = left;
		left -= pages;
		for (; pages; pages--, page += step)
			*out++ = (void *)page;
	}
	sink->count = (size_t)(out - sink->list.pages);
	return true;
}

static bool put_ranges(struct sink *sink, const struct wwk_page_region *v, size_t n,
		       struct check *check)
{
	struct ww_range *list = sink->list.ranges;
	size_t count = sink->count;
	uintptr_t last_end = sink->last_end;

	for (size_t i = 0; i < n; i++) {
		if (!plausible(check, &v[i]))
			return false;
		if (!count || v[i].start != last_end) {
			if (list && count == sink->room)
				break;
			if (list)
				list[count].start = (void *)(uintptr_t)v[i].start;
			count++;
		}
		last_end = v[i].end;
		if (list)
			list[count - 1].end = (void *)last_end;
	}
	sink->count = count;
	sink->last_end = last_end;
	return true;
}

static void set_bits(uint64_t *bits, size_t first, size_t behind)
{
	size_t word = first / 64, last = (behind - 1) / 64;
	uint64_t from = ~UINT64_C(0) << (first % 64);
	uint64_t to = ~UINT64_C(0) >> (63 - (behind - 1) % 64);

	if (word == last) {
		bits[word] |= from & to;
		return;
	}
	bits[word++] |= from;
	while (word < last)
		bits[word++] = ~UINT64_C(0);
	bits[last] |= to;
}

static bool put_bits(struct sink *sink, const struct wwk_page_region *v, size_t n,
		     struct check *check)
{
	uint64_t *bits = sink->list.bits;

	for (size_t i = 0; i < n; i++) {
		size_t first = (v[i].start - sink->base) >> sink->page_shift;
		size_t behind = (v[i].end - sink->base) >> sink->page_shift;

		if (!plausible(check, &v[i]))
			return false;
		if (behind - first == 1)
			bits[first / 64] |= UINT64_C(1) << (first % 64);
		else
			set_bits(bits, first, behind);
	}
	return true;
}

static bool put(struct sink *sink, const struct wwk_page_region *v, size_t n, struct check *check)
{
	if (sink->shape == SINK_RANGES)
		return put_ranges(sink, v, n, check);
	if (sink->shape == SINK_PAGES && sink->list.pages)
		return put_pages(sink, v, n, check);
	if (sink->shape == SINK_BITMAP && sink->list.bits)
		return put_bits(sink, v, n, check);
	return put_nothing(sink, v, n, check);
}

long sink_put(struct sink *sink, const struct wwk_page_region *v, size_t n, uintptr_t start,
	      uintptr_t end)
{
	struct check check = {.pos = start, .end = end};
	size_t pages;

	if (!put(sink, v, n, &check) || check.odd & (((uintptr_t)1 << sink->page_shift) - 1))
		return -1;
	pages = check.bytes >> sink->page_shift;
	if (sink->shape == SINK_BITMAP || (sink->shape == SINK_PAGES && !sink->list.pages))
		sink->count += pages;
	return (long)pages;
}
