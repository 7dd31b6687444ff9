/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <sys/mman.h>

#include "pagemap.h"
#include "pagemap_scan.h"
#include "uapi/userfaultfd.h"
#include "uffd.h"
#include "uapi/madvise.h"

/* From here on a scan, which passes quickly over what is clean, costs less than protecting all. */
#define RESET_BY_PROTECTING ((uintptr_t)8)

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
	size_t look_at = r->look_at ? r->look_at : pages / 2;

	/* Not written to in every query: it may lie in memory that is watched. */
	if (reported)
		r->reported += reported;
	/* Below one page table's worth, a range is too small for an opinion of its own; and where empty
	 * pages have to be filled to be armed, lazy remains cheaper. */
	if (w->no_holes || r->end - r->start < ps_table_span(w) || r->reported < look_at)
		return;
	/* Arming would stop at a part that was remapped, and all before it count as written. */
	if (ps_attached(w, r->start, r->end) != 1)
		return;
	if (count_populated(w, r) >= pages / 2 && ps_arm_untouched(w, r, r->start, r->end) == 0) {
		r->mode = PS_ARMED;
	} else {
		r->look_at = 2 * look_at;
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
	long n = 0;

	if (w->no_holes && r->flags & WW_DISCARDS)
		n = ps_fill_holes(w, start, end);
	if (n < 0)
		return (int)n;
	/* Where nobody wants the answer, protecting a few pages is the shorter way. */
	if (reset && sink->shape == SINK_NOTHING && r->mode == PS_ARMED &&
	    end - start <= RESET_BY_PROTECTING << w->page_shift)
		return uffd_protect(w, start, end);
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

/* Over memory of others the kernel cannot be asked for what is written and for what is tracked at
 * once: it tells all that is tracked, and what is written is sorted out here. */
static bool is_written(const struct ww *w, unsigned mode, uint64_t categories)
{
	if (!(categories & WWK_PAGE_IS_WRITTEN))
		return false;
	return mode == PS_ARMED || (categories & (WWK_PAGE_IS_PRESENT | WWK_PAGE_IS_SWAPPED) &&
				    !(categories & (WWK_PAGE_IS_PFNZERO | w->guard_pages)));
}

static int ps_list(struct ww *w, unsigned mode, bool all_tracked, uintptr_t start, uintptr_t end,
		   struct wwk_page_region *v, size_t max, uintptr_t *next)
{
	const uint64_t for_lazy = WWK_PAGE_IS_PRESENT | WWK_PAGE_IS_SWAPPED | WWK_PAGE_IS_PFNZERO |
				  w->guard_pages;
	struct ps_filter filter = {
		.mask = WWK_PAGE_IS_WPALLOWED,
		.returned = WWK_PAGE_IS_WRITTEN | (mode == PS_ARMED ? 0 : for_lazy),
	};
	int n;

	if (all_tracked) {
		filter = written(w, mode);
		filter.flags = WWK_PM_SCAN_CHECK_WPASYNC;
	}
	n = ps_regions(w, &filter, start, end, v, max, next);
	for (int i = 0; i < n; i++)
		v[i].categories = all_tracked || is_written(w, mode, v[i].categories);
	return n;
}

void ps_close(struct ww *w)
{
	pagemap_close(w);
	sys_close(&w->uffd);
}

int ps_open(struct ww *w, const char **why)
{
	const uint64_t features = WWK_UFFD_FEATURE_WP_ASYNC | WWK_UFFD_FEATURE_WP_UNPOPULATED;
	int r = pagemap_open(w, why);

	*why = r < 0 ? *why : NULL;
	if (r == 0)
		r = uffd_open(w, WWK_UFFD_USER_MODE_ONLY, features, 0, why);
	if (r < 0 && !*why)
		*why = "the kernel has no asynchronous write-protection "
		       "(UFFD_FEATURE_WP_ASYNC, Linux 6.7)";
	if (r == 0)
		r = ps_probe(w, why);
	if (r < 0)
		ps_close(w);
	return r;
}

/* Whether a scan sees anything there: 1, 0, or an error. */
static int is_scanned(struct ww *w, uintptr_t start, uintptr_t end)
{
	static const struct ps_filter registered = {
		.mask = WWK_PAGE_IS_WPALLOWED,
		.returned = WWK_PAGE_IS_WPALLOWED,
	};
	void *page;
	struct sink first = {
		.shape = SINK_PAGES,
		.list.pages = &page,
		.room = 1,
		.page_shift = w->page_shift,
	};

	return (int)ps_regions_into(w, &registered, start, end, &first, &start);
}

int ps_attach(struct ww *w, const struct mapping *m)
{
	int r = uffd_attach(w, m);

	if (r < 0)
		return r;
	/* Some kernels register device memory, which no scan ever looks at. */
	r = is_scanned(w, m->start, m->end);
	if (r > 0)
		return 0;
	/* Nor does it see what was remapped meanwhile. */
	if (r == 0 && sys_is_mapped(m->start) && ps_attached(w, m->start, m->end) != 0)
		r = -ENOTSUP;
	uffd_detach(w, m->start, m->end);
	return r < 0 ? r : -ESTALE;
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

static int ps_owns(struct ww *w, const struct mapping *m)
{
	return ps_attached(w, m->start, m->end);
}

static int ps_mark(struct ww *w, struct range *r, uintptr_t start, uintptr_t end)
{
	int n = ps_attached(w, start, end);

	if (n <= 0)
		return n == 0 ? -ESTALE : n;
	if (r->mode == PS_ARMED)
		return uffd_unprotect(w, start, end);
	/* A lazy range reports no empty page: fill a few, or let many be an armed range. */
	if (end - start > ps_table_span(w) || sys_madvise(start, end - start, MADV_POPULATE_WRITE))
		return -EAGAIN;
	return 0;
}

static int ps_discard(struct ww *w, struct range *r, const struct mapping *m)
{
	int n;

	if (m->kind == MAPPING_SHARED && r->mode == PS_ARMED)
		return uffd_discard_shared(w, r, m);
	n = maps_drop(m);
	if (n < 0)
		return n == -ENOMEM ? n : -ENOTSUP;
	return r->mode == PS_ARMED ? ps_arm_untouched(w, r, m->start, m->end) : 0;
}

const struct backend_ops backend_pagemap_scan = {
	.open = ps_open,
	.close = ps_close,
	.attach = ps_attach,
	.detach = uffd_detach,
	.attached = ps_attached,
	.owns = ps_owns,
	.arm = ps_arm,
	.arm_written = ps_arm_written,
	.add_discards = ps_add_discards,
	.scan = ps_scan,
	.list = ps_list,
	.settle = uffd_settle,
	.mark = ps_mark,
	.discard = ps_discard,
};
