/* SPDX-License-Identifier: MIT */
/*
 * The kernel's soft-dirty bit: bit 55 of /proc/self/pagemap, cleared for the whole process at once
 * by /proc/self/clear_refs. Between reading and clearing a write would be lost, so writers have to
 * be stopped; and before each clearing, what the kernel has about any watched page, of any context,
 * is brought into the page states, where it stays until it is reported.
 */
#include <errno.h>
#include <fcntl.h>

#include "faults.h"
#include "pagemap.h"
#include "trial.h"
#include "uapi/madvise.h"

#define GAP_PAGES 32

/*
 * The file is the thread's that opened it, or the first one's: once that has ended, writing to it
 * fails, or clears nothing without an error. So this thread opens its own, and what was opened at
 * first is for where that is not possible any more.
 */
static int clear_all(struct ww *w)
{
	struct sys_file own = SYS_NO_FILE, *file = &own;
	ssize_t n;

	if (sys_open(&own, "/proc/thread-self/clear_refs", O_WRONLY) < 0)
		file = &w->clear_refs;
	if (context_lost(w, file))
		return -ESTALE;
	n = sys_write(file->fd, "4", 1);
	sys_close(&own);
	return n == 1 ? 0 : -EIO;
}

/* Sets the states of what the kernel calls dirty in [start, end), as far as that is watched. */
static int take_in(struct ww *w, struct page_states *states, uintptr_t start, uintptr_t end)
{
	while (start < end) {
		uintptr_t stop = end;
		int r = pagemap_read_some(w, start, &stop);

		if (r < 0)
			return r;
		for (size_t i = 0; start < stop; i++, start += w->page_size)
			if (w->words[i] & PM_SOFT_DIRTY &&
			    page_state(states, start) & STATE_WATCHED)
				page_states_change(states, start, start + w->page_size, 0,
						   STATE_WRITTEN);
	}
	return pagemap_check(w);
}

/* Where what is watched from start on ends; gaps count to it that cost less to read than a call. */
static uintptr_t run_end(const struct page_states *t, uintptr_t start, uintptr_t end)
{
	const uintptr_t gap = (uintptr_t)GAP_PAGES << t->page_shift;
	uintptr_t pos, far;

	do {
		pos = page_states_skip(t, start, end, STATE_WATCHED, STATE_WATCHED);
		far = end - pos > gap ? pos + gap : end;
		start = page_states_skip(t, pos, far, STATE_WATCHED, 0);
	} while (start < far);
	return pos;
}

static int take_in_client(struct ww *w, struct client *c)
{
	uintptr_t end = page_states_end(c->states), pos = 0;
	int r = 0;

	while (r == 0) {
		uintptr_t start = page_states_skip(c->states, pos, end, STATE_WATCHED, 0);

		if (start >= end)
			break;
		pos = run_end(c->states, start, end);
		r = take_in(w, c->states, start, pos);
	}
	return r;
}

/* With the lock of the clients. */
static int harvest(struct ww *w)
{
	int r = 0;

	for (struct client *c = clients.first; r == 0 && c; c = c->next)
		if (c->kind == w->client.kind)
			r = take_in_client(w, c);
	return r < 0 ? r : clear_all(w);
}

static bool any_dirty(const struct ww *w, size_t n)
{
	two_words many = {0};
	uint64_t all = 0;
	size_t i = 0;

	for (; n - i >= 8; i += 8) {
		const two_words *p = (const two_words *)(w->words + i);

		many |= (p[0] | p[1]) | (p[2] | p[3]);
	}
	for (; i < n; i++)
		all |= w->words[i];
	return (many[0] | many[1] | all) & PM_SOFT_DIRTY;
}

/* Whether the kernel has anything new about [start, end): 1, 0, or an error. */
static int has_news(struct ww *w, uintptr_t start, uintptr_t end)
{
	while (start < end) {
		uintptr_t stop = end;
		int r = pagemap_read_some(w, start, &stop);

		if (r < 0 || any_dirty(w, (stop - start) >> w->page_shift))
			return r < 0 ? r : 1;
		start = stop;
	}
	return pagemap_check(w);
}

static int learn(struct ww *w, uintptr_t start, uintptr_t end, bool reset)
{
	sigset_t old;
	int r = has_news(w, start, end);

	if (r <= 0)
		return r;
	clients_lock(&old);
	r = reset ? harvest(w) : take_in(w, &w->states, start, end);
	clients_unlock(&old);
	return r;
}

static int sd_attach(struct ww *w, const struct mapping *m)
{
	uintptr_t start = m->start, end = m->end;
	sigset_t old;
	int r;

	/* The bit goes with an entry of the page table, which the kernel may drop at any time there. */
	if (m->kind == MAPPING_SHARED)
		return -ENOTSUP;
	r = page_states_reserve(w, start, end);
	if (r < 0)
		return r;
	clients_lock(&old);
	r = clients_overlap(&w->client, start, end) ? -EBUSY : 0;
	if (r == 0)
		page_states_change(&w->states, start, end, 0xff, STATE_WATCHED | STATE_WRITTEN);
	clients_unlock(&old);
	return r;
}

static int sd_detach(struct ww *w, uintptr_t start, uintptr_t end)
{
	client_forget(&w->client, start, end);
	return 0;
}

/* By address: of what is mapped there the kernel keeps no record. */
static int sd_attached(struct ww *w, uintptr_t start, uintptr_t end)
{
	return page_states_skip(&w->states, start, end, STATE_WATCHED, STATE_WATCHED) == end;
}

/*
 * Of a huge page, one written page would be all of them, and some kernels lose its bits when they
 * divide it (Linux 6.12.0 to 6.12.53); so that is done now, by advice for a part of it. Pages that
 * the kernel merges with others lose theirs always.
 */
static int advise(struct ww *w, uintptr_t start, uintptr_t end)
{
	const uintptr_t last = (w->page_size / sizeof(uint64_t) << w->page_shift) - 1;

	if (maps_keep_apart(start, end) < 0)
		return -ENOMEM;
	for (; start < end; start = (start | last) + 1)
		sys_madvise(start, w->page_size, MADV_COLD);
	return 0;
}

static int sd_arm(struct ww *w, struct range *r, enum mapping_kind kind)
{
	int n;

	(void)kind;
	r->mode = 0;
	/* First, or what the advice joins it to is as dirty as a new mapping is. */
	n = learn(w, r->start, r->end, true);
	if (n == 0)
		n = advise(w, r->start, r->end);
	if (n == 0)
		n = learn(w, r->start, r->end, true);
	if (n == 0)
		client_change(&w->client, r->start, r->end, STATE_WRITTEN, 0);
	return n;
}

static int sd_settle(struct ww *w, uintptr_t start, uintptr_t end)
{
	client_change(&w->client, start, end, 0, STATE_WRITTEN);
	return 0;
}

static int sd_arm_written(struct ww *w, struct range *r)
{
	r->mode = 0;
	sd_settle(w, r->start, r->end);
	return advise(w, r->start, r->end);
}

static int sd_mark(struct ww *w, struct range *r, uintptr_t start, uintptr_t end)
{
	(void)r;
	return sd_settle(w, start, end);
}

static int sd_discard(struct ww *w, struct range *r, const struct mapping *m)
{
	int n = maps_drop(m);

	(void)r;
	if (n < 0)
		return n == -ENOMEM ? n : -ENOTSUP;
	n = learn(w, m->start, m->end, true);
	if (n == 0)
		client_change(&w->client, m->start, m->end, STATE_WRITTEN, 0);
	return n;
}

/**
 * struct scan - one query
 * @walk, @m: the mappings of the range, and the one that was come to
 * @n:        how many of w->regions are filled
 */
struct scan {
	struct ww *w;
	const struct sink *sink;
	struct maps_walk walk;
	struct mapping m;
	size_t n;
};

/* Fills w->regions with written pages that are mapped, as far as there is room; *start moves on. */
static int collect(struct scan *s, uintptr_t *start, uintptr_t end)
{
	size_t pages = sink_room_pages(s->sink), runs = sink_room_runs(s->sink);
	struct ww *w = s->w;

	s->n = 0;
	while (*start < end && pages && s->n < runs && s->n < WW_REGIONS) {
		uintptr_t first = page_states_written(&w->states, *start, end);
		uintptr_t stop = page_states_skip(&w->states, first, end, STATE_WRITTEN,
						  STATE_WRITTEN);
		int r = first < end ? context_mapping_at(w, &s->walk, &s->m, first) : 0;

		if (r < 0)
			return r;
		*start = r == 0 ? end : stop;
		if (r == 0 || s->m.start >= stop)
			continue;
		if (s->m.start > first)
			first = s->m.start;
		if (s->m.end < stop)
			stop = s->m.end;
		if ((stop - first) >> w->page_shift > pages)
			stop = first + (pages << w->page_shift);
		pages -= (stop - first) >> w->page_shift;
		w->regions[s->n++] = (struct wwk_page_region){.start = first, .end = stop};
		*start = stop;
	}
	return 0;
}

static void forget(struct ww *w, const struct wwk_page_region *v, size_t n)
{
	sigset_t old;

	clients_lock(&old);
	for (size_t i = 0; i < n; i++)
		page_states_change(&w->states, v[i].start, v[i].end, STATE_WRITTEN, 0);
	clients_unlock(&old);
}

static int sd_scan(struct ww *w, struct range *range, uintptr_t start, uintptr_t end, bool reset,
		   struct sink *sink)
{
	struct scan s = {.w = w, .sink = sink};
	int r = sd_attached(w, start, end) ? learn(w, start, end, reset) : -ESTALE;

	(void)range;
	maps_walk(&s.walk, start, end);
	while (r == 0 && start < end && !sink_full(sink)) {
		r = collect(&s, &start, end);
		if (r < 0 || s.n == 0)
			break;
		if (reset)
			forget(w, w->regions, s.n);
		if (sink_put(sink, w->regions, s.n, w->regions[0].start, end) < 0)
			return -EIO;
	}
	return r < 0 ? r : start < end;
}

static int open_files(struct ww *w, const char **why)
{
	int r = pagemap_open_to_read(w, why);

	if (r < 0)
		return r;
	r = sys_open(&w->clear_refs, "/proc/self/clear_refs", O_WRONLY);
	if (r < 0)
		r = sys_open(&w->clear_refs, "/proc/thread-self/clear_refs", O_WRONLY);
	*why = r == -EMFILE || r == -ENFILE
		       ? "no file descriptors are left"
		       : "/proc/self/clear_refs cannot be opened for writing";
	return r;
}

static void sd_close(struct ww *w)
{
	faults_leave(w);
	page_states_free(&w->states);
	pagemap_close(w);
	sys_close(&w->clear_refs);
}

static int sd_open(struct ww *w, const char **why)
{
	int r = open_files(w, why);

	if (r == 0) {
		*why = "no memory for a lock";
		r = faults_join(w, &backend_soft_dirty, 0, NULL);
	}
	if (r == 0)
		r = trial_run(w, trial_tracks, why);
	/* Clearing succeeds on kernels that have no such bit. */
	if (r == -ENOTSUP)
		*why = "the kernel has no soft-dirty bit (CONFIG_MEM_SOFT_DIRTY)";
	if (r < 0)
		sd_close(w);
	return r;
}

const struct backend_ops backend_soft_dirty = {
	.open = sd_open,
	.close = sd_close,
	.attach = sd_attach,
	.detach = sd_detach,
	.attached = sd_attached,
	.arm = sd_arm,
	.arm_written = sd_arm_written,
	.scan = sd_scan,
	.settle = sd_settle,
	.mark = sd_mark,
	.discard = sd_discard,
};
