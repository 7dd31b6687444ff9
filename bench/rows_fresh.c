/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bench.h"
#include "raw.h"

/* Memory that is mapped anew for every run. */
struct fresh {
	struct bench *b;
	struct raw *raw;
	char *base;
	size_t len;
	int map_flags;
	struct picks picks;
	size_t tables_before;
	size_t tables_most;
};

static size_t page_table_bytes(void)
{
	char line[128];
	size_t kib = 0;
	FILE *f = fopen("/proc/self/status", "re");

	if (!f)
		die("/proc/self/status: cannot be read");
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "VmPTE: %zu", &kib) == 1)
			break;
	fclose(f);
	return kib << 10;
}

static void map(void *arg)
{
	struct fresh *f = arg;

	f->base = map_memory(f->len, f->map_flags);
}

static void map_watched(void *arg)
{
	struct fresh *f = arg;

	map(f);
	check(ww_watch(f->b->w, f->base, f->len, 0), "ww_watch");
}

static void unmap(void *arg)
{
	struct fresh *f = arg;

	unmap_memory(f->base, f->len);
}

static void unmap_watched(void *arg)
{
	struct fresh *f = arg;

	check(ww_unwatch(f->b->w, f->base, f->len), "ww_unwatch");
	unmap(f);
}

static size_t touch(void *arg)
{
	struct fresh *f = arg;

	picks_write(&f->picks, f->base, f->b->page);
	return f->picks.count;
}

static void first_writes(struct bench *b)
{
	struct fresh f = {.b = b, .len = (size_t)(b->quick ? 2 : 32) << 20};
	struct work work = {
		.dirty = -1, .pairs = pairs_for(b, 60), .calls = f.len / b->page,
		.kind = LIMIT_RATIO, .limit = 1.05, .prepare = {[LIB] = map_watched, [REF] = map},
		.run = {[LIB] = touch, [REF] = touch},
		.finish = {[LIB] = unmap_watched, [REF] = unmap}, .arg = &f,
	};

	picks_init(b, &f.picks, work.calls, 100);
	f.picks.count = work.calls;
	work.name = "first write to an empty page, random";
	row(b, &work);
	for (uint32_t i = 0; i < work.calls; i++)
		f.picks.pool[i] = i;
	work.name = "first write to an empty page, in order";
	row(b, &work);
	picks_free(&f.picks);
}

static void map_and_note(void *arg)
{
	struct fresh *f = arg;

	map(f);
	f->tables_before = page_table_bytes();
}

static size_t lib_watch_get(void *arg)
{
	struct fresh *f = arg;
	size_t count = f->b->room;

	check(ww_watch(f->b->w, f->base, f->len, 0), "ww_watch");
	check(ww_get(f->b->w, f->base, f->len, 0, f->b->pages, &count), "ww_get");
	return count;
}

static size_t lib_watch_get_reset(void *arg)
{
	struct fresh *f = arg;
	size_t count = f->b->room;

	check(ww_watch(f->b->w, f->base, f->len, 0), "ww_watch");
	check(ww_get(f->b->w, f->base, f->len, WW_RESET, f->b->pages, &count), "ww_get");
	return count;
}

static size_t ref_watch_get(void *arg)
{
	struct fresh *f = arg;

	raw_watch(f->raw, f->base, f->len);
	return raw_get(f->raw, &raw_watched_only, f->base, f->len, false, f->b->pages,
		       f->b->room);
}

static void note_and_unmap(void *arg)
{
	struct fresh *f = arg;
	size_t tables = page_table_bytes();

	if (tables > f->tables_before && tables - f->tables_before > f->tables_most)
		f->tables_most = tables - f->tables_before;
	unmap_watched(f);
}

static void ref_unmap(void *arg)
{
	struct fresh *f = arg;

	raw_unwatch(f->raw, f->base, f->len);
	unmap(f);
}

/* The reference arms everything, as whoever wants to use the fast path only has to. */
static void huge_watch(struct bench *b)
{
	struct fresh f = {.b = b, .len = (size_t)(b->quick ? 1 : 16) << 30,
			  .map_flags = MAP_NORESERVE};
	struct work work = {
		.name = "watch of 16 GiB, empty, and first get", .dirty = -1,
		.pairs = pairs_for(b, 12), .calls = 1, .kind = LIMIT_ABSOLUTE_US, .limit = 200,
		.prepare = {[LIB] = map_and_note, [REF] = map},
		.run = {[LIB] = lib_watch_get, [REF] = ref_watch_get},
		.finish = {[LIB] = note_and_unmap, [REF] = ref_unmap}, .arg = &f,
	};

	if (b->only && !strstr(work.name, b->only))
		return;
	f.raw = raw_new();
	row(b, &work);
	work.name = "watch of 16 GiB, empty, and first get+reset";
	work.run[LIB] = lib_watch_get_reset;
	row(b, &work);
	table_fact(b, "page tables after watch of 16 GiB and get", (double)f.tables_most / 1024,
		   "KiB", 0);
	raw_free(f.raw);
}

void rows_fresh(struct bench *b)
{
	first_writes(b);
	huge_watch(b);
}
