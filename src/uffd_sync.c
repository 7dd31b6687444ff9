/* SPDX-License-Identifier: MIT */
#include "uffd_sync.h"

#include <errno.h>
#include <sys/mman.h>

#include "pagemap.h"
#include "uapi/userfaultfd.h"
#include "uffd.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

int uffd_sync_open(struct ww *w, int flags, uint64_t features, const char **why)
{
	int r = pagemap_open(w, why);

	if (r < 0)
		return r;
	*why = "no address space for a buffer";
	r = pagemap_make_words(w);
	if (r < 0)
		return r;
	*why = "the kernel's userfaultfd does not write-protect (Linux 5.13, x86-64 or arm64)";
	return uffd_open(w, flags, features, WWK_UFFD_FEATURE_WP_UNPOPULATED, why);
}

void uffd_sync_close(struct ww *w)
{
	pagemap_close(w);
	sys_close(&w->uffd);
}

/*
 * Registration belongs to whole mappings. A protected page shows it; of another one it is asked by
 * un-protecting what is not protected, which changes nothing.
 */
static int is_registered(struct ww *w, const struct mapping *m)
{
	uintptr_t end = m->start + w->page_size;
	uint64_t word;
	int r = pagemap_read(w, m->start, end, &word);

	if (r < 0)
		return r;
	/* Where protection can be a leftover, asking may cost the page its state. */
	if (word & PM_UFFD_WP && !w->stale_bits)
		return 1;
	r = uffd_unprotect_once(w, m->start, end);
	if (r == 0 || r == -ENOENT)
		return r == 0;
	return r == -ENOMEM ? r : context_lost(w, &w->uffd) ? -ESTALE : -EIO;
}

int uffd_sync_attached(struct ww *w, uintptr_t start, uintptr_t end)
{
	struct mapping m;
	int r;

	while ((r = context_next_mapping(w, &start, end, &m)) > 0) {
		r = is_registered(w, &m);
		if (r <= 0)
			return r;
	}
	return r < 0 ? r : 1;
}

/* What may not be read is made readable for that moment: nothing can be there that was secret. */
static int fill_mapping(const struct mapping *m)
{
	size_t len = m->end - m->start;
	int r, restored;

	if (m->prot & PROT_READ)
		return sys_madvise(m->start, len, MADV_POPULATE_READ);
	r = sys_mprotect(m->start, len, m->prot | PROT_READ);
	if (r == 0)
		r = sys_madvise(m->start, len, MADV_POPULATE_READ);
	restored = sys_mprotect(m->start, len, m->prot);
	return r < 0 ? r : restored;
}

static int fill(struct ww *w, uintptr_t start, uintptr_t end)
{
	struct mapping m;
	int r;

	/* Of a huge zero page, one written page would be 512. */
	sys_madvise(start, end - start, MADV_NOHUGEPAGE);
	while ((r = context_next_mapping(w, &start, end, &m)) > 0)
		/* What cannot be filled stays unprotected, and is reported too often. */
		if (fill_mapping(&m) == -ENOMEM)
			return -ENOMEM;
	return r;
}

static int protect(struct ww *w, uintptr_t start, uintptr_t end)
{
	/* From here on the same page may fault again for a good reason. */
	__atomic_store_n(&w->last_fault, 0, __ATOMIC_RELAXED);
	return uffd_protect(w, start, end);
}

int uffd_sync_arm(struct ww *w, struct range *r, enum mapping_kind kind)
{
	int n = 0;

	r->mode = w->no_markers && kind == MAPPING_PRIVATE_ANON ? UFFD_FILLED : UFFD_PLAIN;
	if (r->mode == UFFD_FILLED)
		n = fill(w, r->start, r->end);
	return n < 0 ? n : protect(w, r->start, r->end);
}

int uffd_sync_arm_written(struct ww *w, struct range *r)
{
	/* What kind of memory it is now, is not known here; filling is right for all. */
	r->mode = w->no_markers ? UFFD_FILLED : UFFD_PLAIN;
	return uffd_unprotect(w, r->start, r->end);
}

int uffd_sync_mark(struct ww *w, struct range *r, uintptr_t start, uintptr_t end)
{
	(void)r;
	return uffd_unprotect(w, start, end);
}

/*
 * Protecting does not exclude faults: a page that was first written meanwhile is protected with
 * the rest. Unlike the rest, it is there; or, where the rest is zero pages, it is no such page.
 */
static int release_raced(struct ww *w, const struct range *r, uintptr_t start, uintptr_t end)
{
	const uint64_t mask = r->mode == UFFD_FILLED ? PM_PRESENT | PM_EXCLUSIVE : PM_PRESENT;

	while (start < end) {
		uintptr_t most = start + (PM_WORDS << w->page_shift);
		uintptr_t stop = most < end ? most : end;
		int n = pagemap_read(w, start, stop, w->words);

		for (size_t i = 0; n == 0 && i < (stop - start) >> w->page_shift; i++) {
			uintptr_t page = start + (i << w->page_shift);

			if ((w->words[i] & mask) == mask)
				n = uffd_unprotect(w, page, page + w->page_size);
		}
		if (n < 0)
			return n;
		start = stop;
	}
	return 0;
}

int uffd_sync_discard(struct ww *w, struct range *r, const struct mapping *m)
{
	int n = maps_drop(m);

	if (n < 0)
		return n == -ENOMEM ? n : -ENOTSUP;
	if (r->mode == UFFD_FILLED)
		n = fill(w, m->start, m->end);
	if (n == 0)
		n = protect(w, m->start, m->end);
	if (n == 0)
		n = release_raced(w, r, m->start, m->end);
	if (n < 0 && uffd_settle(w, m->start, m->end) < 0)
		r->all_written = true;
	return n;
}

/**
 * struct run - pages that count as written, one behind another
 * @empty: some of them are not there, and perhaps nothing is mapped there
 */
struct run {
	uintptr_t start;
	uintptr_t end;
	bool empty;
};

/* The first run at or behind pos, of what w->words tells about [base, end). */
static bool next_run(const struct ww *w, uintptr_t base, uintptr_t pos, uintptr_t end,
		     struct run *run)
{
	const uint64_t *p = w->words + ((pos - base) >> w->page_shift);
	const uint64_t *last = w->words + ((end - base) >> w->page_shift);
	const uint64_t *begin;
	uint64_t least = PM_PRESENT | PM_SWAPPED;

	while (p < last && *p & PM_UFFD_WP)
		p++;
	begin = p;
	run->empty = false;
	for (; p < last && !(*p & PM_UFFD_WP); p++)
		run->empty |= !(*p & least);
	run->start = base + ((uintptr_t)(begin - w->words) << w->page_shift);
	run->end = base + ((uintptr_t)(p - w->words) << w->page_shift);
	return begin < last;
}

/* Reports [start, end), which is mapped, as far as there is room. Sets *end to where it came. */
static int take(struct ww *w, const struct range *r, const struct run *run, uintptr_t start,
		uintptr_t *end, bool reset, struct sink *sink)
{
	size_t room = sink_room_pages(sink);
	struct wwk_page_region region;
	int n;

	if ((*end - start) >> w->page_shift > room)
		*end = start + (room << w->page_shift);
	if (start == *end || sink_full(sink))
		return 0;
	if (reset && run->empty && r->mode == UFFD_FILLED)
		sys_madvise(start, *end - start, MADV_POPULATE_READ);
	/* Un-protecting what is not protected finds out what is not registered any more. */
	n = reset ? protect(w, start, *end) : uffd_unprotect(w, start, *end);
	if (n < 0)
		return n;
	region = (struct wwk_page_region){.start = start, .end = *end};
	return sink_put(sink, &region, 1, start, *end) < 0 ? -EIO : 0;
}

static int take_run(struct ww *w, const struct range *r, const struct run *run, bool reset,
		    struct sink *sink, uintptr_t *done)
{
	uintptr_t pos = run->start;
	struct mapping m;
	int n;

	*done = run->end;
	if (!run->empty)
		return take(w, r, run, pos, done, reset, sink);
	while ((n = context_next_mapping(w, &pos, run->end, &m)) > 0) {
		*done = m.end;
		n = take(w, r, run, m.start, done, reset, sink);
		if (n < 0 || *done < m.end || sink_full(sink))
			return n;
	}
	*done = run->end;
	return n;
}

int uffd_sync_scan(struct ww *w, struct range *r, uintptr_t start, uintptr_t end, bool reset,
		   struct sink *sink)
{
	while (start < end && !sink_full(sink)) {
		uintptr_t most = start + (PM_WORDS << w->page_shift), pos = start;
		uintptr_t stop = most < end ? most : end;
		struct run run;
		int n = pagemap_read(w, start, stop, w->words);

		if (n < 0)
			return n;
		while (!sink_full(sink) && next_run(w, start, pos, stop, &run)) {
			n = take_run(w, r, &run, reset, sink, &pos);
			if (n < 0)
				return n;
		}
		start = sink_full(sink) ? pos : stop;
	}
	return start < end;
}
