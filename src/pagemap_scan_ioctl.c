/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "pagemap_scan.h"

static int map_error(struct ww *w, long error)
{
	switch (error) {
	case -EPERM:
		return -ESTALE;
	case -ENOMEM:
		return -ENOMEM;
	case -EBADF:
	case -ENOTTY:
		context_lost(w);
		return -ESTALE;
	default:
		return -EIO;
	}
}

/* Counts the pages; -1 if the kernel's answer is not what it promises. */
static long count_pages(const struct ww *w, const struct wwk_page_region *v, size_t n,
			uintptr_t start, uintptr_t end)
{
	uint64_t bytes = 0, pos = start, odd = 0;

	for (size_t i = 0; i < n; i++) {
		if (v[i].start < pos || v[i].end <= v[i].start)
			return -1;
		odd |= v[i].start | v[i].end;
		pos = v[i].end;
		bytes += pos - v[i].start;
	}
	return pos > end || odd & (w->page_size - 1) ? -1 : (long)(bytes >> w->page_shift);
}

/* One call; returns the number of pages, *n is the number of regions. max_pages 0: no limit. */
static long scan(struct ww *w, const struct ps_filter *filter, uintptr_t start, uintptr_t end,
		 struct wwk_page_region *v, size_t max, size_t max_pages, size_t *n,
		 uintptr_t *next)
{
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
	pages = count_pages(w, v, *n, start, end);
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
	size_t n = 0;
	long r = scan(w, filter, start, end, v, max, 0, &n, next);

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
	size_t n = 0, room = sink_room_pages(sink);
	/* The kernel allocates by the size of the vector: a small question has a small one. */
	size_t max = least(WW_REGIONS, sink_room_runs(sink), (end - start) >> w->page_shift);
	long pages = scan(w, filter, start, end, w->regions, max, room == SIZE_MAX ? 0 : room, &n,
			  next);

	if (pages < 0)
		return pages;
	for (size_t i = 0; i < n; i++)
		sink_put(sink, w->regions[i].start, w->regions[i].end);
	return pages;
}
