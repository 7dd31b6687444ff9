/* SPDX-License-Identifier: MIT */
/*
 * Writers, readers and two threads that get and reset the same memory, all at once: no store may
 * be lost.
 *
 * Whoever gets a page reported copies it afterwards, so the copies lag behind the memory, but not
 * for good: once the writers have stopped and one last get is answered, every page must be equal
 * to its copy. A page that is not is stale: some store to it was neither in the copy made for an
 * earlier report nor followed by another report.
 *
 * The two copies must not overtake each other. Thread A may be told of a page, read it, and be
 * held up; B is told of a later store, reads and saves that; then A saves what it read before, and
 * the copy is old although nothing was lost. Therefore reading and saving happen under a lock for
 * the page: the one who takes it later reads later, and never puts back something older.
 *
 * One page in eight is only read. It must never be reported.
 */
#include "leaks.h"
#include "pages.h"
#include "random.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
#include <writewatch/writewatch.h>

#define WRITERS 2
#define READERS 1
#define RESETTERS 2
#define PAGES 4096
#define LOCKS 64
#define ROUND_MS 100

struct variation {
	const char *name;
	unsigned watch_flags;
	bool shared, huge, discarding;
};

struct stress {
	const struct variation *variation;
	struct ww *w;
	char *memory;
	size_t page_size;
	int fd;
	uint64_t seed;
	bool stop_writers, stop_resetters; /* atomic */
	pthread_mutex_t locks[LOCKS];
	uint64_t copy[PAGES][WRITERS];
	uint64_t stores, reports, wrong; /* atomic */
};

struct job {
	struct stress *s;
	unsigned number;
	struct rng rng;
	pthread_t thread;
};

static bool told_to(const bool *flag)
{
	return __atomic_load_n(flag, __ATOMIC_ACQUIRE);
}

static void add(uint64_t *sum, uint64_t n)
{
	__atomic_fetch_add(sum, n, __ATOMIC_RELAXED);
}

/* Word @n of a page; each writer has a word of its own. */
static uint64_t *word(const struct stress *s, size_t page, size_t n)
{
	return (uint64_t *)(s->memory + page * s->page_size) + n;
}

static bool is_read_only(size_t page)
{
	return page % 8 == 7;
}

/* By the kernel; the raw call, as thread checkers would take it for a plain write. */
static void write_by_kernel(uint64_t *to, uint64_t value)
{
	struct iovec from = {&value, sizeof(value)}, target = {to, sizeof(value)};

	if (syscall(SYS_process_vm_writev, getpid(), &from, 1L, &target, 1L, 0L) != sizeof(value))
		abort();
}

static void *writer(void *arg)
{
	struct job *job = arg;
	struct stress *s = job->s;
	uint64_t counter = 0;

	while (!told_to(&s->stop_writers)) {
		/* A window that moves, so that pages are written often and others are still new. */
		size_t window = rng_below(&job->rng, PAGES);

		for (int i = 0; i < 64; i++) {
			size_t page = (window + rng_below(&job->rng, 128)) % PAGES;

			if (is_read_only(page))
				continue;
			counter++;
			if (rng_one_in(&job->rng, 32))
				write_by_kernel(word(s, page, job->number), counter);
			else
				page_write(word(s, page, job->number), counter);
		}
		if (s->variation->discarding && rng_one_in(&job->rng, 8))
			madvise(word(s, window, 0), s->page_size, MADV_DONTNEED);
	}
	add(&s->stores, counter);
	return NULL;
}

static void *reader(void *arg)
{
	struct job *job = arg;
	struct stress *s = job->s;
	uint64_t sum = 0;

	while (!told_to(&s->stop_writers)) {
		for (int i = 0; i < 64; i++)
			sum += page_read(word(s, rng_below(&job->rng, PAGES), 0));
		sched_yield();
	}
	return sum == 1 ? arg : NULL;
}

static void save(struct stress *s, void *address)
{
	size_t page = (size_t)((char *)address - s->memory) / s->page_size;

	if (is_read_only(page) && !s->variation->discarding)
		add(&s->wrong, 1);
	pthread_mutex_lock(&s->locks[page % LOCKS]);
	for (size_t i = 0; i < WRITERS; i++)
		s->copy[page][i] = page_read(word(s, page, i));
	pthread_mutex_unlock(&s->locks[page % LOCKS]);
}

static size_t get_and_save(struct stress *s, size_t first, size_t count, void **list, size_t room)
{
	if (ww_get(s->w, s->memory + first * s->page_size, count * s->page_size, WW_RESET, list,
		   &room) != 0)
		abort();
	for (size_t i = 0; i < room; i++)
		save(s, list[i]);
	add(&s->reports, room);
	return room;
}

static void *resetter(void *arg)
{
	struct job *job = arg;
	struct stress *s = job->s;
	void **list = calloc(PAGES, sizeof(*list));

	if (list == NULL)
		abort();
	while (!told_to(&s->stop_resetters)) {
		size_t first = 0, count = PAGES, room = PAGES;

		if (rng_one_in(&job->rng, 2)) {
			first = rng_below(&job->rng, PAGES);
			count = 1 + rng_below(&job->rng, PAGES - first);
		}
		if (rng_one_in(&job->rng, 4))
			room = 1 + rng_below(&job->rng, 8);
		get_and_save(s, first, count, list, room);
	}
	free(list);
	return NULL;
}

static size_t count_stale(const struct stress *s)
{
	size_t stale = 0;

	for (size_t page = 0; page < PAGES; page++) {
		bool equal = true;

		for (size_t i = 0; i < WRITERS; i++)
			equal &= s->copy[page][i] == page_read(word(s, page, i));
		if (equal)
			continue;
		if (stale++ < 5)
			fprintf(stderr, "# stale: page %zu\n", page);
	}
	return stale;
}

static void map_round(struct stress *s)
{
	const struct variation *v = s->variation;
	size_t bytes = PAGES * s->page_size;

	s->memory = map_reserve(bytes, HUGE_BYTES);
	if (v->shared) {
		s->fd = memfd_of(bytes);
		map_fd(s->memory, bytes, MAP_SHARED, s->fd, 0);
	} else if (mprotect(s->memory, bytes, PROT_READ | PROT_WRITE) != 0) {
		cr_fatal("mprotect: %s", strerror(errno));
	}
	memset(s->copy, 0, sizeof(s->copy));
	if (v->huge) {
		madvise(s->memory, bytes, MADV_HUGEPAGE);
		for (size_t page = 0; page < PAGES; page++)
			page_write(word(s, page, WRITERS), 1);
	}
	cr_assert(ww_watch(s->w, s->memory, bytes, v->watch_flags) == 0, "ww_watch");
	s->stop_writers = s->stop_resetters = false;
}

static void unmap_round(struct stress *s)
{
	size_t bytes = PAGES * s->page_size;

	cr_assert(ww_unwatch(s->w, s->memory, bytes) == 0, "ww_unwatch");
	unmap(s->memory, bytes);
	if (s->variation->shared)
		close(s->fd);
}

static void start(struct job *job, struct stress *s, unsigned number, void *(*run)(void *))
{
	job->s = s;
	job->number = number;
	job->rng.state = s->seed++;
	if (pthread_create(&job->thread, NULL, run, job) != 0)
		cr_fatal("pthread_create");
}

static void join(struct job *jobs, size_t count)
{
	for (size_t i = 0; i < count; i++)
		pthread_join(jobs[i].thread, NULL);
}

/* Returns the number of stale pages. */
static size_t one_round(struct stress *s, void **list)
{
	struct job writing[WRITERS + READERS], resetting[RESETTERS];
	const struct timespec length = {0, ROUND_MS * 1000000L};
	size_t stale;

	map_round(s);
	for (unsigned i = 0; i < WRITERS; i++)
		start(&writing[i], s, i, writer);
	for (unsigned i = 0; i < READERS; i++)
		start(&writing[WRITERS + i], s, i, reader);
	for (unsigned i = 0; i < RESETTERS; i++)
		start(&resetting[i], s, i, resetter);
	nanosleep(&length, NULL);
	__atomic_store_n(&s->stop_writers, true, __ATOMIC_RELEASE);
	join(writing, WRITERS + READERS);
	__atomic_store_n(&s->stop_resetters, true, __ATOMIC_RELEASE);
	join(resetting, RESETTERS);
	get_and_save(s, 0, PAGES, list, PAGES);
	stale = count_stale(s);
	if (get_and_save(s, 0, PAGES, list, PAGES) != 0)
		add(&s->wrong, 1);
	unmap_round(s);
	return stale;
}

/* A quarter of WW_SECONDS, as there are four variations. */
static void run(const struct variation *variation)
{
	static struct stress stress;
	struct stress *s = &stress;
	size_t rounds = env_number("WW_SECONDS", 30) * 1000 / ROUND_MS / 4, stale = 0;
	void **list = calloc(PAGES, sizeof(*list));

	if (list == NULL)
		cr_fatal("no memory");
	s->variation = variation;
	s->page_size = page_bytes();
	s->seed = random_seed(variation->name);
	for (size_t i = 0; i < LOCKS; i++)
		pthread_mutex_init(&s->locks[i], NULL);
	cr_assert(ww_new(&s->w, NULL) == 0, "ww_new");
	for (size_t i = 0; i < rounds || i == 0; i++)
		stale += one_round(s, list);
	ww_free(s->w);
	free(list);
	fprintf(stderr, "# %s: %zu rounds, %" PRIu64 " stores, %" PRIu64 " pages reported, "
		"%zu stale, %" PRIu64 " wrong\n",
		variation->name, rounds, s->stores, s->reports, stale, s->wrong);
	cr_expect(stale == 0, "%zu stale pages", stale);
	cr_expect(s->wrong == 0, "%" PRIu64 " pages reported that nobody wrote", s->wrong);
}

TestSuite(concurrency, .init = leaks_begin, .fini = leaks_end_threads);

Test(concurrency, lazy)
{
	static const struct variation v = {.name = "lazy"};

	run(&v);
}

Test(concurrency, discards)
{
	static const struct variation v = {
		.name = "discards", .watch_flags = WW_DISCARDS, .discarding = true};

	run(&v);
}

Test(concurrency, memfd)
{
	static const struct variation v = {.name = "memfd", .shared = true};

	run(&v);
}

Test(concurrency, huge)
{
	static const struct variation v = {.name = "huge", .huge = true};

	run(&v);
}
