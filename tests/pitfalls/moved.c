/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <writewatch/writewatch.h>

#include "backends.h"
#include "checkers.h"
#include "leaks.h"
#include "moves.h"
#include "pages.h"
#include "random.h"

/*
 * The kernel takes a page out of its page table while it moves it: to make room for a huge page, or
 * to divide one. What a get resets at that moment has to be reported once, and by most kernels is
 * reported once more.
 */

#define PAGE ((size_t)4096)
#define HUGE_PAGE ((size_t)512)
#define HUGE_PAGES ((size_t)8)
#define PAGES (HUGE_PAGES * HUGE_PAGE)
#define ROUNDS 200

static struct ww *w;
static char *memory;
static void *list[PAGES];
static unsigned char times[PAGES];
static struct rng rng;
/* How many huge pages the thread may divide, has divided, and how long the last one took. */
static atomic_size_t allowed, divided;
static uint64_t took_ns;

static void begin(void)
{
	backend_begin();
	leaks_begin();
	memory = map_reserve(PAGES * PAGE, HUGE_PAGE * PAGE);
	cr_assert_eq(mprotect(memory, PAGES * PAGE, PROT_READ | PROT_WRITE), 0);
	cr_assert_eq(ww_new(&w, NULL), 0);
	rng.state = random_seed("moved");
}

static void end(void)
{
	ww_free(w);
	unmap(memory, PAGES * PAGE);
	leaks_end_threads();
}

TestSuite(moved, .init = begin, .fini = end, .timeout = 120);

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Advice for part of a huge page divides it. */
static void *divide(void *arg)
{
	for (size_t i = 0; i < HUGE_PAGES; i++) {
		uint64_t began;

		while (atomic_load(&allowed) <= i)
			sched_yield();
		began = now_ns();
		madvise(memory + (i * HUGE_PAGE + 7) * PAGE, PAGE, MADV_COLD);
		took_ns = now_ns() - began;
		atomic_store(&divided, i + 1);
	}
	return arg;
}

static size_t get_and_count(size_t first, size_t pages)
{
	size_t count = pages;

	cr_assert_eq(ww_get(w, memory + first * PAGE, pages * PAGE, WW_RESET, list, &count), 0);
	for (size_t i = 0; i < count; i++)
		times[(size_t)((char *)list[i] - memory) / PAGE]++;
	return count;
}

/* Some moment after the kernel began to divide a huge page, its pages are reset. */
static void get_while_divided(size_t number)
{
	uint64_t until = now_ns() + rng_below(&rng, took_ns + 1);

	atomic_store(&allowed, number + 1);
	while (now_ns() < until)
		;
	get_and_count(number * HUGE_PAGE, HUGE_PAGE);
	while (atomic_load(&divided) <= number)
		sched_yield();
}

static void map_and_write(void)
{
	madvise(memory, PAGES * PAGE, MADV_DONTNEED);
	madvise(memory, PAGES * PAGE, MADV_HUGEPAGE);
	memset(memory, 1, PAGES * PAGE);
	cr_assert_eq(ww_watch(w, memory, PAGES * PAGE, 0), 0);
	for (size_t i = 0; i < PAGES; i++)
		page_write(memory + i * PAGE, i);
}

/* Returns how many pages were reported more than once. */
static size_t one_round(void)
{
	pthread_t thread;
	size_t again = 0, moved_before;

	memset(times, 0, sizeof(times));
	map_and_write();
	atomic_store(&allowed, 0);
	atomic_store(&divided, 0);
	cr_assert_eq(pthread_create(&thread, NULL, divide, NULL), 0);
	for (size_t i = 0; i < HUGE_PAGES; i++)
		get_while_divided(i);
	pthread_join(thread, NULL);
	moved_before = pages_moved();
	get_and_count(0, PAGES);
	if (!moves_explain(get_and_count(0, PAGES), moved_before))
		cr_assert(except(NOT_EXACT));
	for (size_t i = 0; i < PAGES; i++) {
		cr_assert_neq(times[i], 0, "page %zu is missed", i);
		again += times[i] > 1;
	}
	cr_assert_eq(ww_unwatch(w, memory, PAGES * PAGE), 0);
	return again;
}

Test(moved, what_is_reset_meanwhile_is_reported)
{
	const size_t most = ROUNDS * backend()->percent / 100;
	const size_t rounds = in_a_hurry() || thread_sanitizer ? most / 8 : most;
	size_t before = pages_moved(), again = 0;

	for (size_t i = 0; i < rounds; i++)
		again += one_round();
	if (again != 0)
		fprintf(stderr, "# %s: %zu of %zu pages are reported once more\n", backend()->name,
			again, rounds * PAGES);
	cr_assert(moves_explain(again, before) || except(NOT_EXACT), "%zu pages", again);
}
