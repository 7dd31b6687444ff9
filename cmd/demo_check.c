/* SPDX-License-Identifier: MIT */
#include "demo.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/*
 * Over-reported: a call reports a page although no write of it was begun or in progress since the
 * call that reported it last. Two numbers decide that while threads write:
 *
 *   covered: writes that had ended when the earlier call began. That call reported all of them.
 *   started: writes that had begun when the later call had returned.
 *
 * If both are equal, every write there ever was had ended before the earlier call began, so
 * the later one had nothing to report. A write that overlaps the earlier call makes them differ:
 * the page may rightly be reported by either call, or by both.
 *
 * Missed: checked while all writers are parked, after one more call. A page is missed if its
 * content differs from the shadow, which follows reports alone, or if a write of it began after
 * the call that reported it last had returned. The second finds writes that changed no byte.
 */

static void *map_zeroed(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

int checker_init(struct checker *c, struct region *r)
{
	*c = (struct checker){.region = r};
	c->shadow = map_zeroed(r->size);
	c->before = calloc(r->pages, sizeof(*c->before));
	c->covered = calloc(r->pages, sizeof(*c->covered));
	c->seen = calloc(r->pages, sizeof(*c->seen));
	c->reported_at = calloc(r->pages, sizeof(*c->reported_at));
	if (!c->shadow || !c->before || !c->covered || !c->seen || !c->reported_at) {
		checker_free(c);
		return -ENOMEM;
	}
	return 0;
}

void checker_free(struct checker *c)
{
	if (c->shadow)
		munmap(c->shadow, c->region->size);
	free(c->before);
	free(c->covered);
	free(c->seen);
	free(c->reported_at);
	*c = (struct checker){0};
}

void checker_before_get(struct checker *c)
{
	struct page_count *counts = c->region->counts;

	for (size_t p = 0; p < c->region->pages; p++)
		c->before[p] = atomic_load_explicit(&counts[p].completed, memory_order_acquire);
}

/* Writers may be storing to the page: word by word, atomically, so that it is no data race. */
static void copy_page(struct checker *c, size_t page)
{
	size_t offset = page * c->region->page_size;
	_Atomic unsigned long *from = (_Atomic unsigned long *)(c->region->base + offset);
	unsigned long *to = (unsigned long *)(c->shadow + offset);

	for (size_t i = 0; i < c->region->page_size / sizeof(*to); i++)
		to[i] = atomic_load_explicit(&from[i], memory_order_relaxed);
}

/* To be called after the call that reported the run returned: a copy from before can be stale. */
void checker_take_report(struct checker *c, const struct ww_range *run, uint32_t now_ms)
{
	struct region *r = c->region;
	size_t page = (size_t)((unsigned char *)run->start - r->base) / r->page_size;
	size_t end = (size_t)((unsigned char *)run->end - r->base) / r->page_size;

	for (; page < end; page++) {
		uint32_t started =
		    atomic_load_explicit(&r->counts[page].started, memory_order_acquire);

		c->reported++;
		c->extra += started == c->covered[page];
		c->covered[page] = c->before[page];
		c->seen[page] = started;
		c->reported_at[page] = now_ms;
		copy_page(c, page);
	}
}

static bool page_is_missed(const struct checker *c, size_t page)
{
	const struct region *r = c->region;
	size_t offset = page * r->page_size;

	return atomic_load_explicit(&r->counts[page].started, memory_order_acquire) !=
		   c->seen[page] ||
	       memcmp(r->base + offset, c->shadow + offset, r->page_size) != 0;
}

/* To be called while all writers are parked, after a last call: then every page must agree. */
void checker_compare(struct checker *c)
{
	struct region *r = c->region;

	for (size_t page = 0; page < r->pages; page++) {
		if (!page_is_missed(c, page))
			continue;
		c->missed++;
		/* Counted once: later frames look for later losses. */
		c->seen[page] =
		    atomic_load_explicit(&r->counts[page].started, memory_order_acquire);
		copy_page(c, page);
	}
}
