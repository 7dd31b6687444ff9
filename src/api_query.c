/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "context.h"
#include "gaps.h"

/* Gaps up to this size are cheaper to scan over than to leave out by a call of their own. */
#define SPAN_GAP ((uintptr_t)1 << 20)

struct query {
	uintptr_t start;
	uintptr_t end;
	bool reset;
	bool across;
};

/* Takes in the neighbours that one scan can answer for together with first. */
static void span_from(const struct ww *w, const struct query *q, struct range *first,
		      struct span *span)
{
	uintptr_t gap = q->across && w->join_gaps ? SPAN_GAP : 0;
	struct range *r = range_next(first);

	span->first = first;
	span->mode = first->mode;
	span->start = first->start > q->start ? first->start : q->start;
	span->end = first->end < q->end ? first->end : q->end;
	span->reset = q->reset;
	span->gaps = false;
	while (r && r->start < q->end && r->mode == first->mode && r->flags == first->flags &&
	       !r->all_written && r->start - span->end <= gap) {
		span->gaps |= r->start != span->end;
		span->end = r->end < q->end ? r->end : q->end;
		r = range_next(r);
	}
	span->behind = r;
}

/* The answers of a failed reset may be gone: all that it may have reset counts as written. */
static void distrust(struct ww *w, const struct query *q, const struct range *behind)
{
	struct range *r = registry_first(&w->registry, q->start);

	for (; r != behind; r = range_next(r)) {
		uintptr_t start = r->start > q->start ? r->start : q->start;
		uintptr_t end = r->end < q->end ? r->end : q->end;

		if (w->backend->ops->settle(w, start, end) < 0)
			r->all_written = true;
	}
}

static int walk(struct ww *w, const struct query *q, struct range *range, struct sink *sink)
{
	const struct backend_ops *ops = w->backend->ops;
	int r = 0;

	while (r == 0 && range && range->start < q->end) {
		struct span span;

		r = context_settle(w, range);
		if (r < 0)
			break;
		span_from(w, q, range, &span);
		r = span.gaps ? gaps_scan(w, &span, sink)
			      : ops->scan(w, range, span.start, span.end, q->reset, sink);
		range = span.behind;
	}
	if (r < 0 && q->reset)
		distrust(w, q, range);
	return r < 0 ? r : 0;
}

/* The first range of the query, or NULL if what it asks for is not watched. */
static struct range *find_watched(const struct ww *w, const struct query *q)
{
	struct range *first = registry_first(&w->registry, q->start);

	if (q->across)
		return first && first->start < q->end ? first : NULL;
	return registry_reaches(first, q->start, q->end) ? first : NULL;
}

static int run(struct ww *w, const struct query *q, struct sink *sink)
{
	struct range *range;
	int r = context_enter(w);

	if (r < 0)
		return r;
	range = find_watched(w, q);
	r = range ? walk(w, q, range, sink) : -ENOENT;
	context_leave(w);
	return r;
}

static int get(struct ww *w, void *addr, size_t len, unsigned flags, enum sink_shape shape,
	       void *list, size_t *count)
{
	struct query q = {.reset = flags & WW_RESET, .across = flags & WW_ACROSS};
	struct sink sink = {.shape = shape, .list.any = list};
	int r;

	if (!w || !count || flags & ~(unsigned)(WW_RESET | WW_ACROSS) ||
	    context_pages(w, addr, len, &q.start, &q.end) < 0)
		return -EINVAL;
	if (list ? *count == 0 : q.reset)
		return -EINVAL;
	sink.room = *count;
	sink.base = q.start;
	sink.page_shift = w->page_shift;
	if (shape == SINK_BITMAP && list) {
		size_t words = (((q.end - q.start) >> w->page_shift) + 63) / 64;

		if (sink.room < words)
			return -EINVAL;
		memset(list, 0, words * sizeof(uint64_t));
	}
	r = run(w, &q, &sink);
	if (r == 0)
		*count = sink.count;
	return r;
}

int ww_get(struct ww *w, void *addr, size_t len, unsigned flags, void **pages, size_t *count)
{
	return get(w, addr, len, flags, SINK_PAGES, pages, count);
}

int ww_get_ranges(struct ww *w, void *addr, size_t len, unsigned flags, struct ww_range *ranges,
		  size_t *count)
{
	return get(w, addr, len, flags, SINK_RANGES, ranges, count);
}

int ww_get_bitmap(struct ww *w, void *addr, size_t len, unsigned flags, uint64_t *bits,
		  size_t *count)
{
	return get(w, addr, len, flags, SINK_BITMAP, bits, count);
}

int ww_reset(struct ww *w, void *addr, size_t len)
{
	struct query q = {.reset = true};
	struct sink sink = {.shape = SINK_NOTHING};

	if (!w || context_pages(w, addr, len, &q.start, &q.end) < 0)
		return -EINVAL;
	sink.page_shift = w->page_shift;
	return run(w, &q, &sink);
}
