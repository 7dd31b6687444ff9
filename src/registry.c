/* SPDX-License-Identifier: MIT */
#include "registry.h"

#include <errno.h>
#include <stdlib.h>

typedef struct range *link_t;

static void publish(link_t *link, struct range *r)
{
	__atomic_store_n(link, r, __ATOMIC_RELEASE);
}

void registry_init(struct registry *reg)
{
	*reg = (struct registry){.random = 0x9e3779b97f4a7c15u};
}

void registry_destroy(struct registry *reg)
{
	struct range *r = reg->head[0];

	while (r) {
		struct range *next = r->next[0];

		free(r);
		r = next;
	}
	registry_init(reg);
}

/* Fills the links that lead past every range with start < addr, level by level. */
static void find_links(struct registry *reg, uintptr_t addr, link_t *links[REGISTRY_LEVELS])
{
	link_t *row = reg->head;

	for (int level = REGISTRY_LEVELS - 1; level >= 0; level--) {
		while (row[level] && row[level]->start < addr)
			row = row[level]->next;
		links[level] = &row[level];
	}
}

struct range *registry_first(const struct registry *reg, uintptr_t addr)
{
	const link_t *row = reg->head;

	for (int level = reg->top; level >= 0; level--)
		while (row[level] && row[level]->end <= addr)
			row = row[level]->next;
	return row[0];
}

bool registry_reaches(const struct range *first, uintptr_t start, uintptr_t end)
{
	for (const struct range *r = first; r && r->start <= start; r = range_next(r)) {
		start = r->end;
		if (start >= end)
			return true;
	}
	return false;
}

/* One in four ranges reaches each further level. */
static unsigned char random_levels(struct registry *reg)
{
	unsigned char levels = 1;
	uint64_t x = reg->random;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	reg->random = x;
	while (levels < REGISTRY_LEVELS && (x & 3) == 0) {
		levels++;
		x >>= 2;
	}
	return levels;
}

int registry_add(struct registry *reg, const struct range *like)
{
	link_t *links[REGISTRY_LEVELS];
	unsigned char levels = random_levels(reg);
	struct range *r = malloc(sizeof(*r) + levels * sizeof(r->next[0]));

	if (!r)
		return -ENOMEM;
	*r = *like;
	r->levels = levels;
	if (levels > reg->top + 1)
		reg->top = levels - 1;
	find_links(reg, r->start, links);
	for (int level = 0; level < levels; level++) {
		r->next[level] = *links[level];
		publish(links[level], r);
	}
	reg->count++;
	reg->bytes += r->end - r->start;
	return 0;
}

void registry_remove(struct registry *reg, struct range *r)
{
	link_t *links[REGISTRY_LEVELS];

	find_links(reg, r->start, links);
	/* A fork may have caught the range with some of its levels not linked. */
	for (int level = r->levels - 1; level >= 0; level--)
		if (*links[level] == r)
			publish(links[level], r->next[level]);
	reg->count--;
	reg->bytes -= r->end - r->start;
	free(r);
}

static void set_end(struct registry *reg, struct range *r, uintptr_t end)
{
	reg->bytes += end - r->end;
	__atomic_store_n(&r->end, end, __ATOMIC_RELEASE);
}

/* The new range is in the list before the old one gives its part up: see the top of registry.h. */
static struct range *split(struct registry *reg, struct range *r, uintptr_t at)
{
	struct range tail = *r;

	tail.start = at;
	tail.reported = 0;
	if (registry_add(reg, &tail) < 0)
		return NULL;
	set_end(reg, r, at);
	return r->next[0];
}

struct range *registry_isolate(struct registry *reg, struct range *r, uintptr_t start,
			       uintptr_t end)
{
	if (end < r->end && !split(reg, r, end))
		return NULL;
	if (start > r->start)
		r = split(reg, r, start);
	return r;
}

static bool alike(const struct range *a, const struct range *b)
{
	return a->end == b->start && a->mode == b->mode && a->flags == b->flags &&
	       !a->all_written && !b->all_written;
}

void registry_merge(struct registry *reg, uintptr_t start, uintptr_t end)
{
	struct range *r = registry_first(reg, start ? start - 1 : 0);

	while (r && r->start <= end) {
		struct range *next = range_next(r);

		if (!next || !alike(r, next)) {
			r = next;
			continue;
		}
		r->reported += next->reported;
		r->look_at = 0;
		set_end(reg, r, next->end);
		registry_remove(reg, next);
	}
}
