/* SPDX-License-Identifier: MIT */
#include "oracle.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "pages.h"

static void print_entry(const struct log_entry *e)
{
	fprintf(stderr, "#  op %zu %s pages [%zu, %zu) detail 0x%lx result %d\n", e->number, e->what,
		e->range.first, e->range.first + e->range.count, e->detail, e->result);
}

void oracle_log(struct oracle *o, struct range range, unsigned long detail, int result)
{
	struct log_entry *e = &o->log[o->log_next++ % LOG_ENTRIES];

	*e = (struct log_entry){
		.number = o->number,
		.what = o->what,
		.range = range,
		.detail = detail,
		.result = result,
	};
	if (o->traced - range.first < range.count)
		print_entry(e);
}

static void print_log(const struct oracle *o)
{
	size_t from = o->log_next > LOG_ENTRIES ? o->log_next - LOG_ENTRIES : 0;

	for (size_t i = from; i < o->log_next; i++)
		print_entry(&o->log[i % LOG_ENTRIES]);
}

void oracle_fail(struct oracle *o, const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	for (size_t i = 0; i < o->region_count; i++)
		fprintf(stderr, "# region %zu: pages [%zu, %zu)\n", i, o->regions[i].first,
			o->regions[i].first + o->regions[i].count);
	print_log(o);
	fprintf(stderr, "# %s: WW_SEED=%" PRIu64 " op %zu %s: %s\n", o->mode->name, o->seed,
		o->number, o->what, text);
	cr_fatal("WW_SEED=%" PRIu64 " op %zu %s: %s", o->seed, o->number, o->what, text);
	abort();
}

char *page_at(const struct oracle *o, size_t page)
{
	return o->base + page * o->page_size;
}

size_t bytes_of(const struct oracle *o, size_t pages)
{
	return pages * o->page_size;
}

/* Any page, but small regions are not left to chance. */
size_t random_page(struct oracle *o)
{
	struct range region = o->regions[rng_below(&o->rng, o->region_count)];

	if (rng_one_in(&o->rng, 8))
		return rng_below(&o->rng, o->page_count);
	return region.first + rng_below(&o->rng, region.count);
}

/* Part of one region: often a page or a few, now and then all of it. */
struct range random_range(struct oracle *o)
{
	struct range region = o->regions[rng_below(&o->rng, o->region_count)];
	struct range r;
	size_t most;

	if (rng_one_in(&o->rng, 8))
		return region;
	r.first = region.first + rng_below(&o->rng, region.count);
	most = region.first + region.count - r.first;
	switch (rng_below(&o->rng, 3)) {
	case 0:
		most = 1;
		break;
	case 1:
		most = most < 12 ? most : 12;
		break;
	default:
		break;
	}
	r.count = 1 + rng_below(&o->rng, most);
	return r;
}

/* Anything, gaps included; now and then everything. */
struct range random_span(struct oracle *o)
{
	struct range r;

	if (rng_one_in(&o->rng, 4))
		return (struct range){0, o->page_count};
	r.first = rng_below(&o->rng, o->page_count);
	r.count = 1 + rng_below(&o->rng, o->page_count - r.first);
	return r;
}

bool any_mapping(const struct oracle *o, struct range r, enum page_mapping mapping)
{
	for (size_t i = r.first; i < r.first + r.count; i++)
		if (o->pages[i].mapping == mapping)
			return true;
	return false;
}

bool any_watched(const struct oracle *o, struct range r)
{
	for (size_t i = r.first; i < r.first + r.count; i++)
		if (o->pages[i].watched)
			return true;
	return false;
}

bool all_watched(const struct oracle *o, struct range r)
{
	for (size_t i = r.first; i < r.first + r.count; i++)
		if (!o->pages[i].watched)
			return false;
	return true;
}

bool all_prot(const struct oracle *o, struct range r, int prot)
{
	for (size_t i = r.first; i < r.first + r.count; i++)
		if (o->pages[i].mapping == HOLE || o->pages[i].prot != prot)
			return false;
	return true;
}

bool is_stale(const struct oracle *o, struct range r)
{
	return any_mapping(o, r, STALE);
}

void doubt(struct oracle *o, struct range r)
{
	for (size_t i = r.first; i < r.first + r.count; i++)
		if (o->pages[i].watched && o->pages[i].state == CLEAN)
			o->pages[i].state = UNKNOWN;
}

void page_stored(struct oracle *o, size_t page)
{
	struct page *p = &o->pages[page];

	if (p->watched && p->mapping == MAPPED)
		p->state = WRITTEN;
}

void page_resync(struct oracle *o, size_t page)
{
	o->pages[page].word = page_read(page_at(o, page));
}

static void map_backing(struct oracle *o, struct range r)
{
	char *at = page_at(o, r.first);
	size_t bytes = bytes_of(o, r.count);

	if (o->mode->backing == PRIVATE_MEMORY) {
		if (mmap(at, bytes, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
			oracle_fail(o, "mmap failed");
		return;
	}
	map_fd(at, bytes, o->mode->backing == SHARED_MEMFD ? MAP_SHARED : MAP_PRIVATE,
	       o->backing_fd, bytes_of(o, r.first));
}

/* What of fresh memory is to hold content: mostly nothing, else all or some part of it. */
static struct range random_fill(struct oracle *o, struct range r)
{
	struct range fill = r;

	if (o->mode->populated)
		return fill;
	switch (rng_below(&o->rng, 8)) {
	case 0:
		break;
	case 1:
		fill.first += rng_below(&o->rng, r.count);
		fill.count = 1 + rng_below(&o->rng, r.first + r.count - fill.first);
		break;
	default:
		fill.count = 0;
		break;
	}
	return fill;
}

void map_fresh(struct oracle *o, struct range r)
{
	struct range fill = random_fill(o, r);
	bool huge = rng_one_in(&o->rng, o->mode->populated ? 2 : 4);

	map_backing(o, r);
	if (huge && o->mode->backing == PRIVATE_MEMORY)
		madvise(page_at(o, r.first), bytes_of(o, r.count), MADV_HUGEPAGE);
	for (size_t i = r.first; i < r.first + r.count; i++) {
		struct page *p = &o->pages[i];
		bool filled = i >= fill.first && i < fill.first + fill.count;

		p->mapping = p->watched ? STALE : MAPPED;
		p->state = filled ? WRITTEN : UNKNOWN;
		p->prot = PROT_READ | PROT_WRITE;
		if (filled)
			page_write(page_at(o, i), rng_next(&o->rng));
		if (filled || o->mode->backing != PRIVATE_MEMORY)
			page_resync(o, i);
		else
			p->word = 0;
	}
}
