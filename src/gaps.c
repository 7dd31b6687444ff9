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

/* -ESTALE if a range of the span is mapped but not tracked any more. */
static int check_tracked(struct ww *w, const struct span *span)
{
	const struct range *range = span->first;
	uintptr_t pos = span->start;

	while (pos < span->end) {
		uintptr_t next;
		bool checked;
		int n = w->backend->ops->list(w, span->first, LIST_UNTRACKED, pos, span->end,
					      w->list, WW_REGIONS, &next, &checked);

		if (n < 0)
			return n;
		for (int i = 0; i < n; i++) {
			while (range != span->behind && range->end <= w->list[i].start)
				range = range_next(range);
			if (range != span->behind && range->start < w->list[i].end)
				return -ESTALE;
		}
		pos = next;
	}
	return 0;
}

/* Reports, range by range, what of the n regions listed lies in ranges from *range on. */
static int report(struct ww *w, const struct span *span, struct range **range, size_t n,
		  struct sink *sink)
{
	const struct backend_ops *ops = w->backend->ops;
	size_t i = 0;

	while (i < n && *range != span->behind) {
		const struct wwk_page_region *region = &w->list[i];
		struct range *r = *range;
		uintptr_t start = later(r->start, later(span->start, region->start));
		uintptr_t end = earlier(r->end, earlier(span->end, region->end));

		if (sink_full(sink))
			return 1;
		if (start < end && span->reset) {
			uintptr_t range_end = earlier(r->end, span->end);
			int result = ops->scan(w, r, start, range_end, true, sink);

			if (result != 0)
				return result;
			end = range_end;
		} else if (start < end) {
			sink_put(sink, start, end);
		}
		if (region->end <= r->end)
			i++;
		else
			*range = range_next(r);
		/* A scan answered for the rest of the range: pass over what was listed of it. */
		if (span->reset && start < end)
			while (i < n && w->list[i].end <= end)
				i++;
	}
	return 0;
}

int gaps_scan(struct ww *w, const struct span *span, struct sink *sink)
{
	struct range *range = span->first;
	uintptr_t pos = span->start;
	bool tracked = false;
	int r = 0;

	while (r == 0 && pos < span->end) {
		uintptr_t next;
		bool checked = tracked;
		int n = w->backend->ops->list(w, range, LIST_WRITTEN, pos, span->end, w->list,
					      WW_REGIONS, &next, &checked);

		if (n < 0)
			return n;
		if (checked) {
			r = report(w, span, &range, (size_t)n, sink);
			pos = next;
		} else {
			/* Foreign memory in the gaps: look once whether ours is all there. */
			r = check_tracked(w, span);
			tracked = true;
		}
	}
	return r;
}
