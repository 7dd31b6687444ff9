/* SPDX-License-Identifier: MIT */
/* Queries in all shapes, each compared with the model page by page. */
#include "backends.h"
#include "oracle.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "moves.h"

#define SENTINEL ((void *)0x5e5e5e5e5e5e5e5e)

enum shape { PAGES, RANGES, BITMAP };

struct query {
	struct range r;
	unsigned flags;
	enum shape shape;
	size_t room; /* 0: count only */

	char *addr;
	size_t len;
	size_t count;
	int result;
	size_t claimed; /* the answer speaks for the pages before this one */
};

static struct query random_query(struct oracle *o, enum shape shape)
{
	struct query q = {.shape = shape};

	if (rng_one_in(&o->rng, 3)) {
		q.flags = WW_ACROSS;
		q.r = random_span(o);
	} else {
		q.r = random_range(o);
	}
	if (rng_one_in(&o->rng, 2))
		q.flags |= WW_RESET;
	if (shape == BITMAP)
		q.room = (q.r.count + 63) / 64 + rng_below(&o->rng, 2);
	else
		q.room = rng_one_in(&o->rng, 2) ? q.r.count : 1 + rng_below(&o->rng, 8);
	return q;
}

/* Not aligned, but rounded outward it is the range. */
static void choose_address(struct oracle *o, struct query *q)
{
	size_t front = rng_one_in(&o->rng, 2) ? 0 : rng_below(&o->rng, o->page_size / 2);
	size_t back = rng_one_in(&o->rng, 2) ? 0 : rng_below(&o->rng, o->page_size / 2);

	q->addr = page_at(o, q->r.first) + front;
	q->len = bytes_of(o, q->r.count) - front - back;
}

static void ask(struct oracle *o, struct query *q)
{
	bool counting = q->room == 0;

	choose_address(o, q);
	q->count = q->room;
	switch (q->shape) {
	case PAGES:
		o->list[q->room] = SENTINEL;
		q->result = ww_get(o->w, q->addr, q->len, q->flags, counting ? NULL : o->list,
				   &q->count);
		if (o->list[q->room] != SENTINEL)
			oracle_fail(o, "wrote behind the room");
		break;
	case RANGES:
		o->runs[q->room].start = SENTINEL;
		q->result = ww_get_ranges(o->w, q->addr, q->len, q->flags,
					  counting ? NULL : o->runs, &q->count);
		if (o->runs[q->room].start != SENTINEL)
			oracle_fail(o, "wrote behind the room");
		break;
	case BITMAP:
		memset(o->bits, 0xa5, (q->room + 1) * sizeof(*o->bits));
		q->result = ww_get_bitmap(o->w, q->addr, q->len, q->flags,
					  counting ? NULL : o->bits, &q->count);
		if (o->bits[q->room] != UINT64_C(0xa5a5a5a5a5a5a5a5))
			oracle_fail(o, "wrote behind the room");
		break;
	}
	oracle_log(o, q->r, q->flags | q->room << 8, q->result);
}

/* One reported page; returns its number. They have to ascend. */
static size_t take_hit(struct oracle *o, struct query *q, char *address, size_t *next)
{
	size_t page = (size_t)(address - o->base) / o->page_size;

	if (address != page_at(o, page) || page < q->r.first || page >= q->r.first + q->r.count)
		oracle_fail(o, "reported %p, which is not a page of the range", (void *)address);
	if (page < *next)
		oracle_fail(o, "reported page %zu not in order", page);
	*next = page + 1;
	o->hit[page] = true;
	return page;
}

static void parse_pages(struct oracle *o, struct query *q)
{
	size_t next = q->r.first;

	if (q->count > q->room)
		oracle_fail(o, "count %zu, room %zu", q->count, q->room);
	for (size_t i = 0; i < q->count; i++)
		take_hit(o, q, o->list[i], &next);
	if (q->count == q->room)
		q->claimed = next;
}

static void parse_ranges(struct oracle *o, struct query *q)
{
	size_t next = q->r.first;

	if (q->count > q->room)
		oracle_fail(o, "count %zu, room %zu", q->count, q->room);
	for (size_t i = 0; i < q->count; i++) {
		struct ww_range run = o->runs[i];

		if (i > 0 && (char *)run.start <= (char *)o->runs[i - 1].end)
			oracle_fail(o, "runs touch each other at %p", run.start);
		if ((char *)run.end <= (char *)run.start)
			oracle_fail(o, "empty run at %p", run.start);
		for (char *at = run.start; at < (char *)run.end; at += o->page_size)
			take_hit(o, q, at, &next);
	}
	if (q->count == q->room)
		q->claimed = next;
}

static void parse_bitmap(struct oracle *o, struct query *q)
{
	size_t words = (q->r.count + 63) / 64, found = 0;

	for (size_t i = 0; i < words * 64; i++) {
		if (!(o->bits[i / 64] >> (i % 64) & 1))
			continue;
		if (i >= q->r.count)
			oracle_fail(o, "an unused bit is set");
		o->hit[q->r.first + i] = true;
		found++;
	}
	if (found != q->count)
		oracle_fail(o, "count %zu, but %zu bits", q->count, found);
}

/* A page that was written and unmapped, on a backend that may still report it, and for how long. */
static bool is_gone(const struct page *p)
{
	return p->watched && p->mapping == HOLE && except(NO_HOLES);
}

/* How many pages more may be reported than the model has: so many were moved since it began. */
static size_t repeats_left(const struct oracle *o)
{
	size_t moved = pages_moved() - o->moved_before;

	return moved > o->repeated ? moved - o->repeated : 0;
}

static void over_reported(struct oracle *o, size_t page)
{
	if (except(NOT_EXACT))
		return;
	if (!moves_explain(o->repeated + 1, o->moved_before))
		oracle_fail(o, "OVER-REPORTED page %zu", page);
	o->repeated++;
	o->pages[page].state = UNKNOWN;
}

static void compare(struct oracle *o, const struct query *q)
{
	size_t end = q->r.first + q->r.count;

	for (size_t i = q->r.first; i < q->claimed; i++) {
		struct page *p = &o->pages[i];
		bool live = p->watched && p->mapping == MAPPED;

		if (p->watched && p->mapping == STALE)
			oracle_fail(o, "passed over page %zu, which was remapped", i);
		if (o->hit[i] && !live && !is_gone(p))
			oracle_fail(o, "reported page %zu, which is not watched", i);
		if (o->hit[i] && p->state == CLEAN)
			over_reported(o, i);
		if (!o->hit[i] && live && p->state == WRITTEN)
			oracle_fail(o, "MISSED page %zu", i);
		if (q->flags & WW_RESET && !is_gone(p) && (o->hit[i] || q->claimed == end))
			p->state = CLEAN;
	}
}

/* Pages (or runs of pages) that a count has to be at least and at most. */
static void compare_count(struct oracle *o, const struct query *q)
{
	size_t least = 0, most = 0, runs = 0, repeats = 0;
	bool in_run = false, any;

	for (size_t i = q->r.first; i < q->r.first + q->r.count; i++) {
		const struct page *p = &o->pages[i];
		bool live = p->watched && p->mapping == MAPPED;

		least += live && p->state == WRITTEN;
		most += (live || is_gone(p)) && p->state != CLEAN;
		runs += live && p->state == WRITTEN && !in_run;
		in_run = live && p->state == WRITTEN;
	}
	any = least != 0;
	if (q->shape == RANGES && least == most && !except(NOT_EXACT))
		least = most = runs;
	else if (q->shape == RANGES)
		least = any;
	if (except(NOT_EXACT))
		most = q->count;
	if ((q->count < least || q->count > most) &&
	    moves_explain(o->repeated + 1, o->moved_before))
		repeats = repeats_left(o);
	/* Which pages they are is not told: they may have joined runs, or be runs. */
	if (repeats != 0 && q->shape == RANGES)
		least = any;
	if (q->count < least || q->count > most + repeats)
		oracle_fail(o, "%s: count %zu, should be %zu to %zu",
			    q->count < least ? "MISSED" : "OVER-REPORTED", q->count, least, most);
}

/* Whether the call had to fail and did; the model then knows what that means. */
static bool failed_rightly(struct oracle *o, const struct query *q)
{
	bool gap = q->flags & WW_ACROSS ? !any_watched(o, q->r) : !all_watched(o, q->r);
	bool stale = is_stale(o, q->r);

	if (q->result == 0 && gap)
		oracle_fail(o, "answered, but the range has gaps");
	if (q->result == 0)
		return false;
	if (q->count != q->room)
		oracle_fail(o, "failed and changed the count");
	if (q->result == -ESTALE && stale) {
		if (q->flags & WW_RESET)
			doubt(o, q->r);
		return true;
	}
	if (q->result == -ENOENT && gap)
		return true;
	oracle_fail(o, "result %d, gap %d, stale %d", q->result, gap, stale);
}

static void query_and_check(struct oracle *o, struct query *q)
{
	ask(o, q);
	if (failed_rightly(o, q))
		return;
	q->claimed = q->r.first + q->r.count;
	memset(o->hit, 0, o->page_count * sizeof(*o->hit));
	if (q->room == 0) {
		if (is_stale(o, q->r))
			oracle_fail(o, "counted, but part was remapped");
		compare_count(o, q);
		return;
	}
	switch (q->shape) {
	case PAGES:
		parse_pages(o, q);
		break;
	case RANGES:
		parse_ranges(o, q);
		break;
	case BITMAP:
		parse_bitmap(o, q);
		break;
	}
	compare(o, q);
}

void op_get(struct oracle *o)
{
	struct query q = random_query(o, PAGES);

	query_and_check(o, &q);
}

void op_get_ranges(struct oracle *o)
{
	struct query q = random_query(o, RANGES);

	query_and_check(o, &q);
}

/* Now and then with too few words: nothing is reset then. */
void op_get_bitmap(struct oracle *o)
{
	struct query q = random_query(o, BITMAP);
	size_t count = (q.r.count + 63) / 64 - 1;

	if (count != 0 && rng_one_in(&o->rng, 8)) {
		int result;

		choose_address(o, &q);
		result = ww_get_bitmap(o->w, q.addr, q.len, q.flags, o->bits, &count);
		oracle_log(o, q.r, q.flags, result);
		if (result != -EINVAL)
			oracle_fail(o, "too few words: result %d", result);
		return;
	}
	query_and_check(o, &q);
}

void op_count(struct oracle *o)
{
	struct query q = random_query(o, (enum shape)rng_below(&o->rng, 3));

	q.flags &= ~(unsigned)WW_RESET;
	q.room = 0;
	query_and_check(o, &q);
}

void check_everything(struct oracle *o, unsigned flags)
{
	struct query q = {
		.shape = (enum shape)rng_below(&o->rng, 3),
		.flags = WW_ACROSS | flags,
		.r = {0, o->page_count},
	};

	q.room = q.shape == BITMAP ? (o->page_count + 63) / 64 : o->page_count;
	query_and_check(o, &q);
}
