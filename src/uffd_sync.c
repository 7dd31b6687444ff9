/* SPDX-License-Identifier: MIT */
#include "uffd_sync.h"

#include <errno.h>
#include <sys/mman.h>

#include "forks.h"
#include "pagemap.h"
#include "uapi/userfaultfd.h"
#include "uffd.h"
#include "uapi/madvise.h"

int uffd_sync_open(struct ww *w, int flags, uint64_t features, const char **why)
{
	int r = pagemap_open_to_read(w, why);

	if (r == 0)
		r = forks_open(w);
	if (r < 0)
		return r;
	*why = "the kernel's userfaultfd does not write-protect (Linux 5.14, x86-64 or arm64)";
	return uffd_open(w, flags, features, WWK_UFFD_FEATURE_WP_UNPOPULATED, why);
}

void uffd_sync_close(struct ww *w)
{
	pagemap_close(w);
	forks_close(w);
	if (w->unreadable)
		sys_munmap(w->unreadable, w->page_size);
	w->unreadable = NULL;
	/* The number may be another file's by now. */
	if (w->let_go)
		w->uffd = SYS_NO_FILE;
	w->let_go = false;
	sys_close(&w->uffd);
}

int uffd_sync_attach(struct ww *w, const struct mapping *m)
{
	return m->kind == MAPPING_SHARED && w->no_shared ? -ENOTSUP : uffd_attach(w, m);
}

/*
 * Registration belongs to whole mappings. A protected page shows it; of another one it is asked by
 * un-protecting what is not protected, which changes nothing.
 */
int uffd_sync_owns(struct ww *w, const struct mapping *m)
{
	uintptr_t end = m->start + w->page_size;
	uint64_t word;
	int r = pagemap_read(w, m->start, end, &word);

	if (r < 0)
		return r;
	if (word & PM_UFFD_WP)
		return w->stale_bits ? uffd_is_registered(w, m->start) : 1;
	r = uffd_unprotect_once(w, m->start, end);
	if (r == 0 || r == -ENOENT)
		return r == 0;
	return r == -ENOMEM ? r : context_lost(w, &w->uffd) ? -ESTALE : -EIO;
}

int uffd_sync_attached(struct ww *w, uintptr_t start, uintptr_t end)
{
	struct maps_walk walk;
	struct mapping m;
	int r;

	maps_walk(&walk, start, end);
	while ((r = context_next_mapping(w, &walk, &m)) > 0) {
		r = uffd_sync_owns(w, &m);
		if (r <= 0)
			return r;
	}
	return r < 0 ? r : 1;
}

static int protect(struct ww *w, uintptr_t start, uintptr_t end)
{
	/* From here on the same page may fault again for a good reason. */
	__atomic_store_n(&w->last_fault, 0, __ATOMIC_RELAXED);
	return uffd_protect(w, start, end);
}

/* Where a page that is not there cannot be protected, it is made the zero page first. */
static bool must_fill(const struct ww *w, enum mapping_kind kind)
{
	return w->no_markers && (kind == MAPPING_PRIVATE_ANON || kind == MAPPING_PRIVATE_ZERO);
}

/* What may not be read cannot be populated, but it can be given zero pages. */
static int populate(struct ww *w, uintptr_t start, uintptr_t end)
{
	int r = sys_madvise(start, end - start, MADV_POPULATE_READ);

	return r == 0 || r == -ENOMEM ? r : uffd_fill(w, start, end);
}

/*
 * Such a kernel forgets the protection of a huge zero page when it divides it, and one written page
 * would be 512: protecting a part divides it before.
 */
static void divide_zero_pages(struct ww *w, uintptr_t start, uintptr_t end)
{
	const uintptr_t huge = w->page_size / sizeof(uint64_t) << w->page_shift;
	uintptr_t page = (start + huge - 1) & ~(huge - 1);

	for (; page < end && end - page >= huge; page += huge) {
		uint64_t word;

		if (pagemap_read(w, page, page + w->page_size, &word) == 0 &&
		    (word & (PM_PRESENT | PM_EXCLUSIVE)) == PM_PRESENT)
			uffd_protect(w, page, page + w->page_size);
	}
}

static int fill(struct ww *w, uintptr_t start, uintptr_t end)
{
	int r = populate(w, start, end);

	divide_zero_pages(w, start, end);
	/* What cannot be filled stays unprotected, and is reported too often. */
	return r == -ENOMEM ? r : 0;
}

int uffd_sync_arm(struct ww *w, struct range *r, enum mapping_kind kind)
{
	int n = 0;

	r->mode = 0;
	if (must_fill(w, kind)) {
		sys_madvise(r->start, r->end - r->start, MADV_NOHUGEPAGE);
		n = fill(w, r->start, r->end);
	}
	return n < 0 ? n : protect(w, r->start, r->end);
}

int uffd_sync_arm_written(struct ww *w, struct range *r)
{
	r->mode = 0;
	if (w->no_markers)
		sys_madvise(r->start, r->end - r->start, MADV_NOHUGEPAGE);
	return uffd_unprotect(w, r->start, r->end);
}

int uffd_sync_mark(struct ww *w, struct range *r, uintptr_t start, uintptr_t end)
{
	(void)r;
	return uffd_unprotect(w, start, end);
}

/*
 * Protecting does not exclude faults: a page that was first written meanwhile is protected with
 * the rest. Unlike the rest, it is no zero page; and those are neither swapped nor moved.
 */
static int release_raced(struct ww *w, uintptr_t start, uintptr_t end)
{
	const uint64_t page_of_its_own = PM_PRESENT | PM_EXCLUSIVE;

	while (start < end) {
		uintptr_t stop = end;
		int n = pagemap_read_some(w, start, &stop);

		for (size_t i = 0; n == 0 && i < (stop - start) >> w->page_shift; i++) {
			uintptr_t page = start + (i << w->page_shift);

			if (w->words[i] & PM_SWAPPED ||
			    (w->words[i] & page_of_its_own) == page_of_its_own)
				n = uffd_unprotect(w, page, page + w->page_size);
		}
		if (n < 0)
			return n;
		start = stop;
	}
	return pagemap_check(w);
}

/* What is given a page of zeros is protected in the same step. */
static int fill_protected(struct ww *w, uintptr_t start, uintptr_t end)
{
	__atomic_store_n(&w->last_fault, 0, __ATOMIC_RELAXED);
	return uffd_fill_protected(w, start, end);
}

/*
 * Protects what nobody has written since it was dropped, by way of the zero page. A page that a
 * child shares may be either.
 */
static int refill(struct ww *w, uintptr_t start, uintptr_t end)
{
	int n = fill(w, start, end);

	if (n == 0)
		n = protect(w, start, end);
	if (n == 0)
		n = release_raced(w, start, end);
	return n == 0 && !forks_none_since(w) ? uffd_unprotect(w, start, end) : n;
}

/* A marker would look like a page that was written and swapped out before it could be seen. */
int uffd_sync_discard(struct ww *w, struct range *r, const struct mapping *m)
{
	int n;

	if (m->kind == MAPPING_SHARED)
		return uffd_discard_shared(w, r, m);
	forks_mark(w);
	n = maps_drop(m);
	if (n < 0)
		return n == -ENOMEM ? n : -ENOTSUP;
	n = w->no_zero_page ? fill_protected(w, m->start, m->end)
			    : refill(w, m->start, m->end);
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

#define MANY 16

/* The bits that MANY words have in common. */
static uint64_t common(const uint64_t *words)
{
	const two_words *p = (const two_words *)words;
	two_words all = p[0] & p[1] & p[2] & p[3] & p[4] & p[5] & p[6] & p[7];

	return all[0] & all[1];
}

/* The first run at or behind pos, of what w->words tells about [base, end). */
static bool next_run(const struct ww *w, uintptr_t base, uintptr_t pos, uintptr_t end,
		     struct run *run)
{
	const uint64_t *p = w->words + ((pos - base) >> w->page_shift);
	const uint64_t *last = w->words + ((end - base) >> w->page_shift);
	const uint64_t *begin;
	uint64_t least = PM_PRESENT | PM_SWAPPED;

	/* Mostly all are. */
	while (last - p >= MANY && common(p) & PM_UFFD_WP)
		p += MANY;
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

/**
 * struct scan - one query
 * @walk, @m: the mappings of the range, and the one that was come to
 */
struct scan {
	struct ww *w;
	struct sink *sink;
	bool reset;
	struct maps_walk walk;
	struct mapping m;
};

/* Whoever only looks has to ask whether a mapping is still ours; a reset finds it out. */
static int come_to(struct scan *s, uintptr_t pos)
{
	bool known = s->m.end > pos;
	int r = context_mapping_at(s->w, &s->walk, &s->m, pos);

	if (r <= 0 || known || s->reset)
		return r;
	r = uffd_sync_owns(s->w, &s->m);
	return r == 0 ? -ESTALE : r;
}

/*
 * Reports [start, *end), which is mapped, as far as there is room. Sets *end to where it came. With
 * empty, some of it is not there.
 */
static int take(struct scan *s, uintptr_t start, uintptr_t *end, bool empty)
{
	size_t room = sink_room_pages(s->sink);
	struct wwk_page_region region;
	struct ww *w = s->w;
	int n = 0;

	if ((*end - start) >> w->page_shift > room)
		*end = start + (room << w->page_shift);
	if (s->reset && empty && must_fill(w, s->m.kind))
		populate(w, start, *end);
	if (s->reset)
		n = protect(w, start, *end);
	if (n < 0)
		return n;
	region = (struct wwk_page_region){.start = start, .end = *end};
	return sink_put(s->sink, &region, 1, start, *end) < 0 ? -EIO : 0;
}

/* Sets *done to where it came; nothing is reported where nothing is mapped. */
static int take_run(struct scan *s, const struct run *run, uintptr_t *done)
{
	uintptr_t pos = run->start;

	while (pos < run->end && !sink_full(s->sink)) {
		uintptr_t end = run->end;
		int r = come_to(s, pos);

		if (r < 0)
			return r;
		if (r == 0 || s->m.start >= run->end) {
			pos = run->end;
			break;
		}
		if (s->m.start > pos)
			pos = s->m.start;
		if (s->m.end < end)
			end = s->m.end;
		r = take(s, pos, &end, run->empty);
		if (r < 0)
			return r;
		pos = end;
	}
	*done = pos;
	return 0;
}

/* Reports what w->words tells about [*start, stop), and sets *start to where that came. */
static int take_words(struct scan *s, uintptr_t *start, uintptr_t stop)
{
	uintptr_t pos = *start;
	struct run run;
	int r = 0;

	while (!sink_full(s->sink) && next_run(s->w, *start, pos, stop, &run)) {
		if (pos == *start)
			r = pagemap_check(s->w);
		if (r == 0)
			r = take_run(s, &run, &pos);
		if (r < 0)
			return r;
	}
	*start = sink_full(s->sink) ? pos : stop;
	return 0;
}

int uffd_sync_scan(struct ww *w, struct range *r, uintptr_t start, uintptr_t end, bool reset,
		   struct sink *sink)
{
	int n = w->stale_bits ? uffd_sync_attached(w, start, end) : 1;
	struct scan s = {.w = w, .sink = sink, .reset = reset};

	(void)r;
	/* Protection that nobody watches hides writes. */
	if (n <= 0)
		return n == 0 ? -ESTALE : n;
	maps_walk(&s.walk, start, end);
	while (start < end && !sink_full(sink)) {
		uintptr_t stop = end;

		n = pagemap_read_some(w, start, &stop);
		if (n == 0)
			n = take_words(&s, &start, stop);
		if (n < 0)
			return n;
	}
	n = pagemap_check(w);
	return n == 0 ? start < end : n;
}
