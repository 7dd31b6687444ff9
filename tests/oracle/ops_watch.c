/* SPDX-License-Identifier: MIT */
#include "oracle.h"

#include <errno.h>
#include <sys/mman.h>

static void set_state(struct oracle *o, struct range r, enum page_state state)
{
	for (size_t i = r.first; i < r.first + r.count; i++)
		if (o->pages[i].watched && o->pages[i].mapping == MAPPED)
			o->pages[i].state = state;
}

/* For calls that need a range without gaps: whether it failed, and for a reason. */
static bool failed_rightly(struct oracle *o, struct range r, int result)
{
	bool gap = !all_watched(o, r), stale = is_stale(o, r);

	if (result == 0 && (gap || stale))
		oracle_fail(o, "no error, gap %d, stale %d", gap, stale);
	if (result != 0 && !(result == -ENOENT && gap) && !(result == -ESTALE && stale))
		oracle_fail(o, "result %d, gap %d, stale %d", result, gap, stale);
	return result != 0;
}

void op_reset(struct oracle *o)
{
	struct range r = random_range(o);
	int result = ww_reset(o->w, page_at(o, r.first), bytes_of(o, r.count));

	oracle_log(o, r, 0, result);
	if (!failed_rightly(o, r, result))
		set_state(o, r, CLEAN);
	else if (result == -ESTALE)
		set_state(o, r, UNKNOWN);
}

void op_mark(struct oracle *o)
{
	struct range r = random_range(o);
	int result;

	if (any_mapping(o, r, HOLE))
		return;
	result = ww_mark(o->w, page_at(o, r.first), bytes_of(o, r.count));
	oracle_log(o, r, 0, result);
	if (!failed_rightly(o, r, result)) {
		set_state(o, r, WRITTEN);
		return;
	}
	if (result != -ESTALE)
		return;
	for (size_t i = 0; i < o->page_count; i++)
		if (o->pages[i].state == CLEAN)
			o->pages[i].state = UNKNOWN;
}

void op_discard(struct oracle *o)
{
	struct range r = random_range(o);
	int result;

	if (o->mode->backing != PRIVATE_MEMORY && !all_prot(o, r, PROT_READ | PROT_WRITE))
		return;
	if (any_mapping(o, r, HOLE))
		return;
	result = ww_discard(o->w, page_at(o, r.first), bytes_of(o, r.count));
	oracle_log(o, r, 0, result);
	if (o->mode->backing == PRIVATE_FILE && result == -ENOTSUP)
		return;
	if (failed_rightly(o, r, result))
		return;
	set_state(o, r, CLEAN);
	for (size_t i = r.first; i < r.first + r.count; i++)
		o->pages[i].word = 0;
}

void op_unwatch(struct oracle *o)
{
	struct range r = random_range(o);
	bool any = any_watched(o, r);
	int result = ww_unwatch(o->w, page_at(o, r.first), bytes_of(o, r.count));

	oracle_log(o, r, 0, result);
	if (result != (any ? 0 : -ENOENT))
		oracle_fail(o, "result %d", result);
	for (size_t i = r.first; i < r.first + r.count; i++) {
		struct page *p = &o->pages[i];

		p->watched = false;
		if (p->mapping == STALE)
			p->mapping = MAPPED;
	}
}

void watch(struct oracle *o, struct range r)
{
	bool hole = any_mapping(o, r, HOLE);
	int result = ww_watch(o->w, page_at(o, r.first), bytes_of(o, r.count),
			      o->mode->watch_flags);

	oracle_log(o, r, 0, result);
	if (result != (hole ? -EFAULT : 0))
		oracle_fail(o, "result %d, hole %d", result, hole);
	if (hole)
		return;
	for (size_t i = r.first; i < r.first + r.count; i++) {
		struct page *p = &o->pages[i];

		if (!p->watched)
			p->state = CLEAN;
		else if (p->mapping == STALE)
			p->state = WRITTEN;
		p->watched = true;
		p->mapping = MAPPED;
	}
}

void op_watch(struct oracle *o)
{
	struct range r = random_range(o);

	/* Where it fails, it is open which part was repaired before. */
	if (any_mapping(o, r, HOLE) && is_stale(o, r))
		return;
	watch(o, r);
}

void mend(struct oracle *o, struct range r)
{
	for (size_t i = r.first; i < r.first + r.count; i++) {
		struct range hole = {i, 0};

		while (i < r.first + r.count && o->pages[i].mapping == HOLE)
			i++;
		hole.count = i - hole.first;
		if (hole.count != 0)
			map_fresh(o, hole);
	}
	watch(o, r);
}

void op_mend(struct oracle *o)
{
	mend(o, o->regions[rng_below(&o->rng, o->region_count)]);
}
