/* SPDX-License-Identifier: MIT */
/* The program replaces watched memory behind the library's back. */
#include "backends.h"
#include "oracle.h"

#include <sys/mman.h>

#include "pages.h"

void op_unmap(struct oracle *o)
{
	struct range r = random_range(o);

	oracle_log(o, r, 0, 0);
	unmap(page_at(o, r.first), bytes_of(o, r.count));
	for (size_t i = r.first; i < r.first + r.count; i++)
		o->pages[i].mapping = HOLE;
}

/*
 * Where no error will tell, the program has to say what it mapped in the place of watched memory
 * before it does anything else; or else, where that will do, what holds nothing is missed.
 */
static void repair(struct oracle *o, struct range r)
{
	struct range run = {r.first, 0};

	if (!except(NO_STALE))
		return;
	if (!except(NO_ANEW) && rng_one_in(&o->rng, 2)) {
		for (size_t i = r.first; i < r.first + r.count; i++)
			o->pages[i].mapping = MAPPED;
		return;
	}
	for (size_t i = r.first; i <= r.first + r.count; i++) {
		if (i < r.first + r.count && o->pages[i].mapping == STALE)
			continue;
		run.count = i - run.first;
		if (run.count)
			watch(o, run);
		run.first = i + 1;
	}
}

void op_remap(struct oracle *o)
{
	struct range r = random_range(o);

	oracle_log(o, r, 0, 0);
	if (rng_one_in(&o->rng, 2))
		unmap(page_at(o, r.first), bytes_of(o, r.count));
	map_fresh(o, r);
	repair(o, r);
	if (rng_one_in(&o->rng, 2) && all_watched(o, r))
		mend(o, r);
}

static struct range mapped_run(struct oracle *o)
{
	struct range r = random_range(o);

	if (r.count > ATTIC_PAGES)
		r.count = ATTIC_PAGES;
	if (any_mapping(o, r, HOLE))
		r.count = 0;
	return r;
}

static void move(struct oracle *o, char *from, char *to)
{
	if (mremap(from, o->page_size, o->page_size, MREMAP_MAYMOVE | MREMAP_FIXED, to) != to)
		oracle_fail(o, "mremap failed");
}

static void reserve_attic(struct oracle *o, size_t pages)
{
	if (mmap(o->attic, bytes_of(o, pages), PROT_NONE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) != o->attic)
		oracle_fail(o, "mmap failed");
}

static void now_stale(struct oracle *o, struct range r)
{
	for (size_t i = r.first; i < r.first + r.count; i++)
		o->pages[i].mapping = o->pages[i].watched ? STALE : MAPPED;
}

/* Away and back page by page, as not every kernel moves several mappings in one call. */
void op_move(struct oracle *o)
{
	struct range r = mapped_run(o);

	if (r.count == 0)
		return;
	oracle_log(o, r, 0, 0);
	for (size_t i = 0; i < r.count; i++)
		move(o, page_at(o, r.first + i), o->attic + bytes_of(o, i));
	for (size_t i = 0; i < r.count; i++)
		move(o, o->attic + bytes_of(o, i), page_at(o, r.first + i));
	reserve_attic(o, r.count);
	/* Else it is watched by its address, which is what it was. */
	if (!except(NO_STALE))
		now_stale(o, r);
}

/* Other memory is moved to where watched pages were. */
void op_move_over(struct oracle *o)
{
	struct range r = mapped_run(o);

	if (r.count == 0 || o->mode->backing != PRIVATE_MEMORY)
		return;
	oracle_log(o, r, 0, 0);
	if (mprotect(o->attic, bytes_of(o, r.count), PROT_READ | PROT_WRITE) != 0)
		oracle_fail(o, "mprotect failed");
	for (size_t i = 0; i < r.count; i++) {
		o->pages[r.first + i].state = UNKNOWN;
		if (rng_one_in(&o->rng, 2)) {
			page_write(o->attic + bytes_of(o, i), rng_next(&o->rng));
			o->pages[r.first + i].state = WRITTEN;
		}
		move(o, o->attic + bytes_of(o, i), page_at(o, r.first + i));
		o->pages[r.first + i].prot = PROT_READ | PROT_WRITE;
		page_resync(o, r.first + i);
	}
	reserve_attic(o, r.count);
	now_stale(o, r);
	repair(o, r);
}

static void renew(struct oracle *o, struct range r)
{
	bool unwatch_first = rng_one_in(&o->rng, 2);

	oracle_log(o, r, unwatch_first, 0);
	if (!unwatch_first)
		unmap(page_at(o, r.first), bytes_of(o, r.count));
	if (any_watched(o, r) && ww_unwatch(o->w, page_at(o, r.first), bytes_of(o, r.count)) != 0)
		oracle_fail(o, "ww_unwatch failed");
	for (size_t i = r.first; i < r.first + r.count; i++)
		o->pages[i].watched = false;
	map_fresh(o, r);
	/* What was only read holds a zero page when it is watched, maybe a huge one. */
	for (size_t i = rng_below(&o->rng, 4); i > 0; i--)
		page_read(page_at(o, r.first + rng_below(&o->rng, r.count)));
	mend(o, r);
}

/*
 * A region begins anew: without this, a lazily watched one would be full before long. Now and then
 * all of them, as neighbours that are watched alike are asked about together.
 */
void op_renew(struct oracle *o)
{
	size_t one = rng_below(&o->rng, o->region_count);
	bool all = rng_one_in(&o->rng, 4);

	for (size_t i = 0; i < o->region_count; i++)
		if (all || i == one)
			renew(o, o->regions[i]);
}
