/* SPDX-License-Identifier: MIT */
#ifndef WW_KEPT_H
#define WW_KEPT_H

/* Ranges of pages that are still to be reported. In doubt a list has more than it was given. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kept_range {
	uint64_t start;
	uint64_t end;
};

/* Ascending, not overlapping. All zero is empty. */
struct kept {
	struct kept_range *ranges;
	size_t count;
	size_t room;
};

/* Room for so many: 0 or -ENOMEM. */
int kept_reserve(struct kept *k, size_t room);
void kept_free(struct kept *k);
/* Adds what does not begin before anything in it; without memory, also what is before that. The
 * list has room for one or more. */
void kept_append(struct kept *k, uint64_t start, uint64_t end);
/* Adds a range anywhere. There must be room for one more. */
void kept_add(struct kept *k, uint64_t start, uint64_t end);
/* Takes out what is in [start, end); without memory, less. */
void kept_remove(struct kept *k, uint64_t start, uint64_t end);
/* The first range in [start, end), cut to it. */
bool kept_next(const struct kept *k, uint64_t start, uint64_t end, struct kept_range *out);

/**
 * struct kept_merge - makes a list of another one and of what is found in ascending order
 * @old:  stays as it is
 * @next: what of @old was taken over
 * @list: the new one
 */
struct kept_merge {
	const struct kept *old;
	size_t next;
	struct kept list;
};

int kept_merge_begin(struct kept_merge *m, const struct kept *old);
void kept_merge_put(struct kept_merge *m, uint64_t start, uint64_t end);
void kept_merge_end(struct kept_merge *m);

#endif
