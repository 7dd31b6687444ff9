/* SPDX-License-Identifier: MIT */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <writewatch/writewatch.h>

/*
 * Every row compares two sides, the library and a reference, in pairs: both sides are prepared and
 * timed once for each pair, right after another, and pairs alternate in which side goes first; two
 * pairs are one sample. Judged is the median of the samples: so a slow phase of the machine,
 * which hits both sides, and whatever the order does, cancel out.
 */
enum side { LIB, REF, SIDES };

enum limit_kind {
	NO_LIMIT,
	LIMIT_RATIO,      /* library / reference */
	LIMIT_EXTRA_NS,   /* library - reference, for each call */
	LIMIT_ABSOLUTE_US /* library alone */
};

struct work {
	const char *name;
	double dirty;        /* share of pages written, in percent; negative: not applicable */
	size_t pairs;        /* even, at most 200 */
	size_t calls;        /* one run() makes as many calls; figures are for one call */
	enum limit_kind kind;
	double limit;
	void (*next)(void *arg);              /* before a pair; may be NULL */
	void (*prepare[SIDES])(void *arg);    /* before a timed run; may be NULL */
	size_t (*run[SIDES])(void *arg);      /* what is timed; the sides must return the same */
	void (*finish[SIDES])(void *arg);     /* after a timed run; may be NULL */
	void *arg;
};

struct bench {
	bool quick;
	bool strict;
	const char *csv_path;
	const char *only;    /* run only rows whose name contains this */
	FILE *csv;
	size_t page;
	struct ww *w;
	void **pages;        /* the array that both sides fill */
	size_t room;
	uint64_t random;
	unsigned rows;
	unsigned over;
	unsigned unclear;
};

/* What a row measured. Times are in nanoseconds and for one call. */
struct figures {
	double median[SIDES];
	double ratio;        /* median over the samples */
	double extra;        /* the same of the differences */
	double low, high;    /* 95 % confidence interval of what is judged */
};

/* A random choice of pages out of a pool. */
struct picks {
	uint32_t *pool;
	size_t pool_size;
	size_t count;
	unsigned char value; /* what is written next */
};

/* harness.c */
void row(struct bench *b, const struct work *work);
uint64_t now_ns(void);
uint64_t next_random(struct bench *b);
void shuffle(struct bench *b, uint32_t *list, size_t size, size_t count);
size_t pairs_for(const struct bench *b, size_t pairs);
void check(int error, const char *what);
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* table.c */
void table_open(struct bench *b);
void table_row(struct bench *b, const struct work *work, const struct figures *f);
void table_fact(struct bench *b, const char *name, double value, const char *unit, double limit);
void table_close(struct bench *b);

/* memory.c */
char *map_memory(size_t len, int flags);
void unmap_memory(char *base, size_t len);
void populate(char *base, size_t len);
void picks_init(struct bench *b, struct picks *picks, size_t pages, double pool_percent);
void picks_next(struct bench *b, struct picks *picks);
void picks_write(const struct picks *picks, char *base, size_t page);
void picks_free(struct picks *picks);

/* rows_*.c */
void rows_large(struct bench *b);
void rows_shapes(struct bench *b);
void rows_fresh(struct bench *b);
void rows_single(struct bench *b);
void rows_many(struct bench *b);
void rows_process(struct bench *b);
void rows_backends(struct bench *b);

#endif
