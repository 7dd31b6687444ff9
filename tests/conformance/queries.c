/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "kinds.h"
#include "leaks.h"

/* What the shapes of answer and their flags mean, on every kind of memory. */

static void begin(void)
{
	backend_begin();
	leaks_begin();
}

TestSuite(queries, .init = begin, .fini = leaks_end);

static void write_pages(struct watched *t, const int *numbers)
{
	for (; *numbers >= 0; numbers++)
		t->memory[*numbers * PAGE + 11]++;
}

#define WRITE(t, ...) write_pages(t, (const int[]){__VA_ARGS__, -1})

static void begins_clean(struct watched *t)
{
	get(t, 0);
	EXPECT_NONE(t);
}

Test(queries, a_watch_begins_clean)
{
	ON_ALL_KINDS(begins_clean);
}

static void reads(struct watched *t)
{
	for (size_t i = 0; i < PAGES; i += 2)
		(void)*(volatile char *)(t->memory + i * PAGE);
	get(t, 0);
	EXPECT_NONE(t);
	get(t, WW_RESET);
	EXPECT_NONE(t);
	WRITE(t, 2, 3);
	get(t, WW_RESET);
	EXPECT(t, 2, 3);
}

Test(queries, reads_are_not_writes_and_do_not_hide_them)
{
	ON_ALL_KINDS(reads);
}

static void look_and_reset(struct watched *t)
{
	WRITE(t, 0, 7, 512, 513, PAGES - 1);
	get(t, 0);
	EXPECT(t, 0, 7, 512, 513, PAGES - 1);
	get(t, 0);
	EXPECT(t, 0, 7, 512, 513, PAGES - 1);
	get(t, WW_RESET);
	EXPECT(t, 0, 7, 512, 513, PAGES - 1);
	get(t, 0);
	EXPECT_NONE(t);
	WRITE(t, 7, 8);
	get(t, 0);
	EXPECT(t, 7, 8);
	cr_assert_eq(ww_reset(t->w, t->memory, (size_t)PAGES * PAGE), 0);
	get(t, 0);
	EXPECT_NONE(t);
}

Test(queries, looking_keeps_and_reset_clears)
{
	ON_ALL_KINDS(look_and_reset);
}

static void same_value_and_straddle(struct watched *t)
{
	volatile char *same = t->memory + 9 * PAGE;
	uint32_t value = 0x01020304;

	*same = *same;
	get(t, WW_RESET);
	EXPECT(t, 9);
	memcpy(t->memory + 21 * PAGE - 2, &value, sizeof(value));
	get(t, WW_RESET);
	EXPECT(t, 20, 21);
}

Test(queries, a_store_counts_whatever_it_stores_and_wherever_it_ends)
{
	ON_ALL_KINDS(same_value_and_straddle);
}

static void sub_ranges(struct watched *t)
{
	size_t count = 10;

	WRITE(t, 3, 5, 600);
	cr_assert_eq(ww_get(t->w, t->memory + 4 * PAGE, 3 * PAGE, WW_RESET, t->pages, &count), 0);
	t->count = count;
	EXPECT(t, 5);
	get(t, 0);
	EXPECT(t, 3, 600);
	cr_assert_eq(ww_reset(t->w, t->memory + 3 * PAGE + 17, 1), 0);
	get(t, 0);
	EXPECT(t, 600);
}

Test(queries, touch_their_range_only)
{
	ON_ALL_KINDS(sub_ranges);
}

static void unaligned(struct watched *t)
{
	WRITE(t, 3, 4, 5, 6);
	t->count = 10;
	cr_assert_eq(ww_get(t->w, t->memory + 5 * PAGE - 1, 2, WW_RESET, t->pages, &t->count), 0);
	EXPECT(t, 4, 5);
	get(t, 0);
	EXPECT(t, 3, 6);
}

Test(queries, round_outward)
{
	ON_ALL_KINDS(unaligned);
}

static void short_room(struct watched *t)
{
	for (int i = 0; i < 20; i++)
		WRITE(t, 3 * i);
	if (!no_more_than(t, 20))
		return;
	t->count = 3;
	cr_assert_eq(ww_get(t->w, t->memory, (size_t)PAGES * PAGE, WW_RESET, t->pages, &t->count),
		     0);
	EXPECT(t, 0, 3, 6);
	get(t, 0);
	cr_assert_eq(t->count, 17);
	/* By advancing, without a reset. */
	t->count = 5;
	cr_assert_eq(ww_get(t->w, t->memory + 20 * PAGE, (size_t)(PAGES - 20) * PAGE, 0, t->pages,
			    &t->count),
		     0);
	EXPECT(t, 21, 24, 27, 30, 33);
}

Test(queries, with_little_room_return_the_first_and_reset_no_more)
{
	ON_ALL_KINDS(short_room);
}

static void ranges(struct watched *t)
{
	struct ww_range r[8];
	size_t count = 8;

	WRITE(t, 1, 2, 3, 511, 512, 700);
	if (!no_more_than(t, 6))
		return;
	cr_assert_eq(ww_get_ranges(t->w, t->memory, (size_t)PAGES * PAGE, 0, r, &count), 0);
	cr_assert_eq(count, 3, "%s: %zu", t->kind->name, count);
	cr_assert(r[0].start == t->memory + PAGE && r[0].end == t->memory + 4 * PAGE);
	cr_assert(r[1].start == t->memory + 511 * PAGE && r[1].end == t->memory + 513 * PAGE);
	cr_assert(r[2].start == t->memory + 700 * PAGE && r[2].end == t->memory + 701 * PAGE);
	count = 2;
	cr_assert_eq(ww_get_ranges(t->w, t->memory, (size_t)PAGES * PAGE, WW_RESET, r, &count),
		     0);
	cr_assert_eq(count, 2);
	get(t, 0);
	EXPECT(t, 700);
	count = 0;
	cr_assert_eq(ww_get_ranges(t->w, t->memory, (size_t)PAGES * PAGE, 0, NULL, &count), 0);
	cr_assert_eq(count, 1);
}

Test(queries, ranges_are_runs_of_pages)
{
	ON_ALL_KINDS(ranges);
}

static void bitmap(struct watched *t)
{
	uint64_t bits[(PAGES + 63) / 64 + 1];
	size_t words = (PAGES + 63) / 64, count = words;

	memset(bits, 0xff, sizeof(bits));
	WRITE(t, 0, 63, 64, 65, PAGES - 1);
	if (!no_more_than(t, 5))
		return;
	cr_assert_eq(ww_get_bitmap(t->w, t->memory, (size_t)PAGES * PAGE, WW_RESET, bits, &count),
		     0);
	cr_assert_eq(count, 5);
	cr_assert_eq(bits[words], UINT64_MAX, "not a word too many");
	for (size_t i = 0; i < words * 64; i++)
		cr_assert_eq(bits[i / 64] >> i % 64 & 1,
			     i == 0 || (i >= 63 && i <= 65) || i == PAGES - 1, "bit %zu", i);
	WRITE(t, 70, 71);
	count = 1;
	cr_assert_eq(ww_get_bitmap(t->w, t->memory + 70 * PAGE + 5, PAGE, 0, bits, &count), 0);
	cr_assert(count == 2 && bits[0] == 3);
	count = words - 1;
	cr_assert_eq(ww_get_bitmap(t->w, t->memory, (size_t)PAGES * PAGE, WW_RESET, bits, &count),
		     -EINVAL);
	cr_assert_eq(count, words - 1);
	get(t, 0);
	EXPECT(t, 70, 71);
}

Test(queries, bitmaps_count_from_the_first_page_of_the_range)
{
	ON_ALL_KINDS(bitmap);
}

static void counting(struct watched *t)
{
	size_t pages = 0, runs = 0, bits = 0;

	for (int i = 0; i < 550; i++)
		WRITE(t, 2 * i);
	WRITE(t, 1);
	if (!no_more_than(t, 551))
		return;
	cr_assert_eq(ww_get(t->w, t->memory, (size_t)PAGES * PAGE, 0, NULL, &pages), 0);
	cr_assert_eq(ww_get_ranges(t->w, t->memory, (size_t)PAGES * PAGE, 0, NULL, &runs), 0);
	cr_assert_eq(ww_get_bitmap(t->w, t->memory, (size_t)PAGES * PAGE, 0, NULL, &bits), 0);
	cr_assert(pages == 551 && bits == 551 && runs == 549, "%s: %zu %zu %zu", t->kind->name,
		  pages, bits, runs);
	get(t, 0);
	cr_assert_eq(t->count, 551, "counting resets nothing");
}

Test(queries, count_without_a_list)
{
	ON_ALL_KINDS(counting);
}

static void nothing_written(struct watched *t)
{
	void *sentinel = t;
	size_t count = 1;

	cr_assert_eq(ww_get(t->w, t->memory, PAGE, WW_RESET, &sentinel, &count), 0);
	cr_assert(count == 0 && sentinel == t);
}

Test(queries, without_results_touch_no_list)
{
	ON_ALL_KINDS(nothing_written);
}
