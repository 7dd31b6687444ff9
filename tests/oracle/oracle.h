/* SPDX-License-Identifier: MIT */
#ifndef TEST_ORACLE_H
#define TEST_ORACLE_H

/*
 * A model of every page against the library: random operations change memory, and after each the
 * model knows which pages a query has to report, must not report, or is free to report.
 */

#include <liburing.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <writewatch/writewatch.h>

#include "random.h"

enum backing { PRIVATE_MEMORY, SHARED_MEMFD, PRIVATE_FILE };

struct mode {
	const char *name;
	enum backing backing;
	unsigned watch_flags;
	bool populated;    /* hold content before the watch, on huge pages where they fit */
	size_t operations; /* unless WW_OPS says otherwise */
	size_t region_count;
	size_t min_pages, max_pages, align_pages;
	size_t sparse_pages; /* one region more, of this size, if not 0 */
};

enum page_state {
	CLEAN,
	WRITTEN,
	UNKNOWN /* the contract leaves open whether it is reported, until it is reset or written */
};

enum page_mapping {
	MAPPED,
	HOLE, /* unmapped, nothing in its place */
	STALE /* watched, and mapped anew: queries fail until it is watched again */
};

struct page {
	uint64_t word; /* what its first word holds */
	uint8_t state;
	uint8_t mapping;
	uint8_t prot;
	bool watched;
};

struct range {
	size_t first, count;
};

struct log_entry {
	size_t number;
	const char *what;
	struct range range;
	unsigned long detail;
	int result;
};

#define MAX_REGIONS 8
#define LOG_ENTRIES 40
#define ATTIC_PAGES 16
#define SOURCE_PAGES 4

struct oracle {
	const struct mode *mode;
	struct ww *w;
	struct rng rng;
	uint64_t seed;
	size_t page_size;

	/* Regions with gaps between them, and behind them a place to move pages to and from. */
	char *base;
	char *attic;
	size_t page_count;
	struct page *pages;
	size_t region_count;
	struct range regions[MAX_REGIONS];
	int backing_fd;

	int source_fd;
	int pipe_fds[2];
	char *source;
	struct io_uring ring;
	bool has_ring;

	/* Room for answers, one element more than any answer has. */
	void **list;
	struct ww_range *runs;
	uint64_t *bits;
	bool *hit;

	size_t number;
	const char *what;
	size_t log_next;
	struct log_entry log[LOG_ENTRIES];
	size_t counts[32];
	size_t moved_before; /* pages_moved() at the beginning */
	size_t repeated;     /* pages reported once more for that reason */
	size_t traced; /* WW_PAGE: operations on this page are printed */
};

/* setup.c */
void oracle_open(struct oracle *o, const struct mode *mode);
void oracle_close(struct oracle *o);

/* model.c */
void oracle_log(struct oracle *o, struct range range, unsigned long detail, int result);
void oracle_fail(struct oracle *o, const char *format, ...)
	__attribute__((format(printf, 2, 3), noreturn));
char *page_at(const struct oracle *o, size_t page);
size_t bytes_of(const struct oracle *o, size_t pages);
size_t random_page(struct oracle *o);
struct range random_range(struct oracle *o);
struct range random_span(struct oracle *o);
bool any_mapping(const struct oracle *o, struct range r, enum page_mapping mapping);
bool any_watched(const struct oracle *o, struct range r);
bool all_watched(const struct oracle *o, struct range r);
bool all_prot(const struct oracle *o, struct range r, int prot);
bool is_stale(const struct oracle *o, struct range r);
/* What a failed call may have reset counts as written; what was written still does. */
void doubt(struct oracle *o, struct range r);
void page_stored(struct oracle *o, size_t page);
void page_resync(struct oracle *o, size_t page);
/* Maps fresh memory of the mode's kind at pages of the model, and says so to the model. */
void map_fresh(struct oracle *o, struct range r);

/* ops_memory.c */
void op_store(struct oracle *o);
void op_store_comb(struct oracle *o);
void op_store_same(struct oracle *o);
void op_read(struct oracle *o);
void op_write_file(struct oracle *o);
void op_write_pipe(struct oracle *o);
void op_write_process(struct oracle *o);
void op_write_ring(struct oracle *o);
void op_protect(struct oracle *o);
void op_dontneed(struct oracle *o);
void op_cold(struct oracle *o);

/* ops_query.c */
void op_get(struct oracle *o);
void op_get_ranges(struct oracle *o);
void op_get_bitmap(struct oracle *o);
void op_count(struct oracle *o);
void check_everything(struct oracle *o, unsigned flags);

/* ops_watch.c */
void op_reset(struct oracle *o);
void op_mark(struct oracle *o);
void op_discard(struct oracle *o);
void op_unwatch(struct oracle *o);
void op_watch(struct oracle *o);
void op_mend(struct oracle *o);
void mend(struct oracle *o, struct range r);
void watch(struct oracle *o, struct range r);

/* ops_remap.c */
void op_unmap(struct oracle *o);
void op_remap(struct oracle *o);
void op_move(struct oracle *o);
void op_move_over(struct oracle *o);
void op_renew(struct oracle *o);

/* ops_fork.c */
void op_fork(struct oracle *o);
void op_clone(struct oracle *o);

/* run.c */
void oracle_run(const struct mode *mode);

#endif
