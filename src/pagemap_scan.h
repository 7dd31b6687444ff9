/* SPDX-License-Identifier: MIT */
#ifndef WW_PAGEMAP_SCAN_H
#define WW_PAGEMAP_SCAN_H

/* What the pagemap-scan backend and its probe share. */

#include "context.h"

/**
 * enum ps_mode - how a range is watched
 * @PS_LAZY:  registered only. Written is what is not write-protected, and present or swapped, and
 *            not the zero page: an empty page costs nothing until it is written.
 * @PS_ARMED: every page was write-protected, empty ones by a marker in the page table. Written is
 *            what is not write-protected.
 */
enum ps_mode {
	PS_LAZY,
	PS_ARMED
};

/**
 * struct ps_filter - which pages a scan is for
 * @flags:    WP_MATCHING, CHECK_WPASYNC
 * @mask:     categories that a page must have, or must not have where @inverted says so
 * @inverted: categories that are asked for by their absence
 * @any:      categories of which it must have one; 0: no such demand
 * @returned: categories that tell regions apart; WRITTEN alone in @mask and here is the kernel's
 *            fast path
 */
struct ps_filter {
	uint64_t flags;
	uint64_t mask;
	uint64_t inverted;
	uint64_t any;
	uint64_t returned;
};

/*
 * One PAGEMAP_SCAN of [start, end): fills v with up to max regions and returns their number, with
 * *next where to go on, end when all was seen. -ESTALE: CHECK_WPASYNC met what is not registered.
 */
int ps_regions(struct ww *w, const struct ps_filter *filter, uintptr_t start, uintptr_t end,
	       struct wwk_page_region *v, size_t max, uintptr_t *next);
/* The same into a sink that is not full; returns the number of pages. */
long ps_regions_into(struct ww *w, const struct ps_filter *filter, uintptr_t start, uintptr_t end,
		     struct sink *sink, uintptr_t *next);

/* What one page table maps and one huge page covers: 2 MiB where pages have 4 KiB. */
static inline uintptr_t ps_table_span(const struct ww *w)
{
	return w->page_size / sizeof(uint64_t) << w->page_shift;
}

/* As in struct backend_ops. */
int ps_arm(struct ww *w, struct range *r, enum mapping_kind kind);
int ps_arm_written(struct ww *w, struct range *r);
int ps_add_discards(struct ww *w, struct range *r);
/* Makes dropped pages of an armed range show as written to kernels that see no holes. */
int ps_fill_holes(struct ww *w, uintptr_t start, uintptr_t end);
/* Write-protects what nobody has written, and leaves alone what is written meanwhile. */
int ps_arm_untouched(struct ww *w, struct range *r, uintptr_t start, uintptr_t end);

int ps_open(struct ww *w, const char **why);
void ps_close(struct ww *w);
int ps_attach(struct ww *w, const struct mapping *m);
/* 1 if all that is mapped there is registered for asynchronous write-protection, 0 if not. */
int ps_attached(struct ww *w, uintptr_t start, uintptr_t end);
int ps_scan(struct ww *w, struct range *r, uintptr_t start, uintptr_t end, bool reset,
	    struct sink *sink);

/* Whether scans of this kernel are known to lose what no trial shows. */
bool ps_is_lossy_version(void);
/* Tries it all on scratch pages; fills no_holes, no_zero_page, join_gaps and guard_pages. */
int ps_probe(struct ww *w, const char **why);

#endif
