/* SPDX-License-Identifier: MIT */
#include "tracker_state.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

int tracker_clear_soft_dirty(struct tracker *t)
{
	return pwrite(t->clear_refs, "4", 1, 0) == 1 ? 0 : -errno;
}

static int add_range(struct tracker *t, uint64_t start, uint64_t end)
{
	if (t->count && t->ranges[t->count - 1].end == start) {
		t->ranges[t->count - 1].end = end;
		return 0;
	}
	if (t->count == t->room) {
		size_t room = t->room ? t->room * 2 : TRACKER_ROOM;
		struct tracker_range *larger = realloc(t->ranges, room * sizeof(*larger));

		if (!larger)
			return -ENOMEM;
		t->ranges = larger;
		t->room = room;
	}
	t->ranges[t->count++] = (struct tracker_range){start, end};
	return 0;
}

static int add_answer(struct tracker *t, size_t count)
{
	int r = 0;

	for (size_t i = 0; i < count && r == 0; i++)
		r = add_range(t, t->answer[i].start, t->answer[i].end);
	return r;
}

static int get_exact(struct tracker *t)
{
	uint64_t from = 0;
	size_t count;
	int r;

	do {
		count = TRACKER_ROOM;
		r = ww_process_get(t->process, &from, 0, WW_RESET, t->answer, &count);
		if (r == 0)
			r = add_answer(t, count);
	} while (r == 0 && count == TRACKER_ROOM);
	return r;
}

/* One piece of it, which the query then goes on behind; count: what is in t->answer. */
static int scan_piece(struct tracker *t, struct ww_process_query *query, size_t *count)
{
	int r;

	*count = TRACKER_ROOM;
	r = ww_process_scan(t->process, query, t->answer, count);
	query->start = query->next;
	return r;
}

static int get_soft_dirty(struct tracker *t)
{
	struct ww_process_query query = {
	    .size = sizeof(query),
	    .required = WW_PAGE_SOFT_DIRTY,
	    .any_of = WW_PAGE_PRESENT | WW_PAGE_SWAPPED,
	};
	size_t count;
	int r;

	do {
		r = scan_piece(t, &query, &count);
		if (r == 0)
			r = add_answer(t, count);
	} while (r == 0 && query.next < query.end);
	return r == 0 ? tracker_clear_soft_dirty(t) : r;
}

int tracker_get(struct tracker *t)
{
	return t->way == TRACKER_EXACT ? get_exact(t) : get_soft_dirty(t);
}

static int count_resident(struct tracker *t, const struct named_mapping *m, uint64_t *pages)
{
	struct ww_process_query query = {
	    .size = sizeof(query),
	    .start = m->start,
	    .end = m->end,
	    .any_of = WW_PAGE_PRESENT | WW_PAGE_SWAPPED,
	};
	size_t count;
	int r;

	*pages = 0;
	do {
		r = scan_piece(t, &query, &count);
		*pages += query.pages;
	} while (r == 0 && query.next < query.end);
	return r;
}

int tracker_resident(struct tracker *t, uint64_t *pages)
{
	int r = t->process ? 0 : -ESTALE;

	for (size_t i = 0; i < t->mappings.count && r == 0; i++)
		r = count_resident(t, &t->mappings.list[i], &pages[i]);
	return r;
}
