/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kinds.h"
#include "leaks.h"
#include "pages.h"

/* Marks, discards, and changes to what is watched, on every kind of memory. */

static void begin(void)
{
	backend_begin();
	leaks_begin();
}

TestSuite(changes, .init = begin, .fini = leaks_end);

static void marks(struct watched *t)
{
	char before[4] = {t->memory[0], t->memory[5 * PAGE], t->memory[PAGE], t->memory[900 * PAGE]};

	cr_assert_eq(ww_mark(t->w, t->memory + 5 * PAGE + 9, 1), 0);
	cr_assert_eq(ww_mark(t->w, t->memory + 900 * PAGE, 2 * PAGE), 0);
	get(t, 0);
	EXPECT(t, 5, 900, 901);
	get(t, WW_RESET);
	EXPECT(t, 5, 900, 901);
	get(t, 0);
	EXPECT_NONE(t);
	cr_assert(t->memory[0] == before[0] && t->memory[5 * PAGE] == before[1] &&
		  t->memory[PAGE] == before[2] && t->memory[900 * PAGE] == before[3]);
}

Test(changes, marked_pages_are_written_pages_with_their_content)
{
	ON_ALL_KINDS(marks);
}

static void mark_all(struct watched *t)
{
	(void)*(volatile char *)(t->memory + 3 * PAGE);
	cr_assert_eq(ww_mark(t->w, t->memory, (size_t)PAGES * PAGE), 0);
	get(t, WW_RESET);
	cr_assert_eq(t->count, PAGES, "%s: %zu", t->kind->name, t->count);
	get(t, 0);
	EXPECT_NONE(t);
	t->memory[8 * PAGE]++;
	get(t, WW_RESET);
	EXPECT(t, 8);
}

Test(changes, everything_can_be_marked)
{
	ON_ALL_KINDS(mark_all);
}

static void mark_inaccessible(struct watched *t)
{
	cr_assert_eq(protect(t->w, t->memory, 16 * PAGE, PROT_NONE), 0);
	cr_assert_eq(ww_mark(t->w, t->memory + 2 * PAGE, 3 * PAGE), 0);
	get(t, WW_RESET);
	EXPECT(t, 2, 3, 4);
	get(t, 0);
	EXPECT_NONE(t);
	cr_assert_eq(protect(t->w, t->memory, 16 * PAGE, PROT_READ | PROT_WRITE), 0);
	t->memory[3 * PAGE]++;
	get(t, WW_RESET);
	EXPECT(t, 3);
}

Test(changes, pages_that_cannot_be_touched_can_be_marked)
{
	ON_ALL_KINDS(mark_inaccessible);
}

static void discards(struct watched *t)
{
	int r;

	for (int i = 0; i < 8; i++)
		memset(t->memory + i * PAGE, 7, PAGE);
	memset(t->memory + 600 * PAGE, 7, PAGE);
	r = ww_discard(t->w, t->memory + 2 * PAGE, 600 * PAGE);
	if (!t->kind->discards) {
		cr_assert(r == -ENOTSUP || r == 0, "%s: %d", t->kind->name, r);
		if (r == -ENOTSUP) {
			get(t, 0);
			EXPECT(t, 0, 1, 2, 3, 4, 5, 6, 7, 600);
			return;
		}
	}
	cr_assert_eq(r, 0, "%s: %d", t->kind->name, r);
	get(t, 0);
	EXPECT(t, 0, 1);
	cr_assert_eq(t->memory[3 * PAGE], 0);
	cr_assert_eq(t->memory[600 * PAGE + 1], 0);
	get(t, 0);
	EXPECT(t, 0, 1);
	t->memory[3 * PAGE] = 0;
	get(t, WW_RESET);
	EXPECT(t, 0, 1, 3);
	cr_assert_eq(ww_discard(t->w, t->memory, (size_t)PAGES * PAGE), 0);
	get(t, WW_RESET);
	EXPECT_NONE(t);
}

Test(changes, discarded_pages_are_zero_and_not_written)
{
	ON_ALL_KINDS(discards);
}

static void drops(struct watched *t)
{
	if (!t->kind->drops_count)
		return;
	memset(t->memory + 4 * PAGE, 7, 4 * PAGE);
	get(t, WW_RESET);
	EXPECT(t, 4, 5, 6, 7);
	madvise(t->memory + 5 * PAGE, 2 * PAGE, MADV_DONTNEED);
	get(t, WW_RESET);
	EXPECT(t, 5, 6);
	get(t, 0);
	EXPECT_NONE(t);
	(void)*(volatile char *)(t->memory + 5 * PAGE);
	get(t, 0);
	EXPECT_NONE(t);
}

Test(changes, dropped_content_counts_where_that_was_asked_for)
{
	ON_ALL_KINDS(drops);
}

static void watch_again(struct watched *t)
{
	const bool private_file = !t->kind->discards && !t->kind->shared;

	t->memory[5 * PAGE]++;
	t->memory[800 * PAGE]++;
	cr_assert_eq(ww_watch(t->w, t->memory, (size_t)PAGES * PAGE, t->kind->flags), 0);
	get(t, 0);
	EXPECT(t, 5, 800);
	cr_assert_eq(ww_watch(t->w, t->memory + 700 * PAGE, 200 * PAGE,
			      private_file ? 0 : discards_flag()),
		     0);
	get(t, WW_RESET);
	EXPECT(t, 5, 800);
	t->memory[701 * PAGE]++;
	get(t, WW_RESET);
	EXPECT(t, 701);
}

Test(changes, watching_again_keeps_the_state)
{
	ON_ALL_KINDS(watch_again);
}

static void unwatch(struct watched *t)
{
	size_t count = PAGES;

	t->memory[5 * PAGE]++;
	t->memory[50 * PAGE]++;
	cr_assert_eq(ww_unwatch(t->w, t->memory + 40 * PAGE, 20 * PAGE), 0);
	cr_assert_eq(ww_get(t->w, t->memory, (size_t)PAGES * PAGE, 0, t->pages, &count), -ENOENT);
	t->count = PAGES;
	cr_assert_eq(ww_get(t->w, t->memory, (size_t)PAGES * PAGE, WW_ACROSS, t->pages, &t->count),
		     0);
	EXPECT(t, 5);
	cr_assert_eq(ww_watch(t->w, t->memory + 40 * PAGE, 20 * PAGE, t->kind->flags), 0);
	get(t, 0);
	EXPECT(t, 5);
	t->memory[51 * PAGE]++;
	get(t, WW_RESET);
	EXPECT(t, 5, 51);
}

Test(changes, a_part_can_be_unwatched_and_begins_clean_when_watched_anew)
{
	ON_ALL_KINDS(unwatch);
}

static void many_pieces(struct watched *t)
{
	cr_assert_eq(ww_unwatch(t->w, t->memory, (size_t)PAGES * PAGE), 0);
	for (int i = 0; i < PAGES; i += 20)
		cr_assert_eq(ww_watch(t->w, t->memory + i * PAGE, 10 * PAGE, t->kind->flags), 0);
	t->memory[3 * PAGE]++;
	t->memory[13 * PAGE]++;
	t->memory[509 * PAGE]++;
	t->memory[1089 * PAGE]++;
	for (int reset = 0; reset <= 1; reset++) {
		t->count = PAGES;
		cr_assert_eq(ww_get(t->w, t->memory, (size_t)PAGES * PAGE,
				    WW_ACROSS | (reset ? WW_RESET : 0), t->pages, &t->count),
			     0);
		EXPECT(t, 3, 509, 1089);
	}
	t->count = PAGES;
	cr_assert_eq(ww_get(t->w, t->memory, (size_t)PAGES * PAGE, WW_ACROSS, t->pages, &t->count),
		     0);
	EXPECT_NONE(t);
	for (int i = 0; i < PAGES; i += 20)
		t->memory[i * PAGE]++;
	if (!no_more_than(t, PAGES / 20))
		return;
	t->count = 3;
	cr_assert_eq(ww_get(t->w, t->memory, (size_t)PAGES * PAGE, WW_ACROSS | WW_RESET, t->pages,
			    &t->count),
		     0);
	EXPECT(t, 0, 20, 40);
	t->count = 2;
	cr_assert_eq(ww_get(t->w, t->memory, (size_t)PAGES * PAGE, WW_ACROSS, t->pages,
			    &t->count),
		     0);
	EXPECT(t, 60, 80);
}

Test(changes, one_query_can_go_across_many_ranges)
{
	ON_ALL_KINDS(many_pieces);
}

/* Neighbouring ranges need no flag: nothing lies between them. */
Test(changes, ranges_watched_side_by_side_are_one_to_a_query)
{
	char *p = map_private(64 * PAGE);
	void *pages[64];
	size_t count = 64;
	struct ww *w;

	memset(p + 16 * PAGE, 1, 16 * PAGE);
	cr_assert_eq(ww_new(&w, NULL), 0);
	for (int i = 0; i < 64; i += 16)
		cr_assert_eq(ww_watch(w, p + i * PAGE, 16 * PAGE, i == 48 ? discards_flag() : 0),
			     0);
	for (int i = 0; i < 64; i += 8)
		p[i * PAGE]++;
	cr_assert_eq(ww_get(w, p, 64 * PAGE, WW_RESET, pages, &count), 0);
	cr_assert_eq(count, 8);
	for (int i = 0; i < 8; i++)
		cr_assert_eq(pages[i], p + i * 8 * PAGE);
	ww_free(w);
	unmap(p, 64 * PAGE);
}

Test(changes, one_watch_spans_mappings_of_different_kinds)
{
	char *p = map_reserve(64 * PAGE, PAGE);
	int fd = memfd_of(16 * PAGE);
	void *pages[64];
	size_t count = 64;
	struct ww *w;

	map_fd(p + 16 * PAGE, 16 * PAGE, except(NO_SHARED) ? MAP_PRIVATE : MAP_SHARED, fd, 0);
	map_fd(p + 32 * PAGE, 16 * PAGE, MAP_PRIVATE, fd, 0);
	cr_assert_eq(mprotect(p, 16 * PAGE, PROT_READ | PROT_WRITE), 0);
	cr_assert_eq(ww_new(&w, NULL), 0);
	cr_assert_eq(ww_watch(w, p, 64 * PAGE, 0), 0);
	for (int i = 0; i < 48; i++)
		(void)*(volatile char *)(p + i * PAGE);
	cr_assert_eq(ww_get(w, p, 64 * PAGE, 0, pages, &count), 0);
	cr_assert_eq(count, 0);
	p[3 * PAGE] = p[17 * PAGE] = p[33 * PAGE] = 1;
	count = 64;
	cr_assert_eq(ww_get(w, p, 64 * PAGE, WW_RESET, pages, &count), 0);
	cr_assert_eq(count, 3);
	ww_free(w);
	unmap(p, 64 * PAGE);
	close(fd);
}
