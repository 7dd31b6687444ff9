/* SPDX-License-Identifier: MIT */
/*
 * Writers, readers and two threads that get and reset the same memory, all at once, while the
 * process forks, maps and unmaps memory beside it, and handles signals: no store may be lost.
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
#include "backends.h"
#include "leaks.h"
#include "moves.h"
#include "pages.h"
#include "stress.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define ROUND_MS 100
/* A variation takes no longer where next to nothing is done. */
#define MOST_SECONDS 60

/*
 * By the kernel, which copies to the address as a program would; the raw call, as thread checkers
 * would take it for a plain write. Where it has to be announced, a reset may come in between. Not by
 * process_vm_writev(2) and its like, which pin a page and write to it past the page table: a reset
 * in that moment loses the write.
 */
static void write_by_kernel(struct stress *s, uint64_t *to, uint64_t value)
{
	int fd = eventfd(0, EFD_CLOEXEC);

	if (fd < 0)
		abort();
	do {
		if (write(fd, &value, sizeof(value)) != sizeof(value))
			abort();
		if (ww_prepare_write(s->w, to, sizeof(value)) != 0)
			abort();
		if (syscall(SYS_read, fd, to, sizeof(value)) == sizeof(value)) {
			add(&s->kernel_stores, 1);
			close(fd);
			return;
		}
		add(&s->repeated, 1);
	} while (errno == EFAULT && except(NO_KERNEL_WRITES));
	abort();
}

/* Where a get is not atomic, nobody may write meanwhile. */
static void begin_writing(struct stress *s)
{
	if (except(NOT_ATOMIC))
		pthread_rwlock_rdlock(&s->writing);
}

static void end_writing(struct stress *s)
{
	if (except(NOT_ATOMIC))
		pthread_rwlock_unlock(&s->writing);
}

static void stop_writing(struct stress *s)
{
	if (!except(NOT_ATOMIC))
		return;
	pthread_rwlock_wrlock(&s->writing);
	signals_hold();
}

static void let_write(struct stress *s)
{
	if (!except(NOT_ATOMIC))
		return;
	signals_go_on();
	pthread_rwlock_unlock(&s->writing);
}

static void *writer(void *arg)
{
	struct job *job = arg;
	struct stress *s = job->s;
	uint64_t counter = 0;

	while (!told_to(&s->stop_writers)) {
		/* A window that moves, so that pages are written often and others are still new. */
		size_t window = rng_below(&job->rng, PAGES);

		begin_writing(s);
		for (int i = 0; i < 64; i++) {
			size_t page = (window + rng_below(&job->rng, 128)) % PAGES;

			if (is_read_only(page))
				continue;
			counter++;
			if (rng_one_in(&job->rng, 32))
				write_by_kernel(s, word(s, page, job->number), counter);
			else
				page_write(word(s, page, job->number), counter);
		}
		if (s->variation->discarding && rng_one_in(&job->rng, 8))
			madvise(word(s, window, 0), s->page_size, MADV_DONTNEED);
		end_writing(s);
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

	if (is_read_only(page) && !s->variation->discarding && !except(NOT_EXACT))
		add(&s->wrong, 1);
	pthread_mutex_lock(&s->locks[page % LOCKS]);
	for (size_t i = 0; i < WORDS; i++)
		s->copy[page][i] = page_read(word(s, page, i));
	pthread_mutex_unlock(&s->locks[page % LOCKS]);
}

static size_t get_and_save(struct stress *s, size_t first, size_t count, void **list, size_t room)
{
	stop_writing(s);
	signals_inside(true);
	if (ww_get(s->w, s->memory + first * s->page_size, count * s->page_size, WW_RESET, list,
		   &room) != 0)
		abort();
	signals_inside(false);
	let_write(s);
	for (size_t i = 0; i < room; i++)
		save(s, list[i]);
	add(&s->gets, 1);
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

		for (size_t i = 0; i < WORDS; i++)
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

	s->memory = map_between(s, bytes);
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
			page_write(word(s, page, WORDS), 1);
	}
	cr_assert(ww_watch(s->w, s->memory, bytes, v->watch_flags) == 0, "ww_watch");
	s->stop_writers = s->stop_resetters = false;
}

static void unmap_round(struct stress *s)
{
	size_t bytes = PAGES * s->page_size;

	cr_assert(ww_unwatch(s->w, s->memory, bytes) == 0, "ww_unwatch");
	unmap_between(s, bytes);
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

static void rest(void)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += ROUND_MS * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
		;
}

/* Returns the number of stale pages. */
static size_t one_round(struct stress *s, void **list)
{
	struct job writing[WRITERS + READERS + 2], resetting[RESETTERS], *job = writing;
	size_t stale, moved_before;

	map_round(s);
	signals_go_on();
	for (unsigned i = 0; i < WRITERS; i++)
		start(job++, s, i, writer);
	for (unsigned i = 0; i < READERS; i++)
		start(job++, s, i, reader);
	start(job++, s, 0, forker);
	start(job++, s, 0, neighbour);
	for (unsigned i = 0; i < RESETTERS; i++)
		start(&resetting[i], s, i, resetter);
	signals_start(s);
	rest();
	__atomic_store_n(&s->stop_writers, true, __ATOMIC_RELEASE);
	join(writing, (size_t)(job - writing));
	__atomic_store_n(&s->stop_resetters, true, __ATOMIC_RELEASE);
	join(resetting, RESETTERS);
	signals_stop();
	moved_before = pages_moved();
	get_and_save(s, 0, PAGES, list, PAGES);
	stale = count_stale(s);
	if (!moves_explain(get_and_save(s, 0, PAGES, list, PAGES), moved_before) &&
	    !except(NOT_EXACT))
		add(&s->wrong, 1);
	unmap_round(s);
	return stale;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* An equal part of WW_SECONDS for each variation that there is. */
static double seconds_wanted(void)
{
	int variations = 4 - !!except(NO_DISCARDS) - !!except(NO_SHARED);

	return (double)env_number("WW_SECONDS", 60) / variations;
}

static void run(const struct variation *variation)
{
	static struct stress stress;
	struct stress *s = &stress;
	double begin = now(), seconds = 0;
	size_t rounds = 0, stale = 0;
	void **list = calloc(PAGES, sizeof(*list));
	pthread_rwlockattr_t attr;

	if (list == NULL)
		cr_fatal("no memory");
	s->variation = variation;
	s->page_size = page_bytes();
	s->seed = random_seed(variation->name);
	for (size_t i = 0; i < LOCKS; i++)
		pthread_mutex_init(&s->locks[i], NULL);
	/* Or two writers would keep the others out for ever. */
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&s->writing, &attr);
	cr_assert(ww_new(&s->w, NULL) == 0, "ww_new");
	do {
		stale += one_round(s, list);
		rounds++;
		s->signals = signals_handled();
		seconds = now() - begin;
	} while (seconds < seconds_wanted() || (seconds < MOST_SECONDS && !done_enough(s)));
	done_print(s, rounds, stale);
	ww_free(s->w);
	free(list);
	cr_expect(stale == 0, "%zu stale pages", stale);
	cr_expect(s->wrong == 0, "%" PRIu64 " times something else was wrong", s->wrong);
	done_check(s);
}

static void begin(void)
{
	backend_begin();
	leaks_begin();
}

TestSuite(concurrency, .init = begin, .fini = leaks_end_threads);

Test(concurrency, lazy)
{
	static const struct variation v = {.name = "lazy"};

	run(&v);
}

Test(concurrency, discards)
{
	static const struct variation v = {
		.name = "discards", .watch_flags = WW_DISCARDS, .discarding = true};

	skip_if(NO_DISCARDS);
	run(&v);
}

Test(concurrency, memfd)
{
	static const struct variation v = {.name = "memfd", .shared = true};

	skip_if(NO_SHARED);
	run(&v);
}

Test(concurrency, huge)
{
	static const struct variation v = {.name = "huge", .huge = true};

	run(&v);
}
