/* SPDX-License-Identifier: MIT */
#include "range_set.h"

#include <errno.h>
#include <stdlib.h>

/* Appends a range that does not begin before the last one. */
static void append(struct range_run *run, struct recording_range range)
{
	struct recording_range *last = run->ranges + run->count - 1;

	if (run->count == 0 || range.start > last->end)
		run->ranges[run->count++] = range;
	else if (range.end > last->end)
		last->end = range.end;
}

static int merge(struct range_run *a, const struct range_run *b)
{
	struct range_run out = {malloc((a->count + b->count) * sizeof(*out.ranges)), 0};
	struct recording_range *smaller;
	size_t i = 0, k = 0;

	if (!out.ranges)
		return -ENOMEM;
	while (i < a->count || k < b->count) {
		if (k == b->count || (i < a->count && a->ranges[i].start <= b->ranges[k].start))
			append(&out, a->ranges[i++]);
		else
			append(&out, b->ranges[k++]);
	}
	smaller = realloc(out.ranges, out.count * sizeof(*smaller));
	free(a->ranges);
	free(b->ranges);
	*a = (struct range_run){smaller ? smaller : out.ranges, out.count};
	return 0;
}

static int merge_top(struct range_set *set)
{
	int error = merge(&set->runs[set->depth - 2], &set->runs[set->depth - 1]);

	if (!error)
		set->depth--;
	return error;
}

int range_set_add(struct range_set *set, const struct recording_range *ranges, size_t count)
{
	struct range_run *top = &set->runs[set->depth];
	int error = 0;

	if (count == 0)
		return 0;
	*top = (struct range_run){malloc(count * sizeof(*ranges)), 0};
	if (!top->ranges)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		append(top, ranges[i]);
	set->depth++;
	while (!error && set->depth > 1 &&
	       set->runs[set->depth - 1].count > set->runs[set->depth - 2].count / 2)
		error = merge_top(set);
	return error;
}

int range_set_size(struct range_set *set, uint64_t *bytes)
{
	int error = 0;

	*bytes = 0;
	while (!error && set->depth > 1)
		error = merge_top(set);
	for (size_t i = 0; !error && set->depth && i < set->runs[0].count; i++)
		*bytes += set->runs[0].ranges[i].end - set->runs[0].ranges[i].start;
	return error;
}

void range_set_clear(struct range_set *set)
{
	while (set->depth)
		free(set->runs[--set->depth].ranges);
}
