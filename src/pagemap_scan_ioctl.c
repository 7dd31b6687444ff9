/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "pagemap_scan.h"

/* So few are nearer on the stack, for callers that ask for single pages. */
#define FEW_REGIONS 2

static int map_error(struct ww *w, long error)
{
	if (context_lost(w, &w->pagemap) || error == -EPERM)
		return -ESTALE;
	return error == -ENOMEM ? -ENOMEM : -EIO;
}

/* One call into v and from there to the sink; returns the number of pages, *n that of regions. */
static long scan(struct ww *w, const struct ps_filter *filter, uintptr_t start, uintptr_t end,
		 struct wwk_page_region *v, size_t max, struct sink *sink, size_t *n,
		 uintptr_t *next)
{
	size_t room = sink_room_pages(sink), max_pages = room == SIZE_MAX ? 0 : room;
	struct wwk_pm_scan_arg arg = {
		.size = sizeof(arg),
		.flags = filter->flags,
		.start = start,
		.end = end,
		.vec = (uintptr_t)v,
		.vec_len = max,
		.max_pages = max_pages,
		.category_inverted = filter->inverted,
		.category_mask = filter->mask,
		.category_anyof_mask = filter->any,
		.return_mask = filter->returned,
	};
	long pages, r = sys_ioctl(w->pagemap.fd, WWK_PAGEMAP_SCAN, &arg);

	if (r < 0)
		return map_error(w, r);
	*n = (size_t)r;
	if (*n > max)
		return -EIO;
	pages = sink_put(sink, v, *n, start, end);
	if (pages < 0 || (max_pages && (size_t)pages > max_pages))
		return -EIO;
	*next = end;
	if (*n < max && (!max_pages || (size_t)pages < max_pages))
		return pages;
	/* The kernel stopped early. What it says about where may be behind what it returned. */
	*next = arg.walk_end > v[*n - 1].end ? arg.walk_end : v[*n - 1].end;
	return *next <= start || *next > end ? -EIO : pages;
}

int ps_regions(struct ww *w, const struct ps_filter *filter, uintptr_t start, uintptr_t end,
	       struct wwk_page_region *v, size_t max, uintptr_t *next)
{
	struct sink nothing = {.shape = SINK_NOTHING, .page_shift = w->page_shift};
	size_t n = 0;
	long r = scan(w, filter, start, end, v, max, &nothing, &n, next);

	return r < 0 ? (int)r : (int)n;
}

static size_t least(size_t a, size_t b, size_t c)
{
	size_t ab = a < b ? a : b;

	return ab < c ? ab : c;
}

long ps_regions_into(struct ww *w, const struct ps_filter *filter, uintptr_t start, uintptr_t end,
		     struct sink *sink, uintptr_t *next)
{
	/* The kernel allocates by the size of the vector: a small question has a small one. */
	size_t max = least(WW_REGIONS, sink_room_runs(sink), (end - start) >> w->page_shift);
	size_t n = 0;

	if (max <= FEW_REGIONS) {
		struct wwk_page_region few[FEW_REGIONS] = {{0}};

		return scan(w, filter, start, end, few, max, sink, &n, next);
	}
	return scan(w, filter, start, end, w->regions, max, sink, &n, next);
}
