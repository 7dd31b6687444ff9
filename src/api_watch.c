/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "context.h"

#define WATCH_TRIES 8

/* Arms [start, end), which is attached and of one kind, in as many ranges as the backend likes. */
static int arm_pieces(struct ww *w, uintptr_t start, uintptr_t end, unsigned flags,
		      enum mapping_kind kind)
{
	while (start < end) {
		struct range piece = {
			.start = start,
			.end = end,
			.flags = flags,
			.fresh = true,
		};
		int r = w->backend->ops->arm(w, &piece, kind);

		if (r == 0)
			r = registry_add(&w->registry, &piece);
		if (r < 0)
			return r;
		start = piece.end;
	}
	return 0;
}

/* The memory must not stay protected, whatever that takes. */
static void detach_at_any_price(struct ww *w, uintptr_t start, uintptr_t end)
{
	w->ends = true;
	w->backend->ops->detach(w, start, end);
	w->ends = false;
}

static int watch_new(struct ww *w, const struct mapping *m, unsigned flags)
{
	int r;

	w->has_watched = true;
	r = w->backend->ops->attach(w, m);
	/* Special mappings of the kernel's are not for writing either, but in no file's name. */
	if (r == -EACCES && m->kind != MAPPING_SHARED)
		return -ENOTSUP;
	if (r < 0)
		return r;
	r = arm_pieces(w, m->start, m->end, flags, m->kind);
	if (r < 0)
		detach_at_any_price(w, m->start, m->end);
	return r;
}

/* The part was remapped behind our back: whatever it holds now, it counts as written. */
static int repair(struct ww *w, struct range *range, const struct mapping *m, unsigned flags)
{
	const struct backend_ops *ops = w->backend->ops;
	int r;

	range = registry_isolate(&w->registry, range, m->start, m->end);
	if (!range)
		return -ENOMEM;
	r = ops->attach(w, m);
	if (r < 0)
		return r;
	range->flags |= flags;
	r = ops->arm_written(w, range);
	if (r < 0)
		detach_at_any_price(w, m->start, m->end);
	else
		range->all_written = false;
	return r;
}

static int watch_again(struct ww *w, struct range *range, const struct mapping *m, unsigned flags)
{
	const struct backend_ops *ops = w->backend->ops;
	int r = ops->owns ? ops->owns(w, m) : 0;

	if (r < 0)
		return r;
	if (r == 0)
		return repair(w, range, m, flags);
	if (!(flags & WW_DISCARDS) || range->flags & WW_DISCARDS)
		return 0;
	range = registry_isolate(&w->registry, range, m->start, m->end);
	if (!range)
		return -ENOMEM;
	r = ops->add_discards ? ops->add_discards(w, range) : 0;
	if (r == 0)
		range->flags |= WW_DISCARDS;
	return r;
}

/* The list as text does not show huge pages of hugetlbfs, but that they are a file's. */
static bool is_hugetlb(const struct ww *w, const struct mapping *m)
{
	return m->kind == MAPPING_HUGETLB ||
	       (w->maps.text_only && m->kind != MAPPING_PRIVATE_ANON && sys_is_hugetlb(m->start));
}

/* Handles the front of m that is watched alike, and sets m->end to where that ends. */
static int watch_piece(struct ww *w, struct mapping *m, unsigned flags)
{
	struct range *range = registry_first(&w->registry, m->start);

	if (range && range->start <= m->start)
		flags |= range->flags & WW_DISCARDS;
	if (is_hugetlb(w, m) || (flags & WW_DISCARDS && mapping_is_of_file(m)))
		return -ENOTSUP;
	if (range && range->start <= m->start) {
		if (range->end < m->end)
			m->end = range->end;
		return watch_again(w, range, m, flags);
	}
	if (range && range->start < m->end)
		m->end = range->start;
	return watch_new(w, m, flags);
}

/* Ends what the running call began, and nothing else. */
static void undo(struct ww *w, uintptr_t start, uintptr_t end)
{
	struct range *range = registry_first(&w->registry, start);

	while (range && range->start < end) {
		struct range *next = range_next(range);

		if (range->fresh) {
			detach_at_any_price(w, range->start, range->end);
			registry_remove(&w->registry, range);
		}
		range = next;
	}
}

static void keep(struct ww *w, uintptr_t start, uintptr_t end)
{
	struct range *range = registry_first(&w->registry, start);

	for (; range && range->start < end; range = range_next(range))
		range->fresh = false;
	registry_merge(&w->registry, start, end);
}

static int watch(struct ww *w, uintptr_t start, uintptr_t end, unsigned flags)
{
	struct maps_walk walk;
	uintptr_t pos = start;
	struct mapping m;
	int r = 0;

	w->changes = clients_changes();
	maps_walk(&walk, start, end);
	while (r >= 0 && pos < end) {
		r = context_next_mapping(w, &walk, &m);
		if (r == 0 || (r > 0 && m.start > pos))
			r = -EFAULT;
		while (r >= 0 && pos < walk.pos) {
			struct mapping piece = m;

			piece.start = pos;
			r = watch_piece(w, &piece, flags);
			pos = piece.end;
		}
	}
	if (r < 0)
		undo(w, start, end);
	else
		keep(w, start, end);
	return r < 0 ? r : 0;
}

int ww_watch(struct ww *w, void *addr, size_t len, unsigned flags)
{
	uintptr_t start, end;
	int r, tries = 0;

	if (!w || flags & ~(unsigned)WW_DISCARDS || context_pages(w, addr, len, &start, &end) < 0)
		return -EINVAL;
	if (flags & WW_DISCARDS && w->backend->no_discards)
		return -ENOTSUP;
	/* -ESTALE: the descriptors turned out to be gone, so the next entry opens new ones; or the
	 * range was remapped meanwhile. */
	do {
		r = context_enter(w);
		if (r < 0)
			return r;
		r = watch(w, start, end, flags);
		context_leave(w);
	} while (r == -ESTALE && ++tries < WATCH_TRIES);
	return r == -ESTALE ? -EIO : r;
}

static int unwatch_part(struct ww *w, struct range *range, uintptr_t start, uintptr_t end)
{
	int r;

	range = registry_isolate(&w->registry, range, start, end);
	if (!range)
		return -ENOMEM;
	r = w->backend->ops->detach(w, start, end);
	if (r == 0)
		registry_remove(&w->registry, range);
	return r;
}

static int unwatch(struct ww *w, uintptr_t start, uintptr_t end)
{
	struct range *range = registry_first(&w->registry, start);
	int r = 0;

	if (!range || range->start >= end)
		return -ENOENT;
	while (r == 0 && range && range->start < end) {
		uintptr_t from = range->start > start ? range->start : start;
		uintptr_t to = range->end < end ? range->end : end;

		r = unwatch_part(w, range, from, to);
		range = registry_first(&w->registry, to);
	}
	return r;
}

int ww_unwatch(struct ww *w, void *addr, size_t len)
{
	uintptr_t start, end;
	int r;

	if (!w || context_pages(w, addr, len, &start, &end) < 0)
		return -EINVAL;
	r = context_enter(w);
	if (r < 0)
		return r;
	r = unwatch(w, start, end);
	context_leave(w);
	return r;
}
