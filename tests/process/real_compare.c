/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "real.h"

#define SHOWN 20 /* pages that are missing */

/**
 * struct counts - pages, by what became of them
 * @differ:   their content is not what it was; of these
 * @missed:   were not reported
 * @foreign:  shared ones that were not, and that others may have written
 * @reported: pages of the second copy that were reported
 * @dropped:  had a content and are empty now
 * @gone:     had one and are not mapped now
 * @unwatched: were written before their mapping became read-only, and between two looks
 */
struct counts {
	size_t differ, missed, foreign, reported, dropped, gone, unwatched;
};

struct comparison {
	struct ww_process *process;
	const struct copy *a, *b;
	const struct ranges *reported;
	bool alone;
	size_t page, hint_a;
	struct counts private, shared;
};

void ranges_add(struct ranges *r, const struct ww_page_range *ranges, size_t count)
{
	if (r->count + count > r->room) {
		r->room = 2 * (r->room + count);
		r->list = realloc(r->list, r->room * sizeof(*r->list));
		if (!r->list)
			real_die("no memory");
	}
	if (count)
		memcpy(r->list + r->count, ranges, count * sizeof(*ranges));
	r->count += count;
}

static int by_start(const void *a, const void *b)
{
	const struct ww_page_range *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

void ranges_sort(struct ranges *r)
{
	size_t kept = 0;

	if (r->count)
		qsort(r->list, r->count, sizeof(*r->list), by_start);
	for (size_t i = 0; i < r->count; i++) {
		if (!kept || r->list[i].start > r->list[kept - 1].end)
			r->list[kept++] = r->list[i];
		else if (r->list[i].end > r->list[kept - 1].end)
			r->list[kept - 1].end = r->list[i].end;
	}
	r->count = kept;
}

bool ranges_have(const struct ranges *r, uint64_t address)
{
	size_t low = 0, high = r->count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (r->list[middle].end <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low < r->count && r->list[low].start <= address;
}

static const char *content(const struct piece *m, uint64_t address)
{
	return m->bytes + (address - m->start);
}

static enum page_state state(const struct comparison *c, const struct piece *m, uint64_t address)
{
	return m ? m->state[(address - m->start) / c->page] : PAGE_EMPTY;
}

static bool is_zero(const char *bytes, size_t count)
{
	return bytes[0] == 0 && memcmp(bytes, bytes + 1, count - 1) == 0;
}

/* A private page of a file mapping with a content of its own was copied in order to be written. */
static bool differs(const struct comparison *c, const struct piece *a, const struct piece *b,
		    uint64_t address)
{
	if (state(c, b, address) == PAGE_EMPTY)
		return false;
	if (b->shared && (!a || !a->shared))
		return false;
	if (state(c, a, address) != PAGE_EMPTY)
		return memcmp(content(a, address), content(b, address), c->page) != 0;
	if (b->file)
		return state(c, b, address) == PAGE_OWN;
	return !is_zero(content(b, address), c->page);
}

static void show_missed(struct comparison *c, const struct piece *a, const struct piece *b,
			uint64_t address)
{
	struct ww_page_range range = {0};
	struct ww_process_query q = {
		.size = sizeof(q),
		.start = address,
		.end = address + c->page,
		.returned = ww_process_categories(c->process),
	};
	size_t count = 1, first = 0;

	if (c->private.missed + c->shared.missed > SHOWN)
		return;
	if (state(c, a, address) != PAGE_EMPTY)
		while (content(a, address)[first] == content(b, address)[first])
			first++;
	ww_process_scan(c->process, &q, &range, &count);
	fprintf(stderr,
		"# missed %" PRIx64 " in %" PRIx64 "-%" PRIx64 " %s: was %s%s, first byte that "
		"differs %zu, categories %" PRIx64 "\n", address, b->start, b->end, b->name,
		!a ? "not mapped" : state(c, a, address) == PAGE_EMPTY ? "empty" : "there",
		a && !a->writable ? ", read-only" : "", first, range.categories);
}

static void look(struct comparison *c, const struct piece *b, uint64_t address)
{
	const struct piece *a = copy_find(c->a, &c->hint_a, address);
	struct counts *n = b->shared ? &c->shared : &c->private;
	bool known = ranges_have(c->reported, address);

	n->reported += known;
	n->dropped += state(c, a, address) == PAGE_OWN && state(c, b, address) == PAGE_EMPTY;
	if (!differs(c, a, b, address))
		return;
	n->differ++;
	if (known)
		return;
	if (!b->writable && !(a && a->writable)) {
		n->unwatched++;
	} else if (b->shared && !c->alone) {
		n->foreign++;
	} else {
		n->missed++;
		show_missed(c, a, b, address);
	}
}

static void count_gone(struct comparison *c)
{
	size_t hint = 0;

	for (size_t i = 0; i < c->a->count; i++) {
		const struct piece *a = &c->a->pieces[i];

		for (uint64_t at = a->start; at < a->end; at += c->page)
			c->private.gone += state(c, a, at) == PAGE_OWN &&
					   !copy_find(c->b, &hint, at);
	}
}

static void print(const char *kind, const struct counts *n)
{
	printf("%s_differ %zu\n%s_missed %zu\n%s_reported %zu\n", kind, n->differ, kind, n->missed,
	       kind, n->reported);
	printf("%s_foreign %zu\n%s_dropped %zu\n%s_gone %zu\n%s_unwatched %zu\n", kind, n->foreign,
	       kind, n->dropped, kind, n->gone, kind, n->unwatched);
}

int compare(struct ww_process *p, const struct copy *a, const struct copy *b,
	    const struct ranges *reported, bool alone)
{
	struct comparison c = {.process = p, .a = a, .b = b, .reported = reported, .alone = alone,
			       .page = (size_t)sysconf(_SC_PAGESIZE)};

	for (size_t i = 0; i < b->count; i++)
		for (uint64_t at = b->pieces[i].start; at < b->pieces[i].end; at += c.page)
			look(&c, &b->pieces[i], at);
	count_gone(&c);
	print("private", &c.private);
	print("shared", &c.shared);
	return c.private.missed + c.shared.missed ? 1 : 0;
}
