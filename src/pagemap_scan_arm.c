/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <sys/mman.h>

#include "pagemap_scan.h"
#include "uffd.h"
#include "uapi/madvise.h"

/* How watching begins: what of a range is armed, what may stay lazy, and arming later on. */

/* A hole smaller than this is not worth a range of its own: its page tables take 16 pages. */
static uintptr_t lazy_hole(const struct ww *w)
{
	return 16 * ps_table_span(w);
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
	const uintptr_t table_mask = ps_table_span(w) - 1;
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
	uintptr_t pos = r->start;

	if (maps_keep_apart(r->start, r->end) < 0)
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

int ps_arm(struct ww *w, struct range *r, enum mapping_kind kind)
{
	int n = 0;

	r->mode = PS_ARMED;
	/* Where there is no zero page, a lazy range would report what was only read. */
	if (kind == MAPPING_PRIVATE_ANON && !(r->flags & WW_DISCARDS) && !w->no_zero_page)
		n = plan(w, r);
	if (n == 0 && r->mode == PS_LAZY)
		n = make_lazy(w, r);
	if (n == 0 && r->mode == PS_ARMED)
		n = uffd_protect(w, r->start, r->end);
	return n;
}

/* Neither there nor armed. */
static const struct ps_filter empty = {
	.mask = WWK_PAGE_IS_PRESENT | WWK_PAGE_IS_SWAPPED,
	.inverted = WWK_PAGE_IS_PRESENT | WWK_PAGE_IS_SWAPPED,
	.returned = WWK_PAGE_IS_WPALLOWED,
	.flags = WWK_PM_SCAN_CHECK_WPASYNC,
};

/* Leaves page tables behind, and never protection: a failure between the two would hide writes. */
static int make_tables(struct ww *w, uintptr_t start, uintptr_t end)
{
	int r = uffd_protect(w, start, end);
	int undone = uffd_unprotect(w, start, end);

	return r < 0 ? r : undone;
}

/* A huge page of a file would be reported as a whole, and made anew by the next write, each time. */
static int divide_shared(struct ww *w, uintptr_t start, uintptr_t end)
{
	struct maps_walk walk;
	struct mapping m;
	int r;

	maps_walk(&walk, start, end);
	while ((r = context_next_mapping(w, &walk, &m)) > 0) {
		r = m.kind == MAPPING_PRIVATE_ANON ? 0 : make_tables(w, m.start, m.end);
		if (r < 0)
			return r;
	}
	return r;
}

int ps_arm_written(struct ww *w, struct range *r)
{
	int n;

	r->mode = PS_ARMED;
	/* Without page tables such a kernel reports nothing. */
	if (w->no_holes)
		return make_tables(w, r->start, r->end);
	n = uffd_unprotect(w, r->start, r->end);
	return n == 0 ? divide_shared(w, r->start, r->end) : n;
}

int ps_fill_holes(struct ww *w, uintptr_t start, uintptr_t end)
{
	while (start < end) {
		int n = ps_regions(w, &empty, start, end, w->regions, WW_REGIONS, &start);

		for (int i = 0; i < n; i++) {
			int r = make_tables(w, w->regions[i].start, w->regions[i].end);

			if (r < 0)
				return r;
		}
		if (n < 0)
			return n;
	}
	return 0;
}

/*
 * Where there is no page table, a scan makes one and protects all of it, without excluding faults:
 * a page that was first written at that moment is protected with the rest. Unlike the rest, it is
 * there. v holds the n regions that were empty, not 0.
 */
static int release_raced(struct ww *w, const struct wwk_page_region *v, int n)
{
	static const struct ps_filter armed = {
		.mask = WWK_PAGE_IS_PRESENT | WWK_PAGE_IS_WRITTEN | WWK_PAGE_IS_PFNZERO,
		.inverted = WWK_PAGE_IS_WRITTEN | WWK_PAGE_IS_PFNZERO,
		.returned = WWK_PAGE_IS_WPALLOWED,
	};
	const struct wwk_page_region *last = v + n - 1;
	struct wwk_page_region found[64] = {{0}};
	uintptr_t pos = v->start;

	while (pos < last->end) {
		int m = ps_regions(w, &armed, pos, last->end, found, 64, &pos);

		for (int i = 0; i < m;) {
			uintptr_t from = found[i].start > v->start ? found[i].start : v->start;
			uintptr_t to = found[i].end < v->end ? found[i].end : v->end;
			int r = from < to ? uffd_unprotect(w, from, to) : 0;

			if (r < 0)
				return r;
			if (found[i].end <= v->end)
				i++;
			else if (v++ == last)
				return 0;
		}
		if (m < 0)
			return m;
	}
	return 0;
}

#define FILL_TRIES 64

/* Puts a zero page into each page table of [start, end) that begins behind *made, and moves that on. */
static int fill_one_each(struct ww *w, uintptr_t start, uintptr_t end, uintptr_t *made)
{
	const uintptr_t span = ps_table_span(w);
	uintptr_t page = start > *made ? start : *made;
	int r = 0;

	for (; r == 0 && page < end; page = *made) {
		r = uffd_fill(w, page, page + w->page_size);
		*made = (page & ~(span - 1)) + span;
	}
	return r;
}

/*
 * Where there is a page table, a scan protects page by page and excludes faults, so that it takes no
 * write along. Where it makes the table, it could: what is written and swapped out at that moment
 * cannot be told from a marker afterwards. The zero pages are armed with all others.
 */
static int make_tables_of_holes(struct ww *w, uintptr_t start, uintptr_t end)
{
	uintptr_t next = start, made = 0;
	int tries = 0;

	while (start < end) {
		int n = ps_regions(w, &empty, start, end, w->regions, WW_REGIONS, &next);
		int r = n < 0 ? n : 0;

		for (int i = 0; r == 0 && i < n; i++)
			r = fill_one_each(w, w->regions[i].start, w->regions[i].end, &made);
		/* What is unmapped meanwhile is no hole any more. */
		if (r == -ESTALE && n >= 0 && ++tries < FILL_TRIES)
			continue;
		if (r < 0)
			return r;
		start = next;
	}
	return 0;
}

static int arm_holes(struct ww *w, uintptr_t start, uintptr_t end)
{
	struct ps_filter holes = empty;

	holes.flags |= WWK_PM_SCAN_WP_MATCHING;
	while (start < end) {
		const struct wwk_page_region *v = w->regions;
		int n = ps_regions(w, &holes, start, end, w->regions, WW_REGIONS, &start);
		int r = n > 0 ? release_raced(w, v, n) : n;

		if (r < 0)
			return r;
		/* Such a kernel only says that it did: let them be zero pages, then. */
		for (int i = 0; w->no_holes && i < n; i++)
			sys_madvise(v[i].start, v[i].end - v[i].start, MADV_POPULATE_READ);
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

int ps_arm_untouched(struct ww *w, struct range *r, uintptr_t start, uintptr_t end)
{
	/* The former protect nothing by making a table, the latter would count the page as written. */
	int n = w->no_holes || w->no_zero_page ? 0 : make_tables_of_holes(w, start, end);

	if (n == 0)
		n = arm_holes(w, start, end);
	if (n == 0)
		n = arm_zero_pages(w, start, end);
	/* How far that came, and what it took along, is not known. */
	if (n < 0 && uffd_settle(w, start, end) < 0)
		r->all_written = true;
	return n;
}

int ps_add_discards(struct ww *w, struct range *r)
{
	int n = r->mode == PS_LAZY ? ps_arm_untouched(w, r, r->start, r->end) : 0;

	if (n == 0)
		r->mode = PS_ARMED;
	return n;
}
