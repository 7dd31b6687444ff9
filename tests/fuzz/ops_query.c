/* SPDX-License-Identifier: MIT */
/* Queries in all shapes, each compared with the model page by page. */
#include "fuzz.h"

#include <errno.h>
#include <string.h>

enum shape { AS_PAGES, AS_RANGES, AS_BITMAP };

struct query {
	struct range r;
	unsigned flags;
	enum shape shape;
	void *list; /* NULL: count only */
	size_t room;
	struct range list_pages; /* count 0: the list is not in the arena */

	char *addr;
	size_t len;
	size_t count;
	int result;
	size_t claimed; /* the answer speaks for the pages before this one */
};

/* One element more than any answer has. */
static union {
	void *pages[PAGES + 2];
	struct ww_range ranges[PAGES + 2];
	uint64_t bits[PAGES / 64 + 4];
} room_for;

static bool hit[PAGES];

static size_t element(const struct query *q)
{
	return q->shape == AS_RANGES ? sizeof(struct ww_range) : sizeof(void *);
}

static size_t words_of(const struct query *q)
{
	return (q->r.count + 63) / 64;
}

static bool must_be_invalid(const struct query *q)
{
	if (!q->list)
		return q->flags & WW_RESET;
	return q->room == 0 || (q->shape == AS_BITMAP && q->room < words_of(q));
}

static void ask(struct query *q)
{
	char *behind = q->list ? (char *)q->list + q->room * element(q) : NULL;
	char before[sizeof(struct ww_range)];

	if (behind)
		memcpy(before, behind, element(q));
	q->count = q->room;
	if (q->shape == AS_PAGES)
		q->result = ww_get(fz.w, q->addr, q->len, q->flags, q->list, &q->count);
	else if (q->shape == AS_RANGES)
		q->result = ww_get_ranges(fz.w, q->addr, q->len, q->flags, q->list, &q->count);
	else
		q->result = ww_get_bitmap(fz.w, q->addr, q->len, q->flags, q->list, &q->count);
	note(q->r, q->flags | (unsigned long)q->shape << 4 | q->room << 8, q->result);
	if (behind && memcmp(before, behind, element(q)) != 0)
		fail("wrote behind the room of %zu", q->room);
}

/* One reported page. They have to ascend. */
static void take_hit(const struct query *q, const char *address, size_t *next)
{
	size_t page = (size_t)(address - fz.base) / fz.page_size;

	if (address != page_at(page) || page < q->r.first || page >= q->r.first + q->r.count)
		fail("reported %p, which is not a page of the range", (const void *)address);
	if (page < *next)
		fail("reported page %zu not in order", page);
	*next = page + 1;
	hit[page] = true;
}

static void parse_list(struct query *q)
{
	size_t next = q->r.first;

	if (q->count > q->room)
		fail("count %zu, room %zu", q->count, q->room);
	for (size_t i = 0; i < q->count; i++) {
		const struct ww_range *run = (const struct ww_range *)q->list + i;

		if (q->shape == AS_PAGES) {
			take_hit(q, ((void **)q->list)[i], &next);
			continue;
		}
		if (i > 0 && (char *)run->start <= (char *)run[-1].end)
			fail("runs touch each other at %p", run->start);
		if ((char *)run->end <= (char *)run->start)
			fail("empty run at %p", run->start);
		for (char *at = run->start; at < (char *)run->end; at += fz.page_size)
			take_hit(q, at, &next);
	}
	if (q->count == q->room)
		q->claimed = next;
}

static void parse_bitmap(const struct query *q)
{
	const uint64_t *bits = q->list;
	size_t found = 0;

	for (size_t i = 0; i < words_of(q) * 64; i++) {
		if (!(bits[i / 64] >> (i % 64) & 1))
			continue;
		if (i >= q->r.count)
			fail("an unused bit is set");
		hit[q->r.first + i] = true;
		found++;
	}
	if (found != q->count)
		fail("count %zu, but %zu bits", q->count, found);
}

/* Reported, and not written: allowed as often as the library owns up to it. */
static void over_report(size_t page)
{
	struct ww_info info = {.size = sizeof(info)};

	ww_info(fz.w, &info);
	if (has(WW_EXACT) || fz.traits->own_protect) {
		fz.surplus++;
		if (fz.surplus > info.widened)
			fail("OVER-REPORTED page %zu", page);
	}
	fz.pages[page].state = WRITTEN;
}

static void compare(const struct query *q)
{
	size_t end = q->r.first + q->r.count;

	for (size_t i = q->r.first; i < q->claimed; i++) {
		struct page *p = &fz.pages[i];
		bool live = p->watched && p->mapping == MAPPED;

		if (p->watched && p->mapping == STALE)
			fail("passed over page %zu, which was remapped", i);
		if (hit[i] && !live && !(p->watched && fz.traits->by_address))
			fail("reported page %zu, which is not watched", i);
		if (hit[i] && live && p->state == CLEAN)
			over_report(i);
		if (!hit[i] && live && p->state == WRITTEN)
			fail("MISSED page %zu", i);
		if (q->flags & WW_RESET && (hit[i] || q->claimed == end))
			p->state = CLEAN;
	}
}

/* Pages, or runs of pages, that a count has to be at least and at most. */
static void compare_count(const struct query *q)
{
	size_t least = 0, most = 0, runs = 0;
	bool in_run = false, sure = has(WW_EXACT) && !fz.traits->by_address;

	for (size_t i = q->r.first; i < q->r.first + q->r.count; i++) {
		const struct page *p = &fz.pages[i];
		bool live = p->watched && p->mapping == MAPPED;

		if (p->watched && p->mapping == STALE)
			fail("counted, but page %zu was remapped", i);
		least += live && p->state == WRITTEN;
		most += live && p->state != CLEAN;
		runs += live && p->state == WRITTEN && !in_run;
		in_run = live && p->state == WRITTEN;
	}
	if (q->shape == AS_RANGES && least == most && sure)
		least = most = runs;
	else if (q->shape == AS_RANGES)
		least = least != 0;
	if (!sure)
		most = q->r.count;
	if (q->count < least || q->count > most)
		fail("%s: count %zu, should be %zu to %zu",
		     q->count < least ? "MISSED" : "OVER-REPORTED", q->count, least, most);
}

/* Whether the call had to fail and did; the model then knows what that means. */
static bool failed_rightly(const struct query *q)
{
	bool gap = q->flags & WW_ACROSS ? !any_watched(q->r) : !all_watched(q->r);
	bool stale = any_mapping(q->r, STALE), invalid = must_be_invalid(q);

	if (q->result == 0 && (gap || invalid))
		fail("answered, gap %d, invalid %d", gap, invalid);
	if (q->result == 0)
		return false;
	if (q->count != q->room)
		fail("failed and changed the count");
	if (q->result == -EINVAL && invalid)
		return true;
	if (invalid || !((q->result == -ESTALE && stale) || (q->result == -ENOENT && gap)))
		fail("result %d, gap %d, stale %d, invalid %d", q->result, gap, stale, invalid);
	if (q->result == -ESTALE && q->flags & WW_RESET)
		doubt(q->r);
	return true;
}

/* The library stores to the list during the call: reported by this call or by the next. */
static void before_list(const struct query *q)
{
	doubt(q->list_pages);
}

static void after_list(const struct query *q)
{
	size_t used = q->shape == AS_BITMAP ? words_of(q) : q->count;
	const char *last;

	if (!q->list_pages.count)
		return;
	last = (char *)q->list + used * element(q) - 1;
	for (size_t i = q->list_pages.first; i < q->list_pages.first + q->list_pages.count; i++) {
		struct page *p = &fz.pages[i];

		resync(i);
		if (q->result != 0 || used == 0 || page_at(i) > last || !p->watched)
			continue;
		if (!hit[i])
			p->state = WRITTEN;
		else if (p->state == CLEAN)
			p->state = UNKNOWN;
	}
}

static void query_and_check(struct query *q)
{
	memset(hit, 0, sizeof(hit));
	before_list(q);
	ask(q);
	q->claimed = q->r.first + q->r.count;
	if (failed_rightly(q)) {
		after_list(q);
		return;
	}
	if (!q->list) {
		compare_count(q);
		return;
	}
	if (q->shape == AS_BITMAP)
		parse_bitmap(q);
	else
		parse_list(q);
	compare(q);
	after_list(q);
}

/* Puts the list into the arena, if it fits where chance says. */
static void place_list(struct query *q)
{
	struct range at = take_range();
	size_t bytes = (q->room + 1) * element(q), pages = (bytes + fz.page_size - 1) / fz.page_size;

	if (pages > PAGES - at.first)
		return;
	at.count = pages;
	for (size_t i = at.first; i < at.first + pages; i++)
		if (fz.pages[i].mapping != MAPPED || !can_write(i) || !can_read(i))
			return;
	q->list_pages = at;
	q->list = page_at(at.first) + (fz.page_size - bytes % fz.page_size) % fz.page_size;
	/* The element behind the room is the last of the last page. */
	if (bytes > fz.page_size)
		q->list = page_at(at.first);
}

void op_get(void)
{
	unsigned how = take(), small = take();
	struct query q = {.shape = how % 3, .r = take_range(), .list = &room_for};

	q.flags = (how & 4 ? WW_RESET : 0) | (how & 8 ? WW_ACROSS : 0);
	q.room = q.shape == AS_BITMAP ? words_of(&q) + (how & 128) / 128 : q.r.count;
	if (how & 32)
		q.room = small % (q.shape == AS_BITMAP ? words_of(&q) + 1 : 9);
	q.addr = take_address(q.r, &q.len);
	if (how & 16)
		q.list = NULL;
	else if (how & 64)
		place_list(&q);
	query_and_check(&q);
}

/* The whole address space, and then the arena in another shape. */
void check_everything(void)
{
	struct query q = {
		.shape = take() % 2 ? AS_PAGES : AS_RANGES,
		.flags = WW_ACROSS,
		.r = {0, PAGES},
		.list = &room_for,
		.room = PAGES,
		.len = (size_t)INTPTR_MAX - fz.page_size,
	};

	query_and_check(&q);
	q.shape = AS_BITMAP;
	q.room = words_of(&q);
	q.flags = WW_ACROSS | WW_RESET;
	q.addr = fz.base;
	q.len = bytes_of(PAGES);
	query_and_check(&q);
	q.flags = WW_ACROSS;
	query_and_check(&q);
}
