/* SPDX-License-Identifier: MIT */
#include "helpers.h"

#include <stdbool.h>
#include <string.h>

#include "support/random.h"

/* Random calls on one allocation, each compared with what a few arrays say it must do. */

WINAPI_SUITE(winapi_model);

enum { PAGES = 48, BASE_OPS = 20000 };

struct model {
	struct rng rng;
	BYTE *base;
	DWORD protect[PAGES]; /* 0: not committed */
	BYTE content[PAGES];
	bool written[PAGES];
};

struct run {
	size_t first, count;
	BYTE *addr;
	SIZE_T size;
};

/* A range that begins and ends anywhere in the pages that it touches. */
static struct run random_run(struct model *m)
{
	struct run run;
	size_t front, back;

	run.first = rng_below(&m->rng, PAGES);
	run.count = 1 + rng_below(&m->rng, rng_one_in(&m->rng, 4) ? PAGES - run.first : 1);
	front = rng_one_in(&m->rng, 2) ? 0 : rng_below(&m->rng, PAGE / 2);
	back = rng_one_in(&m->rng, 2) ? 0 : rng_below(&m->rng, PAGE / 2);
	run.addr = m->base + run.first * PAGE + front;
	run.size = run.count * PAGE - front - back;
	return run;
}

static DWORD random_protect(struct model *m)
{
	static const DWORD some[] = {PAGE_READWRITE, PAGE_READWRITE, PAGE_READONLY,
				     PAGE_NOACCESS,  PAGE_EXECUTE,   PAGE_READWRITE | PAGE_GUARD};

	return some[rng_below(&m->rng, sizeof(some) / sizeof(*some))];
}

static void do_commit(struct model *m)
{
	const struct run run = random_run(m);
	const DWORD protect = random_protect(m);

	SUCCEEDS(VirtualAlloc(run.addr, run.size, MEM_COMMIT, protect) ==
		 m->base + run.first * PAGE);
	for (size_t i = run.first; i < run.first + run.count; i++)
		m->protect[i] = protect;
}

static void do_decommit(struct model *m)
{
	const struct run run = random_run(m);

	SUCCEEDS(VirtualFree(run.addr, run.size, MEM_DECOMMIT));
	for (size_t i = run.first; i < run.first + run.count; i++) {
		m->protect[i] = 0;
		m->content[i] = 0;
		m->written[i] = false;
	}
}

static void do_protect(struct model *m)
{
	const struct run run = random_run(m);
	const DWORD protect = random_protect(m);
	bool committed = true;
	DWORD old = POISON;

	for (size_t i = run.first; i < run.first + run.count; i++)
		committed = committed && m->protect[i] != 0;
	if (!committed) {
		FAILS_WITH(ERROR_INVALID_ADDRESS,
			   VirtualProtect(run.addr, run.size, protect, &old));
		cr_assert(eq(u32, old, POISON));
		return;
	}
	SUCCEEDS(VirtualProtect(run.addr, run.size, protect, &old));
	cr_assert(eq(u32, old, m->protect[run.first]));
	for (size_t i = run.first; i < run.first + run.count; i++)
		m->protect[i] = protect;
}

static void do_touch(struct model *m)
{
	const size_t i = rng_below(&m->rng, PAGES);
	volatile BYTE *p = m->base + i * PAGE;
	const bool writable = m->protect[i] == PAGE_READWRITE;

	if (!writable && m->protect[i] != PAGE_READONLY && m->protect[i] != PAGE_EXECUTE)
		return;
	cr_assert(eq(u8, *p, m->content[i]));
	if (writable && !rng_one_in(&m->rng, 4)) {
		*p = m->content[i] = (BYTE)rng_next(&m->rng);
		m->written[i] = true;
	}
}

static void do_get(struct model *m)
{
	const struct run run = random_run(m);
	const size_t room = 1 + rng_below(&m->rng, rng_one_in(&m->rng, 2) ? PAGES : 4);
	const bool reset = rng_one_in(&m->rng, 2);
	PVOID addrs[PAGES];
	ULONG_PTR count = room;
	DWORD granularity;
	size_t n = 0;

	SUCCEEDS(GetWriteWatch(reset ? WRITE_WATCH_FLAG_RESET : 0, run.addr, run.size, addrs,
			       &count, &granularity) == 0);
	for (size_t i = run.first; i < run.first + run.count && n < room; i++) {
		if (!m->written[i])
			continue;
		cr_assert(lt(sz, n, count), "page %zu is missed", i);
		cr_assert(eq(ptr, addrs[n], m->base + i * PAGE));
		m->written[i] = !reset;
		n++;
	}
	cr_assert(eq(sz, n, count));
}

static void do_reset(struct model *m)
{
	const struct run run = random_run(m);

	EXPECT_RESET(run.addr, run.size);
	memset(m->written + run.first, 0, run.count * sizeof(*m->written));
}

static void do_query(struct model *m)
{
	const size_t i = rng_below(&m->rng, PAGES);
	size_t end = i;

	while (end < PAGES && m->protect[end] == m->protect[i])
		end++;
	EXPECT_QUERY(m->base + i * PAGE + rng_below(&m->rng, PAGE), (end - i) * PAGE,
		     m->protect[i] ? MEM_COMMIT : MEM_RESERVE, m->protect[i]);
}

Test(winapi_model, random_calls, .timeout = 120)
{
	static void (*const ops[])(struct model *) = {do_commit, do_commit, do_decommit, do_protect,
						      do_touch,	 do_touch,  do_touch,	 do_touch,
						      do_get,	 do_get,    do_reset,	 do_query};
	struct model m = {.rng = {.state = random_seed("winapi_model")}};
	const size_t n = env_number("WW_OPS", BASE_OPS);

	m.base = VirtualAlloc(NULL, PAGES * PAGE, MEM_RESERVE | MEM_WRITE_WATCH, PAGE_NOACCESS);
	cr_assert(ne(ptr, m.base, NULL));
	for (size_t i = 0; i < n; i++)
		ops[rng_below(&m.rng, sizeof(ops) / sizeof(*ops))](&m);
	release(m.base);
}
