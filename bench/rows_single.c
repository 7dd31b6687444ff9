/* SPDX-License-Identifier: MIT */
#include "bench.h"
#include "raw.h"

/* Calls for one page each, one after the other over all pages of a small range. */
struct single {
	struct bench *b;
	struct raw *raw;
	char *base[SIDES];
	size_t pages;
	bool dirty;
};

static void set_pages(struct single *s, char *base)
{
	if (s->dirty)
		populate(base, s->pages * s->b->page);
}

static void write_lib(void *arg)
{
	struct single *s = arg;

	set_pages(s, s->base[LIB]);
}

static void write_ref(void *arg)
{
	struct single *s = arg;

	set_pages(s, s->base[REF]);
}

static size_t lib_get_all(struct single *s, unsigned flags)
{
	struct bench *b = s->b;
	size_t found = 0;

	for (size_t i = 0; i < s->pages; i++) {
		size_t count = 1;

		check(ww_get(b->w, s->base[LIB] + i * b->page, b->page, flags, b->pages, &count),
		      "ww_get");
		found += count;
	}
	return found;
}

static size_t lib_read(void *arg)
{
	return lib_get_all(arg, 0);
}

static size_t lib_take(void *arg)
{
	return lib_get_all(arg, WW_RESET);
}

static size_t lib_reset(void *arg)
{
	struct single *s = arg;

	for (size_t i = 0; i < s->pages; i++)
		check(ww_reset(s->b->w, s->base[LIB] + i * s->b->page, s->b->page), "ww_reset");
	return 0;
}

static size_t ref_get_all(struct single *s, bool reset)
{
	struct bench *b = s->b;
	size_t found = 0;

	for (size_t i = 0; i < s->pages; i++)
		found += raw_get(s->raw, &raw_watched_only, s->base[REF] + i * b->page, b->page,
				 reset, b->pages, 1);
	return found;
}

static size_t ref_read(void *arg)
{
	return ref_get_all(arg, false);
}

static size_t ref_take(void *arg)
{
	return ref_get_all(arg, true);
}

static size_t ref_reset(void *arg)
{
	struct single *s = arg;

	for (size_t i = 0; i < s->pages; i++)
		raw_reset(s->raw, s->base[REF] + i * s->b->page, s->b->page);
	return 0;
}

static void single_row(struct single *s, const char *name, size_t (*lib)(void *),
		       size_t (*ref)(void *), bool dirty)
{
	struct work work = {
		.name = name, .dirty = dirty ? 100 : 0, .pairs = pairs_for(s->b, 200),
		.calls = s->pages, .kind = LIMIT_EXTRA_NS, .limit = 60,
		.prepare = {[LIB] = write_lib, [REF] = write_ref},
		.run = {[LIB] = lib, [REF] = ref}, .arg = s,
	};

	s->dirty = dirty;
	check(ww_reset(s->b->w, s->base[LIB], s->pages * s->b->page), "ww_reset");
	raw_reset(s->raw, s->base[REF], s->pages * s->b->page);
	row(s->b, &work);
}

void rows_single(struct bench *b)
{
	struct single s = {.b = b, .raw = raw_new(), .pages = 1024};
	size_t len = s.pages * b->page;

	for (int side = 0; side < SIDES; side++) {
		s.base[side] = map_memory(len, 0);
		populate(s.base[side], len);
	}
	check(ww_watch(b->w, s.base[LIB], len, 0), "ww_watch");
	raw_watch(s.raw, s.base[REF], len);
	for (int dirty = 0; dirty < 2; dirty++) {
		single_row(&s, "one page: get", lib_read, ref_read, dirty);
		single_row(&s, "one page: get+reset", lib_take, ref_take, dirty);
		single_row(&s, "one page: reset", lib_reset, ref_reset, dirty);
	}
	check(ww_unwatch(b->w, s.base[LIB], len), "ww_unwatch");
	raw_unwatch(s.raw, s.base[REF], len);
	for (int side = 0; side < SIDES; side++)
		unmap_memory(s.base[side], len);
	raw_free(s.raw);
}
