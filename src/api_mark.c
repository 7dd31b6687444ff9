/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "context.h"

typedef int (*range_fn)(struct ww *w, struct range *range, uintptr_t start, uintptr_t end);

/* Calls fn for each part of [start, end), which must be watched without gaps. */
static int for_watched(struct ww *w, uintptr_t start, uintptr_t end, range_fn fn)
{
	if (!registry_reaches(registry_first(&w->registry, start), start, end))
		return -ENOENT;
	while (start < end) {
		struct range *range = registry_first(&w->registry, start);
		uintptr_t part_end = range->end < end ? range->end : end;
		int r = context_settle(w, range);

		if (r == 0)
			r = fn(w, range, start, part_end);
		if (r < 0)
			return r;
		start = part_end;
	}
	return 0;
}

static int mark(struct ww *w, struct range *range, uintptr_t start, uintptr_t end)
{
	int r = w->backend->ops->mark(w, range, start, end);

	if (r != -EAGAIN)
		return r;
	range = registry_isolate(&w->registry, range, start, end);
	return range ? w->backend->ops->arm_written(w, range) : -ENOMEM;
}

static int mark_all(struct ww *w, uintptr_t start, uintptr_t end)
{
	return for_watched(w, start, end, mark);
}

static int check_discard(struct ww *w, struct range *range, uintptr_t start, uintptr_t end)
{
	struct maps_walk walk;
	struct mapping m;
	int r = w->backend->ops->attached(w, start, end);

	(void)range;
	if (r <= 0)
		return r == 0 ? -ESTALE : r;
	maps_walk(&walk, start, end);
	while ((r = context_next_mapping(w, &walk, &m)) > 0)
		if (mapping_is_of_file(&m))
			return -ENOTSUP;
	return r;
}

static int discard(struct ww *w, struct range *range, uintptr_t start, uintptr_t end)
{
	struct maps_walk walk;
	struct mapping m;
	int r;

	maps_walk(&walk, start, end);
	while ((r = context_next_mapping(w, &walk, &m)) > 0) {
		r = w->backend->ops->discard(w, range, &m);
		if (r < 0)
			break;
	}
	return r;
}

/* Content is dropped only once nothing is left that could be refused for what it is. */
static int discard_all(struct ww *w, uintptr_t start, uintptr_t end)
{
	int r = for_watched(w, start, end, check_discard);

	return r < 0 ? r : for_watched(w, start, end, discard);
}

static int apply(struct ww *w, uintptr_t start, uintptr_t end,
		 int (*fn)(struct ww *w, uintptr_t start, uintptr_t end))
{
	int r = context_enter(w);

	if (r < 0)
		return r;
	r = fn(w, start, end);
	context_leave(w);
	return r;
}

int ww_mark(struct ww *w, void *addr, size_t len)
{
	uintptr_t start, end;

	if (!w || context_pages(w, addr, len, &start, &end) < 0)
		return -EINVAL;
	return apply(w, start, end, mark_all);
}

int ww_discard(struct ww *w, void *addr, size_t len)
{
	uintptr_t start, end;

	if (!w || context_pages(w, addr, len, &start, &end) < 0)
		return -EINVAL;
	if ((uintptr_t)addr != start || end - start != len)
		return -EINVAL;
	return apply(w, start, end, discard_all);
}
