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

/* Reports, range by range, what of the n regions listed lies in ranges from *range on. */
static int report(struct ww *w, const struct span *span, struct range **range, size_t n,
		  struct sink *sink)
{
	size_t i = 0;

	while (i < n && *range != span->behind) {
		const struct wwk_page_region *region = &w->list[i];
		struct range *r = *range;
		uintptr_t start = later(r->start, later(span->start, region->start));
		uintptr_t end = earlier(r->end, earlier(span->end, region->end));

		if (sink_full(sink))
			return 1;
		if (start < end && !(region->categories & WWK_PAGE_IS_WPALLOWED))
			return -ESTALE;
		if (start < end && span->reset) {
			int result;

			/* This answers for the rest of the range, whatever else is listed of it. */
			end = earlier(r->end, span->end);
			result = w->backend->ops->scan(w, r, start, end, true, sink);
			if (result != 0)
				return result;
			while (i < n && w->list[i].end <= end)
				i++;
			*range = range_next(r);
			continue;
		}
		if (start < end)
			sink_put(sink, &(struct wwk_page_region){start, end, 0}, 1, start, end);
		if (region->end <= r->end)
			i++;
		else
			*range = range_next(r);
	}
	return 0;
}

int gaps_scan(struct ww *w, const struct span *span, struct sink *sink)
{
	struct range *range = span->first;
	uintptr_t pos = span->start;
	int r = 0;

	while (r == 0 && pos < span->end) {
		int n = w->backend->ops->list(w, span->mode, pos, span->end, w->list, WW_LIST,
					      &pos);

		r = n < 0 ? n : report(w, span, &range, (size_t)n, sink);
	}
	return r;
}
