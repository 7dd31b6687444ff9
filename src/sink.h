/* SPDX-License-Identifier: MIT */
#ifndef WW_SINK_H
#define WW_SINK_H

/* Where a query puts its results: the shapes of answer behind one set of calls. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "uapi/pagemap_scan.h"
#include "writewatch/writewatch.h"

enum sink_shape {
	SINK_NOTHING,
	SINK_PAGES,
	SINK_RANGES,
	SINK_BITMAP
};

/**
 * struct sink - filled in ascending order
 * @list:     the caller's list for the shape, or NULL to count
 * @room:     elements in list; ignored when counting
 * @base:     the first page of a bitmap
 * @count:    elements stored or counted (for a bitmap: pages)
 * @last_end: end of the run that was stored last, to join the next one to it
 */
struct sink {
	enum sink_shape shape;
	union {
		void **pages;
		struct ww_range *ranges;
		uint64_t *bits;
		void *any;
	} list;
	size_t room;
	unsigned page_shift;
	uintptr_t base;
	size_t count;
	uintptr_t last_end;
};

static inline bool sink_limits(const struct sink *sink, enum sink_shape shape)
{
	return sink->shape == shape && sink->list.any;
}

/* How many more pages, and how many more runs, fit for sure. SIZE_MAX: any number. */
static inline size_t sink_room_pages(const struct sink *sink)
{
	return sink_limits(sink, SINK_PAGES) ? sink->room - sink->count : SIZE_MAX;
}

static inline size_t sink_room_runs(const struct sink *sink)
{
	return sink_limits(sink, SINK_RANGES) ? sink->room - sink->count : SIZE_MAX;
}

static inline bool sink_full(const struct sink *sink)
{
	return sink_room_pages(sink) == 0 || sink_room_runs(sink) == 0;
}

/*
 * Stores n regions, or as much of them as there is room for, and returns how many pages they have.
 * -1 if they are no whole pages, not ascending, or not in [start, end); nothing counts then.
 */
long sink_put(struct sink *sink, const struct wwk_page_region *v, size_t n, uintptr_t start,
	      uintptr_t end);

#endif
