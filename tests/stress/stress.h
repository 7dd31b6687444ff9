/* SPDX-License-Identifier: MIT */
#ifndef TEST_STRESS_H
#define TEST_STRESS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <writewatch/writewatch.h>

#include "random.h"

#define WRITERS 2
#define READERS 1
#define RESETTERS 2
/* Each writer has a word of its own in every page, and the signal handlers have one. */
#define WORDS (WRITERS + 1)
#define SIGNAL_WORD WRITERS
#define PAGES 4096
#define LOCKS 64
/* On either side of the memory, where others map and unmap. */
#define NEIGHBOURS 16

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
	uint64_t copy[PAGES][WORDS];

	/* On a backend where writers have to be stopped: they hold it while they write. */
	pthread_rwlock_t writing;

	/* Whether the places beside the memory are still ours. */
	bool has_below, has_above;
	void *child_list[PAGES];

	/* What was done; atomic. */
	uint64_t stores, kernel_stores, gets, reports, wrong, forks, neighbours, repeated;
	/* Of all rounds that are over. */
	uint64_t signals;
};

struct job {
	struct stress *s;
	unsigned number;
	struct rng rng;
	pthread_t thread;
};

static inline bool told_to(const bool *flag)
{
	return __atomic_load_n(flag, __ATOMIC_ACQUIRE);
}

static inline void add(uint64_t *sum, uint64_t n)
{
	__atomic_fetch_add(sum, n, __ATOMIC_RELAXED);
}

static inline uint64_t *word(const struct stress *s, size_t page, size_t n)
{
	return (uint64_t *)(s->memory + page * s->page_size) + n;
}

/* One page in eight is only read. It must never be reported. */
static inline bool is_read_only(size_t page)
{
	return page % 8 == 7;
}

/* Not under a sanitizer whose locks are not made for the fork of a process with threads. */
bool can_fork(void);

/* Threads; they run until the writers are stopped. */
void *forker(void *job);
void *neighbour(void *job);

/* The memory between its neighbours; all of it, what others took of the places excepted. */
char *map_between(struct stress *s, size_t bytes);
void unmap_between(struct stress *s, size_t bytes);

/*
 * Timers whose handlers write to the memory, in any thread that was started before. Once stopped, no
 * handler writes any more. They are as fast as they may be for the writers to get on, too.
 */
void signals_start(struct stress *s);
void signals_stop(void);
/* Handlers that begin in between write nothing; returns when none is writing. */
void signals_hold(void);
void signals_go_on(void);
uint64_t signals_handled(void);
/* This thread is in a call of the library, or not; how many signals came to those that were. */
void signals_inside(bool is);
uint64_t signals_handled_inside(void);

/* Whether enough was done to tell something; a failure for each that was not; a line with all of it. */
bool done_enough(const struct stress *s);
void done_check(const struct stress *s);
void done_print(const struct stress *s, size_t rounds, size_t stale);

#endif
