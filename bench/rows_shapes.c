/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "bench.h"

/* The reference is ww_get() itself, on a range of its own. */
struct shapes {
	struct bench *b;
	char *base[SIDES];
	size_t len;
	struct picks picks;
	struct ww_range *ranges;
	uint64_t *bits;
	size_t words;
	unsigned flags;
	size_t runs;
};

static void next(void *arg)
{
	struct shapes *s = arg;

	picks_next(s->b, &s->picks);
}

static void write_lib(void *arg)
{
	struct shapes *s = arg;

	picks_write(&s->picks, s->base[LIB], s->b->page);
}

static void write_ref(void *arg)
{
	struct shapes *s = arg;

	picks_write(&s->picks, s->base[REF], s->b->page);
}

static size_t get_pages(void *arg)
{
	struct shapes *s = arg;
	size_t count = s->b->room;

	check(ww_get(s->b->w, s->base[REF], s->len, s->flags, s->b->pages, &count), "ww_get");
	return count;
}

/* The pages of the runs are added up by check_ranges(), which is not timed. */
static size_t get_ranges(void *arg)
{
	struct shapes *s = arg;

	s->runs = s->b->room;
	check(ww_get_ranges(s->b->w, s->base[LIB], s->len, s->flags, s->ranges, &s->runs),
	      "ww_get_ranges");
	return s->picks.count;
}

static void check_ranges(void *arg)
{
	struct shapes *s = arg;
	size_t bytes = 0;

	for (size_t i = 0; i < s->runs; i++)
		bytes += (size_t)((char *)s->ranges[i].end - (char *)s->ranges[i].start);
	if (bytes != s->picks.count * s->b->page)
		die("ww_get_ranges found %zu pages instead of %zu", bytes / s->b->page,
		    s->picks.count);
}

static size_t get_bitmap(void *arg)
{
	struct shapes *s = arg;
	size_t count = s->words;

	check(ww_get_bitmap(s->b->w, s->base[LIB], s->len, s->flags, s->bits, &count),
	      "ww_get_bitmap");
	return count;
}

static void shape_row(struct shapes *s, const char *name, size_t (*run)(void *), unsigned flags,
		      double percent)
{
	bool reset = flags & WW_RESET;
	struct work work = {
		.name = name, .dirty = percent, .pairs = pairs_for(s->b, percent < 50 ? 60 : 32),
		.calls = 1, .kind = LIMIT_RATIO, .limit = 1, .next = reset ? next : NULL,
		.prepare = {[LIB] = reset ? write_lib : NULL, [REF] = reset ? write_ref : NULL},
		.run = {[LIB] = run, [REF] = get_pages},
		.finish = {[LIB] = run == get_ranges ? check_ranges : NULL}, .arg = s,
	};

	s->flags = flags;
	s->picks.count = (size_t)(percent / 100 * (double)(s->len / s->b->page));
	check(ww_reset(s->b->w, s->base[LIB], s->len), "ww_reset");
	check(ww_reset(s->b->w, s->base[REF], s->len), "ww_reset");
	next(s);
	if (!reset) {
		write_lib(s);
		write_ref(s);
	}
	row(s->b, &work);
}

void rows_shapes(struct bench *b)
{
	static const double percents[] = {0, 1, 10, 50, 100};
	struct shapes s = {.b = b, .len = (size_t)(b->quick ? 16 : 256) << 20};

	s.words = s.len / b->page / 64;
	s.ranges = malloc(b->room * sizeof(*s.ranges));
	s.bits = malloc(s.words * sizeof(*s.bits));
	if (!s.ranges || !s.bits)
		die("no memory");
	memset(s.ranges, 0xff, b->room * sizeof(*s.ranges));
	memset(s.bits, 0xff, s.words * sizeof(*s.bits));
	picks_init(b, &s.picks, s.len / b->page, 100);
	for (int side = 0; side < SIDES; side++) {
		s.base[side] = map_memory(s.len, 0);
		populate(s.base[side], s.len);
		check(ww_watch(b->w, s.base[side], s.len, 0), "ww_watch");
	}
	for (int i = 0; i < 5; i++)
		shape_row(&s, "ranges against pages, get", get_ranges, 0, percents[i]);
	for (int i = 0; i < 5; i++)
		shape_row(&s, "bitmap against pages, get", get_bitmap, 0, percents[i]);
	for (int i = 0; i < 5; i += 2)
		shape_row(&s, "ranges against pages, get+reset", get_ranges, WW_RESET,
			  percents[i]);
	for (int i = 0; i < 5; i += 2)
		shape_row(&s, "bitmap against pages, get+reset", get_bitmap, WW_RESET,
			  percents[i]);
	for (int side = 0; side < SIDES; side++) {
		check(ww_unwatch(b->w, s.base[side], s.len), "ww_unwatch");
		unmap_memory(s.base[side], s.len);
	}
	picks_free(&s.picks);
	free(s.ranges);
	free(s.bits);
}
