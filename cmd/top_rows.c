/* SPDX-License-Identifier: MIT */
#include "top.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* How much of [start, end) is in the ranges, in bytes. */
static uint64_t overlap(const struct tracker_range *ranges, size_t count, uint64_t start,
			uint64_t end)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < count && ranges[i].start < end; i++) {
		uint64_t from = ranges[i].start > start ? ranges[i].start : start;
		uint64_t to = ranges[i].end < end ? ranges[i].end : end;

		bytes += to > from ? to - from : 0;
	}
	return bytes;
}

int top_rows_take(struct top_rows *rows, const struct tracker_sample *sample, uint64_t page_size)
{
	const struct mappings *m = sample->mappings;
	size_t first = 0;

	rows->count = rows->written_rows = 0;
	rows->pages = rows->written = 0;
	if (m->count > rows->room) {
		struct top_row *larger = realloc(rows->list, m->count * sizeof(*larger));

		if (!larger)
			return -ENOMEM;
		rows->list = larger;
		rows->room = m->count;
	}
	for (size_t i = 0; i < m->count; i++) {
		const struct named_mapping *mapping = &m->list[i];
		struct top_row *row = &rows->list[rows->count++];
		size_t last;

		while (first < sample->range_count && sample->ranges[first].end <= mapping->start)
			first++;
		for (last = first; last < sample->range_count; last++) {
			if (sample->ranges[last].start >= mapping->end)
				break;
		}
		*row = (struct top_row){
		    .mapping = mapping,
		    .ranges = sample->ranges + first,
		    .range_count = last - first,
		    .pages = (mapping->end - mapping->start) / page_size,
		    .written = overlap(sample->ranges + first, last - first, mapping->start,
				       mapping->end) /
			       page_size,
		};
		rows->pages += row->pages;
		rows->written += row->written;
		rows->written_rows += row->written > 0;
	}
	return 0;
}

static int by_address(const struct top_row *a, const struct top_row *b)
{
	return a->mapping->start < b->mapping->start ? -1 : a->mapping->start > b->mapping->start;
}

/* Larger ones first. */
static int by_number(double a, double b)
{
	return a > b ? -1 : a < b;
}

static int by_share(const struct top_row *a, const struct top_row *b)
{
	return by_number((double)a->written / (double)a->pages,
			 (double)b->written / (double)b->pages);
}

/* What has no name goes to the end. */
static int by_name(const struct top_row *a, const struct top_row *b)
{
	bool has_name = *a->mapping->name, other_has = *b->mapping->name;

	if (has_name != other_has)
		return has_name ? -1 : 1;
	return strcmp(a->mapping->name, b->mapping->name);
}

static int compare(const void *first, const void *second, void *sort)
{
	const struct top_row *a = first, *b = second;
	int r = 0;

	switch (*(const enum top_sort *)sort) {
	case SORT_PAGES:
		r = by_number((double)a->written, (double)b->written);
		break;
	case SORT_SHARE:
		r = by_share(a, b);
		break;
	case SORT_SIZE:
		r = by_number((double)a->pages, (double)b->pages);
		break;
	case SORT_NAME:
		r = by_name(a, b);
		break;
	default:
		break;
	}
	return r ? r : by_address(a, b);
}

void top_rows_sort(struct top_rows *rows, enum top_sort sort)
{
	if (rows->count)
		qsort_r(rows->list, rows->count, sizeof(*rows->list), compare, &sort);
}

static unsigned char level(uint64_t written, uint64_t of)
{
	if (written == 0)
		return 0;
	if (written * 2 >= of)
		return 4;
	if (written * 10 >= of)
		return 3;
	return written * 100 >= of ? 2 : 1;
}

void top_heat(const struct top_row *row, uint64_t page_size, unsigned char *levels, size_t cells)
{
	uint64_t base = row->mapping->start;

	for (size_t i = 0; i < cells; i++) {
		/* Where there are more cells than pages, several show the same page. */
		uint64_t from = row->pages * i / cells;
		uint64_t to = row->pages * (i + 1) / cells;
		uint64_t written;

		to = to > from ? to : from + 1;
		written = overlap(row->ranges, row->range_count, base + from * page_size,
				  base + to * page_size);
		levels[i] = level(written, (to - from) * page_size);
	}
}
