/* SPDX-License-Identifier: MIT */
#include <sys/mman.h>

#include "bench.h"
#include "raw.h"

/* Below this share of populated pages a range that was watched fresh is never dense. */
#define SPARSE_PERCENT 40

struct large {
	struct bench *b;
	struct raw *raw;
	char *base[SIDES];
	size_t len;
	struct picks picks;
};

static void next(void *arg)
{
	struct large *l = arg;

	picks_next(l->b, &l->picks);
}

static void write_lib(void *arg)
{
	struct large *l = arg;

	picks_write(&l->picks, l->base[LIB], l->b->page);
}

static void write_ref(void *arg)
{
	struct large *l = arg;

	picks_write(&l->picks, l->base[REF], l->b->page);
}

static size_t lib_get(struct large *l, unsigned flags)
{
	size_t count = l->b->room;

	check(ww_get(l->b->w, l->base[LIB], l->len, flags, l->b->pages, &count), "ww_get");
	return count;
}

static size_t lib_read(void *arg)
{
	return lib_get(arg, 0);
}

static size_t lib_take(void *arg)
{
	return lib_get(arg, WW_RESET);
}

static size_t ref_get(struct large *l, bool reset)
{
	return raw_get(l->raw, &raw_watched_only, l->base[REF], l->len, reset, l->b->pages,
		       l->b->room);
}

static size_t ref_read(void *arg)
{
	return ref_get(arg, false);
}

static size_t ref_take(void *arg)
{
	return ref_get(arg, true);
}

static void set_up(struct large *l, struct bench *b, bool populated, double pool_percent)
{
	l->b = b;
	l->raw = raw_new();
	l->len = (size_t)(b->quick ? 16 : 256) << 20;
	picks_init(b, &l->picks, l->len / b->page, pool_percent);
	for (int side = 0; side < SIDES; side++) {
		l->base[side] = map_memory(l->len, 0);
		if (populated)
			populate(l->base[side], l->len);
	}
	check(ww_watch(b->w, l->base[LIB], l->len, 0), "ww_watch");
	raw_watch(l->raw, l->base[REF], l->len);
}

static void tear_down(struct large *l)
{
	check(ww_unwatch(l->b->w, l->base[LIB], l->len), "ww_unwatch");
	raw_unwatch(l->raw, l->base[REF], l->len);
	for (int side = 0; side < SIDES; side++)
		unmap_memory(l->base[side], l->len);
	picks_free(&l->picks);
	raw_free(l->raw);
}

/* Writes @percent of the pages once and lists them again and again. */
static void get_row(struct large *l, const char *name, double percent, double limit)
{
	struct work work = {
		.name = name, .dirty = percent, .pairs = pairs_for(l->b, 100), .calls = 1,
		.kind = LIMIT_RATIO, .limit = limit,
		.run = {[LIB] = lib_read, [REF] = ref_read}, .arg = l,
	};

	l->picks.count = (size_t)(percent / 100 * (double)(l->len / l->b->page));
	lib_take(l);
	ref_take(l);
	next(l);
	write_lib(l);
	write_ref(l);
	row(l->b, &work);
	lib_take(l);
	ref_take(l);
}

/* Writes @percent of the pages before every call, a new choice of them for each pair. */
static void get_reset_row(struct large *l, const char *name, double percent, double limit)
{
	struct work work = {
		.name = name, .dirty = percent,
		.pairs = pairs_for(l->b, percent < 5 ? 100 : percent < 50 ? 60 : 40), .calls = 1,
		.kind = LIMIT_RATIO, .limit = limit, .next = next,
		.prepare = {[LIB] = write_lib, [REF] = write_ref},
		.run = {[LIB] = lib_take, [REF] = ref_take}, .arg = l,
	};

	l->picks.count = (size_t)(percent / 100 * (double)(l->len / l->b->page));
	row(l->b, &work);
}

static void populated(struct bench *b)
{
	static const double percents[] = {0, 1, 10, 50, 100};
	struct large l;

	set_up(&l, b, true, 100);
	for (int i = 0; i < 5; i++)
		get_reset_row(&l, "get+reset, populated before", percents[i], 1.03);
	for (int i = 0; i < 5; i++)
		get_row(&l, "get, populated before", percents[i], 1.03);
	tear_down(&l);
}

/* The same pages are populated in both ranges; the reference is armed everywhere, as it must be. */
static void sparse(struct bench *b)
{
	static const double percents[] = {0, 1, 10, SPARSE_PERCENT};
	struct large l;

	set_up(&l, b, false, SPARSE_PERCENT);
	l.picks.count = l.picks.pool_size;
	write_lib(&l);
	write_ref(&l);
	lib_take(&l);
	ref_take(&l);
	for (int i = 0; i < 4; i++)
		get_reset_row(&l, "get+reset, watched fresh, 40 % populated", percents[i],
			      percents[i] < 10 ? 2.5 : 1.2);
	for (int i = 0; i < 4; i++)
		get_row(&l, "get, watched fresh, 40 % populated", percents[i],
			percents[i] < 10 ? 2.5 : 1.2);
	tear_down(&l);
}

static void dense(struct bench *b)
{
	static const double percents[] = {0, 1, 10, 50, 100};
	struct large l;

	set_up(&l, b, false, 100);
	l.picks.count = l.picks.pool_size;
	for (int i = 0; i < 3; i++) {
		write_lib(&l);
		write_ref(&l);
		lib_take(&l);
		ref_take(&l);
	}
	for (int i = 0; i < 5; i++)
		get_reset_row(&l, "get+reset, watched fresh, dense now", percents[i], 1.03);
	for (int i = 0; i < 5; i++)
		get_row(&l, "get, watched fresh, dense now", percents[i], 1.03);
	tear_down(&l);
}

/* The reference against itself: what the harness reports when nothing differs. */
static size_t ref_take_other(void *arg)
{
	struct large *l = arg;

	return raw_get(l->raw, &raw_watched_only, l->base[LIB], l->len, true, l->b->pages,
		       l->b->room);
}

static void control(struct bench *b)
{
	struct large l;
	struct work work = {
		.name = "control: the reference against itself", .dirty = 10,
		.pairs = pairs_for(b, 60), .calls = 1, .kind = NO_LIMIT, .next = next,
		.prepare = {[LIB] = write_lib, [REF] = write_ref},
		.run = {[LIB] = ref_take_other, [REF] = ref_take}, .arg = &l,
	};

	set_up(&l, b, true, 100);
	check(ww_unwatch(b->w, l.base[LIB], l.len), "ww_unwatch");
	raw_watch(l.raw, l.base[LIB], l.len);
	l.picks.count = l.len / b->page / 10;
	row(b, &work);
	raw_unwatch(l.raw, l.base[LIB], l.len);
	check(ww_watch(b->w, l.base[LIB], l.len, 0), "ww_watch");
	tear_down(&l);
}

void rows_large(struct bench *b)
{
	control(b);
	populated(b);
	sparse(b);
	dense(b);
}
