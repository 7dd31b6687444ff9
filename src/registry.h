/* SPDX-License-Identifier: MIT */
#ifndef WW_REGISTRY_H
#define WW_REGISTRY_H

/*
 * The watched ranges of a context, ordered by address, none overlapping: a skip list.
 *
 * A child may be forked by one thread while another one changes the list, and must find it whole.
 * Every change is therefore published by single pointer stores, lowest level first on the way in
 * and last on the way out: each state in between can be searched and changed, and covers what was
 * covered.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REGISTRY_LEVELS 12

/**
 * struct range - one watched piece
 * @start:       first address, page aligned
 * @end:         address behind it, page aligned
 * @flags:       what ww_watch() was given
 * @mode:        the backend's way of watching it
 * @all_written: every page counts as written until the backend could bring that into its own state
 * @fresh:       added by the ww_watch() call that is running
 * @reported:    pages reported and reset since the backend last looked how dense the range is
 * @look_at:     the value of @reported at which it looks again
 */
struct range {
	uintptr_t start;
	uintptr_t end;
	unsigned flags;
	unsigned char mode;
	bool all_written;
	bool fresh;
	size_t reported;
	size_t look_at;
	unsigned char levels;
	struct range *next[];
};

struct registry {
	struct range *head[REGISTRY_LEVELS];
	/* No range ever reached higher: searches begin here. */
	int top;
	uint64_t random;
	size_t count;
	size_t bytes;
};

void registry_init(struct registry *reg);
void registry_destroy(struct registry *reg);

static inline struct range *range_next(const struct range *r)
{
	return r->next[0];
}

/* Whether [start, end) has any byte of what is at @at; of nothing where that is NULL. */
static inline bool range_meets(uintptr_t start, uintptr_t end, const void *at, size_t size)
{
	return at && start < (uintptr_t)at + size && (uintptr_t)at < end;
}

/* The first range that ends behind addr, or NULL. */
struct range *registry_first(const struct registry *reg, uintptr_t addr);
/* Whether the ranges from first on, registry_first() of start, cover [start, end) without gaps. */
bool registry_reaches(const struct range *first, uintptr_t start, uintptr_t end);

/* Adds a copy of what like says; -ENOMEM. */
int registry_add(struct registry *reg, const struct range *like);
void registry_remove(struct registry *reg, struct range *r);
/* Makes [start, end) of r a range of its own and returns it, or NULL without memory. */
struct range *registry_isolate(struct registry *reg, struct range *r, uintptr_t start,
			       uintptr_t end);
/* Joins neighbours that are watched alike, from the one before start to the one behind end. */
void registry_merge(struct registry *reg, uintptr_t start, uintptr_t end);

#endif
