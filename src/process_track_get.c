/* SPDX-License-Identifier: MIT */
/* Which pages were written, of memory that may have become another's since it was registered. */
#include <errno.h>
#include <string.h>

#include "process_track.h"
#include "uapi/userfaultfd.h"

/* Of one kind; mappings that lie side by side. */
struct run {
	uint64_t start, end;
	bool shared;
};

/*
 * What is there and was written. A page that is empty needs no page table to be tracked, but for
 * files and shared memory: there the kernel empties pages that were written and keeps what is in
 * them, so what is empty counts as well, unless it was protected meanwhile. To ask for nothing else
 * is quick, and the only question for which all kernels tell what is empty, but it takes what is
 * not registered for written.
 */
static struct ww_process_query question(const struct run *run, bool reset)
{
	struct ww_process_query q = {
		.start = run->start,
		.end = run->end,
		.required = WW_PAGE_WRITTEN,
		.returned = WW_PAGE_WRITTEN,
		.flags = reset ? WW_SCAN_RESET : 0,
	};

	if (!run->shared) {
		q.required |= WW_PAGE_WATCHED;
		q.any_of = WW_PAGE_PRESENT | WW_PAGE_SWAPPED;
	}
	return q;
}

static int ask(struct ww_process *p, const struct run *run, bool reset, struct process_result *to,
	       uint64_t *next)
{
	struct ww_process_query q = question(run, reset);
	int r = process_scan_unchecked(p, &q, to);

	*next = q.next;
	return r;
}

/* Whether anything may have been written; *start moves on to where. */
static int find_written(struct ww_process *p, struct run *run, bool *found)
{
	struct ww_page_range first;
	struct process_result one = process_into(p, &first, 1);
	uint64_t next;
	int r;

	one.pages_left = 1;
	r = ask(p, run, false, &one, &next);
	*found = one.count == 1;
	if (*found)
		run->start = first.start;
	return r;
}

/* Registers nothing, so that what a refresh does for new mappings is left to that. */
static bool is_ours(const struct ww_process *p, uint64_t start, uint64_t end)
{
	return process_check_watched(p, start, end) == 0 &&
	       process_track_register(p->tracking, start, end) == 0;
}

/* A reset would take from another userfaultfd what it has not told yet. */
static bool may_ask(const struct ww_process *p, const struct run *run, bool reset)
{
	if (reset)
		return is_ours(p, run->start, run->end);
	return !run->shared || process_check_watched(p, run->start, run->end) == 0;
}

/* Of whoever it is now: it was written. The kernel stops at what nobody watches. */
static void undo(struct ww_process *p, const struct ww_page_range *range)
{
	struct maps_walk walk;
	struct mapping m;

	if (process_track_unprotect(p->tracking, range->start, range->end) == 0)
		return;
	maps_walk(&walk, (uintptr_t)range->start, (uintptr_t)range->end);
	while (maps_next(&p->maps, &walk, &m) == 0)
		process_track_unprotect(p->tracking, m.start, m.end);
}

static void append(struct process_result *to, const struct process_result *part)
{
	struct ww_page_range *last = to->count ? &to->ranges[to->count - 1] : NULL;
	struct ww_page_range *added = part->ranges;
	size_t count = part->count;

	for (size_t i = 0; i < count; i++)
		added[i].categories = WW_PAGE_WATCHED;
	if (last && count && last->end == added->start) {
		last->end = added->end;
		memmove(added, added + 1, --count * sizeof(*added));
	}
	to->count += count;
}

static int list(struct ww_process *p, const struct run *run, bool reset, struct process_result *to,
		uint64_t *next)
{
	struct process_result part = process_into(p, to->ranges + to->count, to->room - to->count);
	int r = ask(p, run, reset, &part, next);

	/* What is not ours any more may not have been when it was reset: a later call tells. */
	if (reset && part.count && !is_ours(p, run->start, *next)) {
		for (size_t i = 0; i < part.count; i++)
			undo(p, &part.ranges[i]);
		return r;
	}
	append(to, &part);
	return r;
}

/* Passes over what another userfaultfd watches, or nobody. */
static int list_by_mapping(struct ww_process *p, const struct run *run, bool reset,
			   struct process_result *to, uint64_t *next)
{
	struct maps_walk walk;
	struct mapping m;
	int r;

	maps_walk(&walk, (uintptr_t)run->start, (uintptr_t)run->end);
	while ((r = maps_next(&p->maps, &walk, &m)) == 0) {
		struct run part = {m.start, m.end, m.kind == MAPPING_SHARED};

		*next = m.end;
		if (may_ask(p, &part, reset))
			r = list(p, &part, reset, to, next);
		if (r < 0 || *next < m.end || to->count == to->room)
			return r;
	}
	if (r == -ENOENT)
		*next = run->end;
	return r == -ENOENT ? 0 : r == -ENOMEM || r == -ESRCH ? r : -EIO;
}

static int look(struct ww_process *p, struct run run, bool reset, struct process_result *to,
		uint64_t *next)
{
	bool found = true;
	int r = 0;

	/* Where nothing was written, nothing has to be asked of the userfaultfd. */
	if (reset)
		r = find_written(p, &run, &found);
	*next = r == 0 && !found ? run.end : run.start;
	if (r < 0 || !found)
		return r;
	return may_ask(p, &run, reset) ? list(p, &run, reset, to, next)
				       : list_by_mapping(p, &run, reset, to, next);
}

int process_track_forget(struct ww_process *p, const struct mapping *m)
{
	uint64_t pos = m->start;
	int r = 0;

	while (r == 0 && pos < m->end) {
		struct run run = {pos, m->end, m->kind == MAPPING_SHARED};
		struct ww_page_range ranges[64];
		struct process_result to = process_into(p, ranges, 64);

		r = look(p, run, true, &to, &pos);
	}
	return r;
}

/* One run for what lies side by side, as a stack and its guard; *i is the last of it. */
static struct run run_from(const struct tracking *t, size_t *i)
{
	const struct tracked *m = &t->list[*i];
	struct run run = {m->start, m->end, m->shared};

	for (; *i + 1 < t->count; run.end = m->end, ++*i) {
		m = &t->list[*i + 1];
		if (m->error || m->start != run.end || m->shared != run.shared)
			break;
	}
	return run;
}

int process_track_get(struct ww_process *p, uint64_t *start, uint64_t end, bool reset,
		      struct process_result *to)
{
	const struct tracking *t = p->tracking;
	int r = 0;

	for (size_t i = 0; i < t->count; i++) {
		struct run run;

		if (t->list[i].error)
			continue;
		run = run_from(t, &i);
		if (run.start < *start)
			run.start = *start;
		if (run.end > end)
			run.end = end;
		/* Less than there is room for is given only if there is no more. */
		while (r == 0 && run.start < run.end && to->count < to->room) {
			r = look(p, run, reset, to, start);
			run.start = *start;
		}
		if (r < 0 || run.start < run.end)
			return r;
	}
	*start = end;
	return 0;
}
