/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bench.h"
#include "raw.h"

#define PIECE ((size_t)64 << 10)

enum layout { ADJACENT, HOLES, MAPPED_BETWEEN, LAYOUTS };

static const char *const layout_names[] = {"adjacent", "unmapped between", "mapped between"};

/* Many small ranges, each as big as the gap behind it, if there are gaps. */
struct many {
	struct bench *b;
	struct raw *raw;
	enum layout layout;
	size_t pieces;
	size_t stride;
	size_t span;
	uint32_t *order;
	char *base[SIDES];
	struct picks picks;
};

static void map_side(struct many *m, enum side side)
{
	m->base[side] = map_memory(m->span, MAP_NORESERVE);
	for (size_t i = 0; m->layout == HOLES && i < m->pieces; i++)
		munmap(m->base[side] + i * m->stride + PIECE, m->stride - PIECE);
}

static size_t watch_lib(void *arg)
{
	struct many *m = arg;

	for (size_t i = 0; i < m->pieces; i++)
		check(ww_watch(m->b->w, m->base[LIB] + m->order[i] * m->stride, PIECE, 0),
		      "ww_watch");
	return m->pieces;
}

static size_t watch_ref(void *arg)
{
	struct many *m = arg;

	for (size_t i = 0; i < m->pieces; i++)
		raw_watch(m->raw, m->base[REF] + m->order[i] * m->stride, PIECE);
	return m->pieces;
}

static size_t unwatch_lib(void *arg)
{
	struct many *m = arg;

	for (size_t i = 0; i < m->pieces; i++)
		check(ww_unwatch(m->b->w, m->base[LIB] + m->order[i] * m->stride, PIECE),
		      "ww_unwatch");
	return m->pieces;
}

static size_t unwatch_ref(void *arg)
{
	struct many *m = arg;

	for (size_t i = 0; i < m->pieces; i++)
		raw_unwatch(m->raw, m->base[REF] + m->order[i] * m->stride, PIECE);
	return m->pieces;
}

static void reorder(void *arg)
{
	struct many *m = arg;

	shuffle(m->b, m->order, m->pieces, m->pieces);
}

static void map_lib(void *arg)
{
	map_side(arg, LIB);
}

static void map_ref(void *arg)
{
	map_side(arg, REF);
}

static void map_watch_lib(void *arg)
{
	struct many *m = arg;

	map_lib(m);
	watch_lib(m);
	reorder(m);
}

static void map_watch_ref(void *arg)
{
	struct many *m = arg;

	map_ref(m);
	watch_ref(m);
	reorder(m);
}

static void unmap_lib(void *arg)
{
	struct many *m = arg;

	unmap_memory(m->base[LIB], m->span);
}

static void unmap_ref(void *arg)
{
	struct many *m = arg;

	unmap_memory(m->base[REF], m->span);
}

static void unwatch_unmap_lib(void *arg)
{
	unwatch_lib(arg);
	unmap_lib(arg);
}

static void unwatch_unmap_ref(void *arg)
{
	unwatch_ref(arg);
	unmap_ref(arg);
}

static void watch_rows(struct many *m)
{
	char name[64];
	struct work work = {
		.name = name, .dirty = -1, .pairs = pairs_for(m->b, 12), .calls = m->pieces,
		.kind = LIMIT_ABSOLUTE_US, .limit = 10, .next = reorder,
		.prepare = {[LIB] = map_lib, [REF] = map_ref},
		.run = {[LIB] = watch_lib, [REF] = watch_ref},
		.finish = {[LIB] = unwatch_unmap_lib, [REF] = unwatch_unmap_ref}, .arg = m,
	};

	snprintf(name, sizeof(name), "one of many watches, %s", layout_names[m->layout]);
	row(m->b, &work);
	snprintf(name, sizeof(name), "one of many unwatches, %s", layout_names[m->layout]);
	work.prepare[LIB] = map_watch_lib;
	work.prepare[REF] = map_watch_ref;
	work.run[LIB] = unwatch_lib;
	work.run[REF] = unwatch_ref;
	work.finish[LIB] = unmap_lib;
	work.finish[REF] = unmap_ref;
	row(m->b, &work);
}

/* picks counts the pages of the pieces only; the gaps are left out. */
static void write_side(struct many *m, enum side side)
{
	size_t per_piece = PIECE / m->b->page;

	for (size_t i = 0; i < m->picks.count; i++) {
		size_t piece = m->picks.pool[i] / per_piece, page = m->picks.pool[i] % per_piece;

		*(volatile char *)(m->base[side] + piece * m->stride + page * m->b->page) = 1;
	}
}

static void write_lib(void *arg)
{
	write_side(arg, LIB);
}

static void write_ref(void *arg)
{
	write_side(arg, REF);
}

static void next(void *arg)
{
	struct many *m = arg;

	picks_next(m->b, &m->picks);
}

static size_t lib_get(struct many *m, unsigned flags)
{
	size_t count = m->b->room;

	check(ww_get(m->b->w, m->base[LIB], m->span, WW_ACROSS | flags, m->b->pages, &count),
	      "ww_get");
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

static size_t ref_get(struct many *m, bool reset)
{
	return raw_get(m->raw, m->layout == MAPPED_BETWEEN ? &raw_mixed : &raw_watched_only,
		       m->base[REF], m->span, reset, m->b->pages, m->b->room);
}

static size_t ref_read(void *arg)
{
	return ref_get(arg, false);
}

static size_t ref_take(void *arg)
{
	return ref_get(arg, true);
}

static void across_row(struct many *m, double percent, bool reset)
{
	char name[64];
	struct work work = {
		.name = name, .dirty = percent, .pairs = pairs_for(m->b, 32), .calls = 1,
		.kind = LIMIT_RATIO, .limit = 1.2, .arg = m,
	};

	snprintf(name, sizeof(name), "across: get%s, %s", reset ? "+reset" : "",
		 layout_names[m->layout]);
	m->picks.count = (size_t)(percent / 100 * (double)(m->pieces * PIECE / m->b->page));
	lib_take(m);
	ref_take(m);
	if (reset) {
		work.next = next;
		work.prepare[LIB] = write_lib;
		work.prepare[REF] = write_ref;
	} else {
		next(m);
		write_lib(m);
		write_ref(m);
	}
	work.run[LIB] = reset ? lib_take : lib_read;
	work.run[REF] = reset ? ref_take : ref_read;
	row(m->b, &work);
}

/* One page of each range, in random order: what finding a range among many costs. */
static size_t lib_read_each(void *arg)
{
	struct many *m = arg;
	size_t found = 0;

	for (size_t i = 0; i < m->pieces; i++) {
		size_t count = 1;

		check(ww_get(m->b->w, m->base[LIB] + m->order[i] * m->stride, m->b->page, 0,
			     m->b->pages, &count), "ww_get");
		found += count;
	}
	return found;
}

static size_t ref_read_each(void *arg)
{
	struct many *m = arg;
	size_t found = 0;

	for (size_t i = 0; i < m->pieces; i++)
		found += raw_get(m->raw, &raw_watched_only,
				 m->base[REF] + m->order[i] * m->stride, m->b->page, false,
				 m->b->pages, 1);
	return found;
}

static void each_row(struct many *m)
{
	char name[64];
	struct work work = {
		.name = name, .dirty = 0, .pairs = pairs_for(m->b, 20), .calls = m->pieces,
		.kind = NO_LIMIT, .next = reorder,
		.run = {[LIB] = lib_read_each, [REF] = ref_read_each}, .arg = m,
	};

	snprintf(name, sizeof(name), "one page of many: get, %s", layout_names[m->layout]);
	lib_take(m);
	ref_take(m);
	row(m->b, &work);
}

static void across_rows(struct many *m)
{
	size_t pages = m->pieces * PIECE / m->b->page;

	picks_init(m->b, &m->picks, pages, 100);
	map_lib(m);
	map_ref(m);
	m->picks.count = pages;
	write_lib(m);
	write_ref(m);
	watch_lib(m);
	watch_ref(m);
	across_row(m, 1, false);
	across_row(m, 10, false);
	across_row(m, 1, true);
	across_row(m, 10, true);
	each_row(m);
	unwatch_unmap_lib(m);
	unwatch_unmap_ref(m);
	picks_free(&m->picks);
}

void rows_many(struct bench *b)
{
	struct many m = {.b = b, .raw = raw_new(), .pieces = b->quick ? 500 : 10000};

	m.order = malloc(m.pieces * sizeof(*m.order));
	if (!m.order)
		die("no memory");
	for (uint32_t i = 0; i < m.pieces; i++)
		m.order[i] = i;
	for (m.layout = 0; m.layout < LAYOUTS; m.layout++) {
		m.stride = m.layout == ADJACENT ? PIECE : 2 * PIECE;
		m.span = m.pieces * m.stride;
		reorder(&m);
		watch_rows(&m);
		across_rows(&m);
	}
	free(m.order);
	raw_free(m.raw);
}
