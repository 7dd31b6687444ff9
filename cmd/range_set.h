/* SPDX-License-Identifier: MIT */
#ifndef WRITEWATCH_RANGE_SET_H
#define WRITEWATCH_RANGE_SET_H

#include "recording.h"

#define RANGE_SET_RUNS 64

/*
 * A set of addresses that grows by many ranges at a time. It keeps runs of ranges in order, each at
 * least twice as long as the one above it, so a range is copied a few times however many come.
 */
struct range_set {
	struct range_run {
		struct recording_range *ranges;
		size_t count;
	} runs[RANGE_SET_RUNS];
	size_t depth;
};

/* Ranges in ascending order, without overlaps. These two return 0 or -ENOMEM. */
int range_set_add(struct range_set *set, const struct recording_range *ranges, size_t count);
int range_set_size(struct range_set *set, uint64_t *bytes);
void range_set_clear(struct range_set *set);

#endif
