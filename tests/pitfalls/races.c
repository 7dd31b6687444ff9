/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <writewatch/writewatch.h>

#include "backends.h"
#include "checkers.h"
#include "leaks.h"
#include "pages.h"
#include "random.h"

/*
 * Writes that hit a range at the moment when what is empty in it gets armed. Where there is no page
 * table the kernel protects what a thread wrote meanwhile along with the rest.
 */

#define PAGE ((size_t)4096)
/* As much as one entry of the level above page tables spans: the larger the hole, the longer the
 * moment. */
#define MOST_PAGES ((size_t)262144)
#define STORES 4000
#define ROUNDS 12
/* Where fewer are done, over the same span of delays. */
#define EACH_ROUND(round) int round = 0; round < ROUNDS; round += step

static struct ww *w;
static char *memory;
static bool stored[MOST_PAGES], reported[MOST_PAGES];
static size_t page_count;
static int step;
static size_t first_page;
static unsigned delay_us;
/* Of each page table's worth of pages behind first_page the first is not mapped. */
static bool holes;
static atomic_bool go;

static void begin(void)
{
	unsigned percent;

	backend_begin();
	skip_if(NOT_ATOMIC);
	leaks_begin();
	cr_assert_eq(ww_new(&w, NULL), 0);
	/* Without a zero page nothing is empty that is not armed, which takes as long as all writes. */
	page_count = in_a_hurry() || !has_zero_page() ? MOST_PAGES / 8 : MOST_PAGES;
	percent = backend()->percent;
	/* To ThreadSanitizer each round is a look at every byte of a great many tables. */
	if (percent > 25 && thread_sanitizer)
		percent = 25;
	step = in_a_hurry() ? ROUNDS / 2 : 100 / (int)percent;
	memory = map_reserve(page_count * PAGE, page_count * PAGE);
	cr_assert_eq(mprotect(memory, page_count * PAGE, PROT_READ | PROT_WRITE), 0);
	memset(stored, 0, sizeof(stored));
	memset(reported, 0, sizeof(reported));
	go = false;
	holes = false;
}

static void end(void)
{
	ww_free(w);
	unmap(memory, page_count * PAGE);
	leaks_end_threads();
}

TestSuite(races, .init = begin, .fini = end, .timeout = 300);

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void *store(void *seed)
{
	unsigned state = *(unsigned *)seed;

	while (!go)
		;
	for (uint64_t start = now_us(); now_us() - start < delay_us;)
		;
	for (int i = 0; i < STORES; i++) {
		size_t page = first_page + (size_t)rand_r(&state) % (page_count - first_page);

		if (holes && page % 512 == 0)
			page++;
		stored[page] = true;
		page_write(memory + page * PAGE, (uint64_t)i + 1);
	}
	return NULL;
}

static void collect(unsigned flags)
{
	static void *pages[MOST_PAGES];
	size_t count = page_count;

	cr_assert_eq(ww_get(w, memory, page_count * PAGE, flags, pages, &count), 0);
	for (size_t i = 0; i < count; i++)
		reported[(size_t)((char *)pages[i] - memory) / PAGE] = true;
}

static void expect_all(int round)
{
	size_t lost = 0;

	for (size_t i = first_page; i < page_count; i++)
		lost += stored[i] && !reported[i];
	cr_assert_eq(lost, 0, "round %d: %zu written pages were lost", round, lost);
}

static void map_anew(void)
{
	cr_assert_eq(mmap(memory, page_count * PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
		     memory);
}

static void race(int round, void (*arm)(void))
{
	unsigned seed = (unsigned)round;
	pthread_t thread;

	memset(stored, 0, sizeof(stored));
	memset(reported, 0, sizeof(reported));
	delay_us = (unsigned)round * 200;
	cr_assert_eq(pthread_create(&thread, NULL, store, &seed), 0);
	go = true;
	arm();
	pthread_join(thread, NULL);
	go = false;
	collect(WW_RESET);
	expect_all(round);
	cr_assert_eq(ww_unwatch(w, memory, page_count * PAGE), 0);
	map_anew();
}

static void add_discards(void)
{
	cr_assert_eq(ww_watch(w, memory, page_count * PAGE, discards_flag()), 0);
}

Test(races, asking_for_discards_loses_no_write)
{
	for (EACH_ROUND(round)) {
		cr_assert_eq(ww_watch(w, memory, page_count * PAGE, 0), 0);
		race(round, add_discards);
	}
}

static void query(void)
{
	collect(WW_RESET);
}

/* As written as by stores alone, for which a thread would be woken up page by page. */
static void write_first_pages(void)
{
	if (!(backend()->guarantees & WW_NO_THREAD))
		cr_assert_eq(ww_mark(w, memory, first_page * PAGE), 0);
	memset(memory, 1, first_page * PAGE);
}

Test(races, becoming_dense_loses_no_write)
{
	first_page = page_count / 2 + 64;
	for (EACH_ROUND(round)) {
		cr_assert_eq(ww_watch(w, memory, page_count * PAGE, 0), 0);
		write_first_pages();
		race(round, query);
	}
}

Test(races, becoming_dense_between_holes_loses_no_write)
{
	first_page = page_count / 2 + 512;
	holes = true;
	for (EACH_ROUND(round)) {
		cr_assert_eq(ww_watch(w, memory, page_count * PAGE, 0), 0);
		for (size_t page = first_page; page < page_count; page += 512)
			unmap(memory + page * PAGE, PAGE);
		write_first_pages();
		race(round, query);
	}
}

static void remap_and_discard(void)
{
	cr_assert_eq(ww_discard(w, memory, first_page * PAGE), 0);
}

Test(races, discarding_the_neighbours_loses_no_write)
{
	first_page = page_count / 2;
	for (EACH_ROUND(round)) {
		cr_assert_eq(ww_watch(w, memory, page_count * PAGE, discards_flag()), 0);
		map_anew();
		cr_assert_eq(ww_watch(w, memory, page_count * PAGE, discards_flag()), 0);
		race(round, remap_and_discard);
	}
}
