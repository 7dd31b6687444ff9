/* SPDX-License-Identifier: MIT */
#include "gaps.h"

#include <errno.h>

#include "context.h"

/*
 * A resetting scan must never run over a gap: another context may watch what lies there, and its
 * answers would be lost. So the ranges with written pages are found by looking only, and each of
 * them is scanned by itself.
 */

static uintptr_t later(uintptr_t a, uintptr_t b)
{
	return a > b ? a : b;
}

static uintptr_t earlier(uintptr_t a, uintptr_t b)
{
	return a < b ? a : b;
}

/**
 * struct cursor - how far a span was looked at
 * @range: the range that comes next
 * @seen:  up to where in it the kernel answered
 * @sure:  the kernel answers for all memory, as everything mapped is tracked, and tells only what is
 *         written; until it finds other memory in a gap
 */
struct cursor {
	struct range *range;
	uintptr_t seen;
	bool sure;
};

static void move_to(struct cursor *at, const struct span *span, struct range *range)
{
	at->range = range;
	if (range != span->behind)
		at->seen = later(range->start, span->start);
}

/* What the kernel passed over in a range is not mapped, or not ours any more. */
static int pass_over(struct ww *w, const struct cursor *at, uintptr_t end)
{
	int r;

	if (at->sure || at->seen >= end)
		return 0;
	r = w->backend->ops->attached(w, at->seen, end);
	if (r < 0)
		return r;
	return r == 0 ? -ESTALE : 0;
}

/* Moves to the range that holds addr, or the next one above. */
static int pass_ranges(struct ww *w, const struct span *span, struct cursor *at, uintptr_t addr)
{
	int r = 0;

	while (r == 0 && at->range != span->behind && at->range->end <= addr) {
		r = pass_over(w, at, earlier(at->range->end, span->end));
		move_to(at, span, range_next(at->range));
	}
	return r;
}

/* Reports what of a written region lies in the range, and all behind it that a reset answers for. */
static int report(struct ww *w, const struct span *span, struct cursor *at, uintptr_t start,
		  uintptr_t end, struct sink *sink)
{
	if (sink_full(sink))
		return 1;
	if (!span->reset) {
		sink_put(sink, &(struct wwk_page_region){start, end, 0}, 1, start, end);
		return 0;
	}
	end = earlier(at->range->end, span->end);
	at->seen = end;
	return w->backend->ops->scan(w, at->range, start, end, true, sink);
}

static int take_region(struct ww *w, const struct span *span, struct cursor *at,
		       const struct wwk_page_region *region, struct sink *sink)
{
	int r = pass_ranges(w, span, at, region->start);

	while (r == 0 && at->range != span->behind && at->range->start < region->end) {
		uintptr_t start = later(region->start, at->seen);
		uintptr_t end = earlier(region->end, earlier(at->range->end, span->end));

		if (start < end) {
			r = pass_over(w, at, start);
			at->seen = end;
			if (r == 0 && region->categories)
				r = report(w, span, at, start, end, sink);
		}
		if (region->end <= at->range->end)
			break;
		if (r == 0)
			r = pass_ranges(w, span, at, at->range->end);
	}
	return r;
}

/* Lists up to pos and reports that; *pos is where it came to. */
static int scan_some(struct ww *w, const struct span *span, struct cursor *at, uintptr_t *pos,
		     struct sink *sink)
{
	int r, n = w->backend->ops->list(w, span->mode, at->sure, *pos, span->end, w->list,
					 WW_LIST, pos);

	if (n == -ESTALE && at->sure) {
		at->sure = false;
		return 0;
	}
	r = n < 0 ? n : 0;
	for (int i = 0; r == 0 && i < n; i++)
		r = take_region(w, span, at, &w->list[i], sink);
	if (r == 0 && at->sure)
		r = pass_ranges(w, span, at, *pos);
	if (r == 0 && at->sure)
		at->seen = later(at->seen, *pos);
	return r;
}

int gaps_scan(struct ww *w, const struct span *span, struct sink *sink)
{
	struct cursor at = {.sure = true};
	uintptr_t pos = span->start;
	int r = 0;

	move_to(&at, span, span->first);
	while (r == 0 && pos < span->end)
		r = scan_some(w, span, &at, &pos, sink);
	if (r == 0)
		r = pass_ranges(w, span, &at, span->end);
	if (r == 0 && at.range != span->behind)
		r = pass_over(w, &at, span->end);
	return r;
}
