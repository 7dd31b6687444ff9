/* SPDX-License-Identifier: MIT */
#ifndef WRITEWATCH_TRACKER_H
#define WRITEWATCH_TRACKER_H

/* Which pages of another process were written, from one poll to the next. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "mappings.h"

#define TRACKER_WHY 512

enum tracker_way { TRACKER_EXACT, TRACKER_SOFT_DIRTY };

struct tracker_range {
	uint64_t start, end;
};

/**
 * struct tracker_sample - what one poll found; valid until the next one
 * @mappings:   those that can be written, could be before, or were written
 * @ranges:     what was written in them, ascending
 * @incomplete: it called execve(2): pages may have been written that are not listed
 */
struct tracker_sample {
	const struct mappings *mappings;
	const struct tracker_range *ranges;
	size_t range_count;
	bool incomplete;
};

/**
 * struct tracker_skipped - mappings that could be written, and are not tracked
 * @busy: of them, those that another userfaultfd watches; the others are of hugetlbfs, of read-only
 *        files, and of devices or the kernel
 */
struct tracker_skipped {
	uint64_t mappings, bytes;
	uint64_t busy, hugetlb, sealed, special;
};

struct tracker;

/* Returns 0 or a negative errno value, with the reason for people in why[TRACKER_WHY]. */
int tracker_open(struct tracker **out, pid_t pid, char *why);
enum tracker_way tracker_way(const struct tracker *t);
/* All zero if nothing that can be written is missing. */
void tracker_skipped(const struct tracker *t, struct tracker_skipped *skipped);
/* A descriptor that can be read once the process has ended; the tracker's. */
int tracker_pidfd(const struct tracker *t);
bool tracker_ended(const struct tracker *t);
/* -ESRCH once the process has ended; else, on an error, why[TRACKER_WHY] has the reason. */
int tracker_poll(struct tracker *t, struct tracker_sample *sample, char *why);
/* How many pages of each mapping of the last sample are in memory or swapped out. */
int tracker_resident(struct tracker *t, uint64_t *pages);
/* Leaves the process as it was. NULL allowed. */
void tracker_close(struct tracker *t);

/* tracker_mappings.c: those of a sample; what was in the one before stays in. */
int tracker_choose(struct mappings *to, const struct mappings *all, const struct mappings *before,
		   const struct tracker_range *written, size_t count);

#endif
