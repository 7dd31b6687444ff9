/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <sys/mman.h>

#include "pagemap_scan.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif

/* From here on a scan, which passes quickly over what is clean, costs less than protecting all. */
#define RESET_BY_PROTECTING ((uintptr_t)8)

/* What one page table maps and one huge page covers: 2 MiB where pages have 4 KiB. */
static uintptr_t table_span(const struct ww *w)
{
	return w->page_size / sizeof(uint64_t) << w->page_shift;
}

/* A hole smaller than this is not worth a range of its own: its page tables take 16 pages. */
static uintptr_t lazy_hole(const struct ww *w)
{
	return 16 * table_span(w);
}

/* Everything that is there; a page that was only read shows as the zero page. */
static const struct ps_filter resident = {
	.any = WWK_PAGE_IS_PRESENT | WWK_PAGE_IS_SWAPPED,
	.returned = WWK_PAGE_IS_PFNZERO | WWK_PAGE_IS_HUGE,
};

/* The first write to a huge zero page makes a huge page of it, whatever the mapping wants. */
static bool needs_arming(const struct wwk_page_region *region)
{
	return !(region->categories & WWK_PAGE_IS_PFNZERO) ||
	       region->categories & WWK_PAGE_IS_HUGE;
}

/*
 * Finds how far from start one mode serves. What holds pages already is armed, by whole page
 * tables: a huge page among them may later be split, with pages that were written with zeros
 * becoming the zero page, which only an armed range tells from an untouched page.
 */
static int plan(struct ww *w, struct range *r)
{
	const uintptr_t table_mask = table_span(w) - 1;
	uintptr_t armed = r->start, pos = r->start, hole_end = r->end;

	while (pos < r->end) {
		int n = ps_regions(w, &resident, pos, r->end, w->regions, WW_REGIONS, &pos);

		if (n < 0)
			return n;
		for (int i = 0; i < n; i++) {
			uintptr_t from = w->regions[i].start & ~table_mask;
			uintptr_t to = (w->regions[i].end + table_mask) & ~table_mask;

			if (!needs_arming(&w->regions[i]))
				continue;
			if (from > armed && from - armed >= lazy_hole(w)) {
				hole_end = from;
				goto found;
			}
			armed = to > armed ? to : armed;
		}
	}
	if (armed > r->start && (armed >= r->end || r->end - armed < lazy_hole(w)))
		armed = r->end;
found:
	r->mode = armed == r->start ? PS_LAZY : PS_ARMED;
	r->end = armed == r->start ? hole_end : armed;
	return 0;
}

/* Huge pages would report 512 pages for one, and merged pages lose what they were. */
static int make_lazy(struct ww *w, struct range *r)
{
	static const int advice[] = {MADV_NOHUGEPAGE, MADV_UNMERGEABLE};
	uintptr_t pos = r->start;

	for (size_t i = 0; i < sizeof(advice) / sizeof(*advice); i++)
		if (sys_madvise(r->start, r->end - r->start, advice[i]) == -ENOMEM)
			return -ENOMEM;
	/* A thread may have got a huge page meanwhile. */
	while (pos < r->end) {
		int n = ps_regions(w, &resident, pos, r->end, w->regions, WW_REGIONS, &pos);

		if (n < 0)
			return n;
		for (int i = 0; i < n; i++)
			if (needs_arming(&w->regions[i]))
				r->mode = PS_ARMED;
	}
	return 0;
}

static int ps_arm(struct ww *w, struct range *r, enum mapping_kind kind)
{
	int n = 0;

	/* Dropping a whole page table's worth leaves a hole, which such a kernel never reports. */
	if (r->flags & WW_DISCARDS && w->no_holes)
		return -ENOTSUP;
	r->mode = PS_ARMED;
	if (kind == MAPPING_PRIVATE_ANON && !(r->flags & WW_DISCARDS))
		n = plan(w, r);
	if (n == 0 && r->mode == PS_LAZY)
		n = make_lazy(w, r);
	if (n == 0 && r->mode == PS_ARMED)
		n = ps_protect(w, r->start, r->end);
	return n;
}

static int ps_arm_written(struct ww *w, struct range *r)
{
	int n = 0;

	r->mode = PS_ARMED;
	/* This leaves page tables behind, without which such a kernel reports nothing. */
	if (w->no_holes)
		n = ps_protect(w, r->start, r->end);
	return n < 0 ? n : ps_unprotect(w, r->start, r->end);
}

/*
 * Where there is no page table, a scan makes one and protects all of it, without excluding faults:
 * a page that was first written at that moment is protected with the rest. Unlike the rest, it is
 * there.
 */
static int release_raced(struct ww *w, uintptr_t start, uintptr_t end)
{
	static const struct ps_filter raced = {
		.mask = WWK_PAGE_IS_PRESENT | WWK_PAGE_IS_WRITTEN | WWK_PAGE_IS_PFNZERO,
		.inverted = WWK_PAGE_IS_WRITTEN | WWK_PAGE_IS_PFNZERO,
		.returned = WWK_PAGE_IS_WPALLOWED,
	};

	while (start < end) {
		struct wwk_page_region found = {0};
		int n = ps_regions(w, &raced, start, end, &found, 1, &start);

		if (n > 0)
			n = ps_unprotect(w, found.start, found.end);
		if (n < 0)
			return n;
	}
	return 0;
}

static int arm_holes(struct ww *w, uintptr_t start, uintptr_t end)
{
	static const struct ps_filter holes = {
		.mask = WWK_PAGE_IS_PRESENT | WWK_PAGE_IS_SWAPPED,
		.inverted = WWK_PAGE_IS_PRESENT | WWK_PAGE_IS_SWAPPED,
		.returned = WWK_PAGE_IS_WPALLOWED,
		.flags = WWK_PM_SCAN_WP_MATCHING | WWK_PM_SCAN_CHECK_WPASYNC,
	};
	const uintptr_t first = start;

	while (start < end) {
		const struct wwk_page_region *v = w->regions;
		int n = ps_regions(w, &holes, start, end, w->regions, WW_REGIONS, &start);

		for (int i = 0; i < n; i++) {
			/* What lacks a page table fills one, but for the ends of the range. */
			bool whole = v[i].end - v[i].start >= table_span(w) || v[i].start == first ||
				     v[i].end == end;
			int r = whole ? release_raced(w, v[i].start, v[i].end) : 0;

			if (r < 0)
				return r;
			/* Such a kernel only says that it did: let them be zero pages, then. */
			if (w->no_holes)
				sys_madvise(v[i].start, v[i].end - v[i].start, MADV_POPULATE_READ);
		}
		if (n < 0)
			return n;
	}
	return 0;
}

static int arm_zero_pages(struct ww *w, uintptr_t start, uintptr_t end)
{
	static const struct ps_filter zero = {
		.mask = WWK_PAGE_IS_PFNZERO,
		.returned = WWK_PAGE_IS_WPALLOWED,
		.flags = WWK_PM_SCAN_WP_MATCHING | WWK_PM_SCAN_CHECK_WPASYNC,
	};
	int n = 0;

	while (n >= 0 && start < end)
		n = ps_regions(w, &zero, start, end, w->regions, WW_REGIONS, &start);
	return n < 0 ? n : 0;
}

/* Write-protects what nobody has written, and leaves alone what is written meanwhile. */
static int arm_untouched(struct ww *w, struct range *r, uintptr_t start, uintptr_t end)
{
	int n = arm_holes(w, start, end);

	if (n == 0)
		n = arm_zero_pages(w, start, end);
	/* How far that came, and what it took along, is not known. */
	if (n < 0 && ps_settle(w, start, end) < 0)
		r->all_written = true;
	return n;
}

static int ps_add_discards(struct ww *w, struct range *r)
{
	int n = 0;

	if (w->no_holes)
		return -ENOTSUP;
	if (r->mode == PS_LAZY)
		n = arm_untouched(w, r, r->start, r->end);
	if (n == 0)
		r->mode = PS_ARMED;
	return n;
}

static const struct ps_filter populated = {
	.mask = WWK_PAGE_IS_PFNZERO,
	.inverted = WWK_PAGE_IS_PFNZERO,
	.any = WWK_PAGE_IS_PRESENT | WWK_PAGE_IS_SWAPPED,
	.returned = WWK_PAGE_IS_WPALLOWED,
};

static size_t count_populated(struct ww *w, const struct range *r)
{
	uintptr_t pos = r->start;
	size_t bytes = 0;

	while (pos < r->end) {
		int n = ps_regions(w, &populated, pos, r->end, w->regions, WW_REGIONS, &pos);

		for (int i = 0; i < n; i++)
			bytes += w->regions[i].end - w->regions[i].start;
		if (n < 0)
			return 0;
	}
	return bytes >> w->page_shift;
}

/*
 * A lazy range that is mostly populated gains from the kernel's fast path more than it saves.
 * Looking costs as much as a scan, so it is done when half as many pages as there are were
 * reported, and then at twice the distance each time.
 */
static void reconsider(struct ww *w, struct range *r, size_t reported)
{
	size_t pages = (r->end - r->start) >> w->page_shift;

	r->reported += reported;
	/* Below one page table's worth, a range is too small for an opinion of its own; and where empty
	 * pages have to be filled to be armed, lazy remains cheaper. */
	if (w->no_holes || r->end - r->start < table_span(w) || r->reported < (r->look_at ? r->look_at : pages / 2))
		return;
	if (count_populated(w, r) >= pages / 2 && arm_untouched(w, r, r->start, r->end) == 0) {
		r->mode = PS_ARMED;
	} else {
		r->look_at = 2 * (r->look_at ? r->look_at : pages / 2);
		r->reported = 0;
	}
}

static struct ps_filter written(const struct ww *w, unsigned mode)
{
	if (mode == PS_ARMED)
		return (struct ps_filter){
			.mask = WWK_PAGE_IS_WRITTEN,
			.returned = WWK_PAGE_IS_WRITTEN,
		};
	return (struct ps_filter){
		.mask = WWK_PAGE_IS_WRITTEN | WWK_PAGE_IS_PFNZERO | w->guard_pages,
		.inverted = WWK_PAGE_IS_PFNZERO | w->guard_pages,
		.any = WWK_PAGE_IS_PRESENT | WWK_PAGE_IS_SWAPPED,
		.returned = WWK_PAGE_IS_WRITTEN,
	};
}

int ps_scan(struct ww *w, struct range *r, uintptr_t start, uintptr_t end, bool reset,
	    struct sink *sink)
{
	struct ps_filter filter = written(w, r->mode);
	size_t reported = 0;
	long n;

	/* Where nobody wants the answer, protecting a few pages is the shorter way. */
	if (reset && sink->shape == SINK_NOTHING && r->mode == PS_ARMED &&
	    end - start <= RESET_BY_PROTECTING << w->page_shift)
		return ps_protect(w, start, end);
	filter.flags = WWK_PM_SCAN_CHECK_WPASYNC | (reset ? WWK_PM_SCAN_WP_MATCHING : 0);
	while (start < end && !sink_full(sink)) {
		n = ps_regions_into(w, &filter, start, end, sink, &start);
		if (n < 0)
			return n;
		reported += (size_t)n;
	}
	if (reset && r->mode == PS_LAZY)
		reconsider(w, r, reported);
	return start < end;
}

/* Whether a region of ps_list() is one to report: the kernel cannot be asked for a lazy range and
 * for untracked memory at once, so that much is sorted here. */
static bool is_listed(const struct ww *w, unsigned mode, uint64_t categories)
{
	if (mode == PS_ARMED || !(categories & WWK_PAGE_IS_WPALLOWED))
		return true;
	return categories & WWK_PAGE_IS_WRITTEN &&
	       !(categories & (WWK_PAGE_IS_PFNZERO | w->guard_pages));
}

static int ps_list(struct ww *w, unsigned mode, uintptr_t start, uintptr_t end,
		   struct wwk_page_region *v, size_t max, uintptr_t *next)
{
	const uint64_t for_lazy = WWK_PAGE_IS_WRITTEN | WWK_PAGE_IS_PFNZERO | w->guard_pages;
	const struct ps_filter filter = {
		.inverted = WWK_PAGE_IS_WPALLOWED,
		.any = WWK_PAGE_IS_WPALLOWED |
		       (mode == PS_ARMED ? WWK_PAGE_IS_WRITTEN
					 : WWK_PAGE_IS_PRESENT | WWK_PAGE_IS_SWAPPED),
		.returned = WWK_PAGE_IS_WPALLOWED | (mode == PS_ARMED ? 0 : for_lazy),
	};
	int kept = 0, n = ps_regions(w, &filter, start, end, v, max, next);

	for (int i = 0; i < n; i++)
		if (is_listed(w, mode, v[i].categories))
			v[kept++] = v[i];
	return n < 0 ? n : kept;
}

/* Asks for what cannot be, so that only the check of every mapping is left of the scan. */
int ps_attached(struct ww *w, uintptr_t start, uintptr_t end)
{
	static const struct ps_filter nothing = {
		.mask = WWK_PAGE_IS_WPALLOWED,
		.inverted = WWK_PAGE_IS_WPALLOWED,
		.returned = WWK_PAGE_IS_WPALLOWED,
		.flags = WWK_PM_SCAN_CHECK_WPASYNC,
	};
	uintptr_t next;
	int n = ps_regions(w, &nothing, start, end, w->regions, 1, &next);

	return n == -ESTALE ? 0 : n < 0 ? n : 1;
}

static int ps_mark(struct ww *w, struct range *r, uintptr_t start, uintptr_t end)
{
	int n = ps_attached(w, start, end);

	if (n <= 0)
		return n == 0 ? -ESTALE : n;
	if (r->mode == PS_ARMED)
		return ps_unprotect(w, start, end);
	/* A lazy range reports no empty page: fill a few, or let many be an armed range. */
	if (end - start > table_span(w) || sys_madvise(start, end - start, MADV_POPULATE_WRITE))
		return -EAGAIN;
	return 0;
}

static int drop(const struct mapping *m)
{
	size_t len = m->end - m->start;
	int n;

	if (m->kind == MAPPING_SHARED)
		return sys_madvise(m->start, len, MADV_REMOVE);
	n = sys_madvise(m->start, len, MADV_DONTNEED);
	return n == -EINVAL ? sys_madvise(m->start, len, MADV_DONTNEED_LOCKED) : n;
}

static int ps_discard(struct ww *w, struct range *r, const struct mapping *m)
{
	int n = drop(m);

	if (n < 0)
		return n == -ENOMEM ? n : -ENOTSUP;
	return r->mode == PS_ARMED ? arm_untouched(w, r, m->start, m->end) : 0;
}

const struct backend_ops backend_pagemap_scan = {
	.open = ps_open,
	.close = ps_close,
	.attach = ps_attach,
	.detach = ps_detach,
	.attached = ps_attached,
	.arm = ps_arm,
	.arm_written = ps_arm_written,
	.add_discards = ps_add_discards,
	.scan = ps_scan,
	.list = ps_list,
	.settle = ps_settle,
	.mark = ps_mark,
	.discard = ps_discard,
};
