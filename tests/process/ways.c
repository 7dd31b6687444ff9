/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <writewatch/process.h>

#include "child.h"
#include "layout.h"
#include "leaks.h"
#include "pages.h"

/*
 * PAGEMAP_SCAN and reading pagemap give the same ranges: random questions about random memory, of
 * this process and of a child that has a copy of it. Where the kernel has only the second, both are
 * that, and what is left of the test is that a result in pieces is the result at once.
 */

/* How many pages of each category the questions were about. */
static uint64_t seen[64];

static struct layout layout;
static struct rng rng;

static void begin(void)
{
	rng.state = random_seed("process-ways");
	leaks_begin();
}

TestSuite(ways, .init = begin, .fini = leaks_end);

struct list {
	struct ww_page_range ranges[LAYOUT_PAGES];
	size_t count;
	uint64_t pages;
	size_t calls;
};

static void append(struct list *l, const struct ww_page_range *range)
{
	struct ww_page_range *last = l->count ? &l->ranges[l->count - 1] : NULL;

	if (last && last->end == range->start && last->categories == range->categories)
		last->end = range->end;
	else
		l->ranges[l->count++] = *range;
}

/* All of it, with so much room and so many pages at a time. */
static void collect(struct ww_process *p, struct ww_process_query q, size_t room, struct list *l)
{
	static struct ww_page_range some[LAYOUT_PAGES];

	l->count = l->calls = 0;
	l->pages = 0;
	do {
		size_t count = room;
		uint64_t pages = 0;

		cr_assert_eq(ww_process_scan(p, &q, some, &count), 0);
		cr_assert(count <= room && (!q.max_pages || q.pages <= q.max_pages));
		cr_assert(q.next > q.start || q.start == q.end, "no progress");
		for (size_t i = 0; i < count; i++) {
			cr_assert(some[i].start >= q.start && some[i].end <= q.next);
			cr_assert(!i || some[i].start > some[i - 1].end ||
				  (some[i].start == some[i - 1].end &&
				   some[i].categories != some[i - 1].categories));
			pages += (some[i].end - some[i].start) / page_bytes();
			append(l, &some[i]);
		}
		cr_assert_eq(pages, q.pages);
		l->pages += pages;
		l->calls++;
		q.start = q.next;
	} while (q.start < q.end);
}

static void print_list(const char *name, const struct list *l)
{
	for (size_t i = 0; i < l->count; i++)
		fprintf(stderr, "%s: %#lx-%#lx %#lx\n", name, l->ranges[i].start, l->ranges[i].end,
			l->ranges[i].categories);
}

static void expect_same(const struct ww_process_query *q, const struct list *a,
			const struct list *b)
{
	bool same = a->count == b->count && a->pages == b->pages &&
		    !memcmp(a->ranges, b->ranges, a->count * sizeof(*a->ranges));

	if (!same) {
		print_list("a", a);
		print_list("b", b);
	}
	cr_assert(same, "required %#lx any_of %#lx excluded %#lx returned %#lx max_pages %lu",
		  q->required, q->any_of, q->excluded, q->returned, q->max_pages);
}

static uint64_t some_of(uint64_t categories)
{
	return rng_one_in(&rng, 2) ? 0 : categories & rng_next(&rng) & rng_next(&rng);
}

static struct ww_process_query question(uint64_t categories)
{
	const uint64_t page = page_bytes(), base = (uintptr_t)layout.base;
	size_t from = rng_below(&rng, LAYOUT_PAGES), to = rng_below(&rng, LAYOUT_PAGES + 1);
	struct ww_process_query q = {.size = sizeof(q)};

	if (rng_one_in(&rng, 2))
		from = 0, to = LAYOUT_PAGES;
	q.start = base + (from < to ? from : to) * page;
	q.end = base + (from < to ? to : from) * page;
	q.excluded = some_of(categories);
	q.required = some_of(categories & ~q.excluded);
	q.any_of = some_of(categories & ~q.excluded);
	q.returned = rng_one_in(&rng, 3) ? categories : some_of(categories);
	/* What is empty may be written or not where it is not watched. */
	if ((q.required | q.any_of | q.excluded | q.returned) & WW_PAGE_WRITTEN) {
		q.any_of = WW_PAGE_PRESENT | WW_PAGE_SWAPPED;
		q.excluded &= ~q.any_of;
	}
	return q;
}

/* At once and in pieces, on both ways. */
static void compare(struct ww_process *const ways[2], uint64_t categories)
{
	static struct list whole, other;
	struct ww_process_query q = question(categories);

	collect(ways[0], q, LAYOUT_PAGES, &whole);
	cr_assert_eq(whole.calls, 1, "with room for all");
	collect(ways[1], q, LAYOUT_PAGES, &other);
	cr_assert_eq(other.calls, 1, "with room for all");
	expect_same(&q, &whole, &other);
	for (size_t i = 0; i < whole.count; i++)
		for (int bit = 0; bit < 64; bit++)
			if (whole.ranges[i].categories >> bit & 1)
				seen[bit] += (whole.ranges[i].end - whole.ranges[i].start) /
					     page_bytes();
	for (int way = 0; way < 2; way++) {
		size_t room = rng_below(&rng, 40) + 1;

		q.max_pages = rng_one_in(&rng, 2) ? rng_below(&rng, 300) + 10 : 0;
		collect(ways[way], q, room, &other);
		expect_same(&q, &whole, &other);
	}
}

static void open_ways(struct ww_process *ways[2], pid_t pid)
{
	cr_assert_eq(ww_process_open(&ways[0], pid, 0), 0);
	cr_assert_eq(ww_process_open(&ways[1], pid, WW_PROCESS_READ_PAGEMAP), 0);
}

static void close_ways(struct ww_process *const ways[2])
{
	ww_process_close(ways[0]);
	ww_process_close(ways[1]);
}

static void ask(struct ww_process *const ways[2], size_t questions)
{
	for (size_t i = 0; i < questions; i++)
		compare(ways, ww_process_categories(ways[0]) & ww_process_categories(ways[1]));
}

Test(ways, give_the_same_ranges, .timeout = 100)
{
	const size_t layouts = env_number("WW_OPS", 40000) / 1000 + 1;
	struct ww_process *own[2], *ways[2];

	/* Before there are holes in the layout, where their own memory could go. */
	open_ways(own, 0);
	for (size_t i = 0; i < layouts; i++) {
		pid_t pid;

		layout_make(&layout, &rng);
		ask(own, 40);
		pid = child_start(NULL, NULL);
		open_ways(ways, pid);
		ask(ways, 20);
		close_ways(ways);
		child_end(pid);
		layout_free(&layout);
	}
	close_ways(own);
	for (size_t i = 0; i < layout_kind_count; i++)
		fprintf(stderr, "%s: %zu times\n", layout_kind(i), layout_made[i]);
	for (int bit = 0; bit < 64; bit++)
		if (seen[bit])
			fprintf(stderr, "category %#lx: %lu pages\n", 1ul << bit, seen[bit]);
}
