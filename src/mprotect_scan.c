/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <sys/mman.h>

#include "faults.h"
#include "mprotect.h"

static const uint8_t access_bits = STATE_WATCHED | STATE_READ | STATE_EXEC;

/*
 * The first written pages at or behind start; false: there are none before end. Without the lock a
 * page may be found written and then not, as its protection could not be lifted after all.
 */
static bool next_run(const struct ww *w, uintptr_t start, uintptr_t end,
		     struct wwk_page_region *run)
{
	do {
		run->start = page_states_written(&w->states, start, end);
		run->end = page_states_skip(&w->states, run->start, end, STATE_WRITTEN,
					    STATE_WRITTEN);
	} while (run->start < end && run->end == run->start);
	run->categories = 0;
	return run->start < end;
}

/* Fills w->regions with as many runs, and pages, as there is room for. *next: where to go on. */
static size_t collect(struct ww *w, uintptr_t start, uintptr_t end, const struct sink *sink,
		      uintptr_t *next)
{
	size_t pages = sink_room_pages(sink), runs = sink_room_runs(sink), n = 0;

	if (runs > WW_REGIONS)
		runs = WW_REGIONS;
	for (; n < runs && pages && next_run(w, start, end, &w->regions[n]); n++) {
		struct wwk_page_region *run = &w->regions[n];
		size_t count = (run->end - run->start) >> w->page_shift;

		if (count > pages)
			run->end = run->start + (pages << w->page_shift);
		pages -= count < pages ? count : pages;
		start = run->end;
	}
	*next = n < runs && pages ? end : start;
	return n;
}

/* What the boundary to a page's neighbour changes when the page becomes armed. */
static long edge(const struct ww *w, uintptr_t neighbour)
{
	return mp_is_armed(page_state(&w->states, neighbour)) ? -1 : 1;
}

static void forget_run(struct ww *w, const struct wwk_page_region *run)
{
	bool writable = page_states_skip(&w->states, run->start, run->end, STATE_WRITE,
					 STATE_WRITE) == run->end;

	if (writable)
		w->splits += edge(w, run->start - w->page_size) + edge(w, run->end);
	else
		w->splits -= mp_splits(w, run->start, run->end);
	page_states_change(&w->states, run->start, run->end, STATE_WRITTEN, 0);
	if (!writable)
		w->splits += mp_splits(w, run->start, run->end);
}

static void remember_run(struct ww *w, const struct wwk_page_region *run)
{
	w->splits -= mp_splits(w, run->start, run->end);
	page_states_change(&w->states, run->start, run->end, 0, STATE_WRITTEN);
	w->splits += mp_splits(w, run->start, run->end);
}

/*
 * Protects [start, end) in as few calls as there are kinds of access in it: what lies between the
 * written pages is protected already, and passed over quickly by the kernel.
 */
static int protect_span(struct ww *w, uintptr_t start, uintptr_t end)
{
	int r = 0;

	while (r == 0 && start < end) {
		uint8_t state = page_state(&w->states, start) & access_bits;
		uintptr_t stop = page_states_skip(&w->states, start, end, access_bits, state);

		if (state)
			r = sys_mprotect(start, stop - start, mp_program_prot(state));
		start = stop;
	}
	return r;
}

/* With the lock. On an error all of them still count as written. */
static int arm_runs(struct ww *w, const struct wwk_page_region *v, size_t n)
{
	int r = 0;

	if (n == 0)
		return 0;
	for (size_t i = 0; i < n; i++)
		forget_run(w, &v[i]);
	r = protect_span(w, v[0].start, v[n - 1].end);
	for (size_t i = 0; r < 0 && i < n; i++)
		remember_run(w, &v[i]);
	return r;
}

/*
 * One after another the n runs that could not be protected at once. What is not mapped any more is
 * passed over, so that one run can become several; what cannot be protected is reported now and
 * again later. *next comes less far if the room ends.
 */
static int scan_slowly(struct ww *w, size_t n, struct sink *sink, uintptr_t *next)
{
	struct wwk_page_region *v = w->regions, *last = v + n, run;
	struct mapping m = {0};
	struct maps_walk walk;
	sigset_t old;
	int r = 1;

	maps_walk(&walk, v->start, last[-1].end);
	while (v < last && (r = context_mapping_at(w, &walk, &m, v->start)) > 0) {
		if (sink_full(sink)) {
			*next = v->start;
			return 0;
		}
		run = *v;
		v->start = m.end;
		if (m.start > run.start)
			run.start = m.start;
		if (m.end < run.end)
			run.end = m.end;
		else
			v++;
		if (run.start >= run.end)
			continue;
		clients_lock(&old);
		arm_runs(w, &run, 1);
		clients_unlock(&old);
		if (sink_put(sink, &run, 1, run.start, run.end) < 0)
			return -EIO;
	}
	return r < 0 ? r : 0;
}

static int scan_some(struct ww *w, uintptr_t *start, uintptr_t end, bool reset, struct sink *sink)
{
	uintptr_t next;
	sigset_t old;
	size_t n;
	int r;

	if (!reset) {
		n = collect(w, *start, end, sink, &next);
	} else {
		clients_lock(&old);
		n = collect(w, *start, end, sink, &next);
		r = arm_runs(w, w->regions, n);
		clients_unlock(&old);
		if (r < 0) {
			*start = next;
			return scan_slowly(w, n, sink, start);
		}
	}
	/* The list may be in watched memory: no lock is held now. */
	if (n && sink_put(sink, w->regions, n, *start, end) < 0)
		return -EIO;
	*start = next;
	return 0;
}

int mp_scan(struct ww *w, struct range *r, uintptr_t start, uintptr_t end, bool reset,
	    struct sink *sink)
{
	int n = 0;

	(void)r;
	if (reset) {
		faults_keep(w);
		mp_spare_make(w);
	}
	/* Nothing to protect: what is written from here on, the next query reports. */
	start = page_states_written(&w->states, start, end);
	while (n == 0 && start < end && !sink_full(sink))
		n = scan_some(w, &start, end, reset, sink);
	return n < 0 ? n : start < end;
}
