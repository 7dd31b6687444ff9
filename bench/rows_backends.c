/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "hand.h"

/* A backend by name against a reference of its kind; a limit of 0 is none. */
struct contest {
	const char *label;
	const char *backend;
	uint64_t guarantees;    /* of those in KINDS, which the backend must have */
	const struct hand *hand;
	double first_write;
	double get_reset;
	double cycle;
	double clean_get;
	bool by_pagemap;        /* a clean get is also judged by what mere reading of pagemap costs */
};

#define KINDS (WW_NO_THREAD | WW_NO_SIGNAL_HANDLER)

static const struct contest contests[] = {
	{.label = "pagemap-scan", .backend = "pagemap-scan", .hand = &hand_async,
	 .guarantees = KINDS, .first_write = 1.05},
	{.label = "uffd-thread", .backend = "uffd-thread", .hand = &hand_thread,
	 .guarantees = WW_NO_SIGNAL_HANDLER, .clean_get = 1, .by_pagemap = true},
	{.label = "uffd-sigbus", .backend = "uffd-sigbus", .hand = &hand_sigbus,
	 .guarantees = WW_NO_THREAD, .first_write = 1.1, .get_reset = 1.1, .clean_get = 1,
	 .by_pagemap = true},
	{.label = "mprotect", .backend = "mprotect", .hand = &hand_mprotect,
	 .guarantees = WW_NO_THREAD, .first_write = 1.1, .get_reset = 1.1, .clean_get = 1.1},
#ifdef HAVE_LIBSIGSEGV
	{.label = "mprotect, libsigsegv", .backend = "mprotect", .hand = &hand_sigsegv,
	 .guarantees = WW_NO_THREAD, .first_write = 1, .cycle = 1},
#endif
	{.label = "soft-dirty", .backend = "soft-dirty", .hand = &hand_soft_dirty,
	 .guarantees = KINDS, .clean_get = 1, .by_pagemap = true},
};

struct backend {
	struct bench *b;
	const struct contest *contest;
	struct ww *w;
	char *base[SIDES];
	size_t len;
	struct picks picks;
	int pagemap;
};

static void next(void *arg)
{
	struct backend *f = arg;

	picks_next(f->b, &f->picks);
}

static size_t write_lib(void *arg)
{
	struct backend *f = arg;

	picks_write(&f->picks, f->base[LIB], f->b->page);
	return f->picks.count;
}

static void enter_ref(void *arg)
{
	struct backend *f = arg;

	f->contest->hand->enter();
}

static size_t write_ref(void *arg)
{
	struct backend *f = arg;

	picks_write(&f->picks, f->base[REF], f->b->page);
	return f->picks.count;
}

static void leave_ref(void *arg)
{
	struct backend *f = arg;

	f->contest->hand->leave();
}

static size_t lib_get(struct backend *f, unsigned flags)
{
	size_t count = f->b->room;

	check(ww_get(f->w, f->base[LIB], f->len, flags, f->b->pages, &count), "ww_get");
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

static size_t ref_read(void *arg)
{
	struct backend *f = arg;

	return f->contest->hand->get(false, f->b->pages);
}

static size_t ref_take(void *arg)
{
	struct backend *f = arg;

	return f->contest->hand->get(true, f->b->pages);
}

static void expect(const struct backend *f, size_t found, size_t expected)
{
	if (found != expected)
		die("%s: %zu pages were found, %zu were written", f->contest->label, found,
		    expected);
}

static void prepare_lib(void *arg)
{
	write_lib(arg);
}

static void prepare_ref(void *arg)
{
	enter_ref(arg);
	write_ref(arg);
	leave_ref(arg);
}

static void finish_lib(void *arg)
{
	struct backend *f = arg;

	expect(f, lib_take(f), f->picks.count);
}

static void finish_ref(void *arg)
{
	struct backend *f = arg;

	leave_ref(f);
	expect(f, ref_take(f), f->picks.count);
}

static int by_address(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* Before speed matters: what was written is what is found, once, and again after a reset. */
static void prove(struct backend *f, enum side side)
{
	uint32_t *list = f->picks.pool;

	for (int round = 0; round < 3; round++) {
		f->picks.count = f->len / f->b->page / 10;
		next(f);
		qsort(list, f->picks.count, sizeof(*list), by_address);
		if (side == LIB)
			prepare_lib(f);
		else
			prepare_ref(f);
		expect(f, side == LIB ? lib_read(f) : ref_read(f), f->picks.count);
		expect(f, side == LIB ? lib_take(f) : ref_take(f), f->picks.count);
		for (size_t i = 0; i < f->picks.count; i++)
			if (f->b->pages[i] != f->base[side] + list[i] * f->b->page)
				die("%s: page %zu of those found was not written",
				    f->contest->label, i);
		expect(f, side == LIB ? lib_take(f) : ref_take(f), 0);
	}
}

static void limited_row(struct backend *f, struct work *work, const char *what, double limit)
{
	char name[64];

	snprintf(name, sizeof(name), "%s: %s", f->contest->label, what);
	work->name = name;
	work->kind = limit > 0 ? LIMIT_RATIO : NO_LIMIT;
	work->limit = limit;
	work->arg = f;
	row(f->b, work);
}

static void first_writes(struct backend *f)
{
	struct work work = {
		.dirty = -1, .pairs = pairs_for(f->b, 40),
		.prepare = {[REF] = enter_ref},
		.run = {[LIB] = write_lib, [REF] = write_ref},
		.finish = {[LIB] = finish_lib, [REF] = finish_ref},
	};

	f->picks.count = f->len / f->b->page / 4;
	work.calls = f->picks.count;
	work.next = next;
	limited_row(f, &work, "first write, random", f->contest->first_write);
	qsort(f->picks.pool, f->picks.pool_size, sizeof(*f->picks.pool), by_address);
	work.next = NULL;
	limited_row(f, &work, "first write, in order", f->contest->first_write);
}

static void get_reset(struct backend *f, double percent)
{
	struct work work = {
		.dirty = percent, .pairs = pairs_for(f->b, percent < 5 ? 100 : 30), .calls = 1,
		.next = next, .prepare = {[LIB] = prepare_lib, [REF] = prepare_ref},
		.run = {[LIB] = lib_take, [REF] = ref_take},
	};

	f->picks.count = (size_t)(percent / 100 * (double)(f->len / f->b->page));
	limited_row(f, &work, "get+reset", f->contest->get_reset);
}

static size_t lib_cycle(void *arg)
{
	write_lib(arg);
	return lib_take(arg);
}

static size_t ref_cycle(void *arg)
{
	write_ref(arg);
	return ref_take(arg);
}

static void cycle(struct backend *f, double percent)
{
	struct work work = {
		.dirty = percent, .pairs = pairs_for(f->b, 30), .calls = 1, .next = next,
		.prepare = {[REF] = enter_ref}, .run = {[LIB] = lib_cycle, [REF] = ref_cycle},
		.finish = {[REF] = leave_ref},
	};

	f->picks.count = (size_t)(percent / 100 * (double)(f->len / f->b->page));
	limited_row(f, &work, "write, get+reset", f->contest->cycle);
}

/* Of the library's own range: both sides ask for the same entries. */
static size_t read_pagemap(void *arg)
{
	struct backend *f = arg;

	hand_pagemap_read(f->pagemap, f->base[LIB], f->len);
	return 0;
}

static void clean_get(struct backend *f, const char *what, size_t (*reference)(void *))
{
	struct work work = {
		.dirty = 0, .pairs = pairs_for(f->b, 200), .calls = 1,
		.run = {[LIB] = lib_read, [REF] = reference},
	};

	limited_row(f, &work, what, f->contest->clean_get);
}

static void run_rows(struct backend *f)
{
	static const double percents[] = {0, 1, 10, 50, 100};
	const struct contest *contest = f->contest;

	prove(f, LIB);
	prove(f, REF);
	first_writes(f);
	if (contest->cycle > 0)
		for (int i = 1; i < 5; i++)
			cycle(f, percents[i]);
	if (contest->clean_get <= 0)
		return;
	for (int i = 0; i < 5; i++)
		get_reset(f, percents[i]);
	clean_get(f, "clean get", ref_read);
	/* What was read is not even looked at there. */
	if (contest->by_pagemap)
		clean_get(f, "clean get, pagemap read", read_pagemap);
}

/* NULL, or why the backend cannot be measured here. */
static const char *open_backend(struct backend *f)
{
	struct ww_options options = {.size = sizeof(options), .backend = f->contest->backend};
	struct ww_info info = {.size = sizeof(info)};
	int error = ww_new(&f->w, &options);

	if (error == -ENOTSUP)
		return !ww_probe(&options, &info) && info.refusal_count ?
			info.refusals[0].reason : strerror(ENOTSUP);
	check(error, f->contest->backend);
	check(ww_info(f->w, &info), "ww_info");
	if ((info.guarantees & KINDS) != f->contest->guarantees)
		die("%s: the context is of another kind, %s", f->contest->backend, info.backend);
	return NULL;
}

static void run_contest(struct bench *b, const struct contest *contest)
{
	struct backend f = {.b = b, .contest = contest, .len = (size_t)(b->quick ? 4 : 64) << 20};
	const char *reason = open_backend(&f);

	if (!reason) {
		reason = contest->hand->open();
		if (reason)
			ww_free(f.w);
	}
	if (reason) {
		printf("%s: no rows: %s\n", contest->label, reason);
		return;
	}
	f.pagemap = hand_pagemap_open();
	picks_init(b, &f.picks, f.len / b->page, 100);
	for (int side = 0; side < SIDES; side++) {
		f.base[side] = map_memory(f.len, 0);
		populate(f.base[side], f.len);
	}
	check(ww_watch(f.w, f.base[LIB], f.len, 0), "ww_watch");
	contest->hand->watch(f.base[REF], f.len);
	run_rows(&f);
	contest->hand->unwatch();
	check(ww_unwatch(f.w, f.base[LIB], f.len), "ww_unwatch");
	contest->hand->close();
	ww_free(f.w);
	for (int side = 0; side < SIDES; side++)
		unmap_memory(f.base[side], f.len);
	picks_free(&f.picks);
	close(f.pagemap);
}

/* Each row names its backend: the environment must not choose another one. */
void rows_backends(struct bench *b)
{
	unsetenv("WRITEWATCH_BACKEND");
	for (size_t i = 0; i < sizeof(contests) / sizeof(*contests); i++)
		run_contest(b, &contests[i]);
#ifndef HAVE_LIBSIGSEGV
	printf("mprotect, libsigsegv: no rows: built without libsigsegv\n");
#endif
}
