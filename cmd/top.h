/* SPDX-License-Identifier: MIT */
#ifndef WRITEWATCH_TOP_H
#define WRITEWATCH_TOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "processes.h"
#include "tracker.h"

enum top_sort { SORT_PAGES, SORT_SHARE, SORT_SIZE, SORT_ADDRESS, SORT_NAME, SORT_COUNT };

struct top_options {
	pid_t pid;
	uint64_t delay_ns;
	unsigned long count; /* intervals; 0: no end */
	enum top_sort sort;
	bool follow;
	bool plain;
	bool color;
};

#define TOP_MIN_DELAY_NS UINT64_C(10000000)

/* top_options.c: STATUS_OK with *help set if nothing is to be run. */
int top_parse_options(int argc, char **argv, struct top_options *o, bool *help);
const char *top_sort_name(enum top_sort sort);

/* top_rows.c */

/**
 * struct top_row - what was written of a mapping in an interval
 * @ranges: of the sample, the first one that may lie in it
 */
struct top_row {
	const struct named_mapping *mapping;
	const struct tracker_range *ranges;
	size_t range_count;
	uint64_t pages;
	uint64_t written;
};

struct top_rows {
	struct top_row *list;
	size_t count, room;
	uint64_t pages;
	uint64_t written;
	size_t written_rows;
};

int top_rows_take(struct top_rows *rows, const struct tracker_sample *sample, uint64_t page_size);
void top_rows_sort(struct top_rows *rows, enum top_sort sort);

/* How much of some pages was written: from nothing by <1 %, <10 %, <50 % to more. */
#define HEAT_LEVELS 5
/* One level for each of the cells, into which the mapping is divided. */
void top_heat(const struct top_row *row, uint64_t page_size, unsigned char *levels, size_t cells);

/* top_targets.c: the processes that are looked at. */
#define TOP_HISTORY 256

/* Of one process, or of all. */
struct top_sums {
	double rate; /* pages a second */
	uint64_t pages, written;
	size_t mappings, written_mappings;
	bool incomplete;
};

enum target_state { TARGET_TRACKED, TARGET_REFUSED, TARGET_ENDED };

/**
 * struct target - a process
 * @why:     why it is not tracked, or how it ended
 * @seen:    it was among the children of another, when that was looked up last
 * @seconds: of the last interval; 0 before its end
 */
struct target {
	pid_t pid;
	enum target_state state;
	bool seen;
	bool incomplete;
	char name[PROCESS_NAME];
	char why[TRACKER_WHY];
	struct tracker *tracker;
	struct top_rows rows;
	uint64_t polled_ns;
	double seconds;
};

/**
 * struct targets - all of them
 * @first: the one that was asked for
 * @end:   what came of that; empty while it lives
 * @failed: it lives, and cannot be tracked any more
 * @rates: pages a second, of all, in the last intervals; a ring, of which @rate_count were ever put
 * in
 */
struct targets {
	struct target *list;
	size_t count, room;
	uint64_t page_size;
	bool follow;
	pid_t first;
	char end[TRACKER_WHY + 64];
	bool failed;
	double rates[TOP_HISTORY];
	size_t rate_count;
};

/* Tracks the first process; on an error, which is returned, says why. */
int targets_open(struct targets *t, pid_t pid, bool follow, char *why);
/* Ends an interval: polls all, takes in new children, drops those who had ended before. */
int targets_poll(struct targets *t);
/* Marks who has ended since. */
void targets_check(struct targets *t);
bool targets_live(const struct targets *t);
struct top_sums target_sums(const struct target *t);
struct top_sums targets_sums(const struct targets *t);
void targets_close(struct targets *t);

/* What is shown besides the targets. */
struct top_state {
	const struct top_options *options;
	const struct targets *targets;
	uint64_t delay_ns;
	uint64_t started_ns;
	enum top_sort sort;
	bool paused;
};

/* top_plain.c */
void plain_begin(const struct top_state *s);
void plain_draw(const struct top_state *s);

/* top_screen.c, or top_no_screen.c where ncurses is missing. */
bool top_screen_begin(const struct top_state *s);
void top_screen_draw(const struct top_state *s);
void top_screen_resize(void);
/* The next key that was pressed, 0 if there is none; keys of the screen's own are done with. */
int top_screen_key(void);
void top_screen_end(void);
/* Why it is not there, or NULL. */
const char *top_screen_missing(void);

#endif
