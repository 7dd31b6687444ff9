/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "model.h"

/* The queries of the model. */

static bool reported[PAGES];
/* The list did not end for want of room. */
static bool all_told;

static void begin(void)
{
	memset(reported, 0, sizeof(reported));
	all_told = true;
}

static void report(const struct model *m, struct part part, const void *addr)
{
	size_t offset = (size_t)((const char *)addr - m->base), page = offset / PAGE;

	if (page - part.first >= part.count || offset % PAGE)
		fail("page %zu was reported, which was not asked for", page);
	if (reported[page])
		fail("page %zu was reported twice", page);
	if (m->pages[page].watched == NOT_WATCHED)
		fail("page %zu was reported, which is not watched", page);
	reported[page] = true;
}

static bool any_stale(const struct model *m, struct part part)
{
	for (size_t i = part.first; i < part.first + part.count; i++)
		if (m->pages[i].stale)
			return true;
	return false;
}

/* What is in the place of watched memory is not watched before it is repaired. */
static bool is_due(const struct page *p)
{
	return p->must && p->watched == WATCHED && !p->stale;
}

/* Whether the error is what has to be said of this part, whatever fails. */
static bool is_answer(const struct model *m, struct part part, unsigned flags, int r)
{
	if (r == -ESTALE)
		return any_stale(m, part);
	if (r != -ENOENT)
		return false;
	if (!(flags & WW_ACROSS))
		return !all_are(m, part, WATCHED);
	for (size_t i = part.first; i < part.first + part.count; i++)
		if (m->pages[i].watched == WATCHED)
			return false;
	return true;
}

static void expect_success(const struct model *m, struct part part, unsigned flags)
{
	/* A context that begins anew watches what is there. */
	if (any_stale(m, part) && !lacks(m, NO_STALE) && !inject->gave_up)
		fail("a query succeeds, and pages in it are stale");
	for (size_t i = part.first; !(flags & WW_ACROSS) && i < part.first + part.count; i++)
		if (m->pages[i].watched == NOT_WATCHED)
			fail("a query succeeds, and page %zu is not watched", i);
}

static int finish(struct model *m, enum api api, struct part part, unsigned flags, int r)
{
	if (is_answer(m, part, flags, r) || checked(m, api, r) < 0)
		return r;
	expect_success(m, part, flags);
	for (size_t i = part.first; i < part.first + part.count; i++) {
		struct page *p = &m->pages[i];

		if (is_due(p) && all_told && !reported[i])
			fail("page %zu was lost: %s does not report it", i, api_names[api]);
		if (is_exact(m) && reported[i] && !p->may)
			fail("page %zu was not written, and %s reports it", i, api_names[api]);
		if (reported[i] && flags & WW_RESET)
			p->must = p->may = false;
	}
	return 0;
}

static void expect_count(size_t count, size_t room, int r)
{
	if (r < 0 && count != room)
		fail("a query failed and changed its count");
	if (r == 0 && count > room)
		fail("a query returned more than there was room for");
	all_told = count < room;
}

int do_get(struct model *m, struct part part, unsigned flags, size_t room)
{
	static void *pages[PAGES + 1];
	size_t have = room ? room : PAGES + 1, count = have;
	int r = ww_get(m->w, m->base + part.first * PAGE, part.count * PAGE, flags, pages, &count);

	begin();
	expect_count(count, have, r);
	for (size_t i = 0; r == 0 && i < count; i++) {
		if (i && pages[i] <= pages[i - 1])
			fail("ww_get: the list does not ascend");
		report(m, part, pages[i]);
	}
	return finish(m, API_GET, part, flags, r);
}

int do_get_ranges(struct model *m, struct part part, unsigned flags, size_t room)
{
	static struct ww_range runs[PAGES];
	size_t have = room ? room : PAGES, count = have;
	int r = ww_get_ranges(m->w, m->base + part.first * PAGE, part.count * PAGE, flags, runs,
			      &count);

	begin();
	expect_count(count, have, r);
	for (size_t i = 0; r == 0 && i < count; i++) {
		if (i && runs[i].start <= runs[i - 1].end)
			fail("ww_get_ranges: runs touch or do not ascend");
		for (char *p = runs[i].start; p < (char *)runs[i].end; p += PAGE)
			report(m, part, p);
	}
	return finish(m, API_GET_RANGES, part, flags, r);
}

int do_get_bitmap(struct model *m, struct part part, unsigned flags)
{
	static uint64_t bits[PAGES / 64];
	size_t have = (part.count + 63) / 64, count = have;
	int r = ww_get_bitmap(m->w, m->base + part.first * PAGE, part.count * PAGE, flags, bits,
			      &count);
	size_t set = 0;

	begin();
	if (r < 0 && count != have)
		fail("ww_get_bitmap failed and changed its count");
	for (size_t i = 0; r == 0 && i < have * 64; i++) {
		if (!(bits[i / 64] >> (i % 64) & 1))
			continue;
		report(m, part, m->base + (part.first + i) * PAGE);
		set++;
	}
	if (r == 0 && set != count)
		fail("ww_get_bitmap: %zu bits and a count of %zu", set, count);
	return finish(m, API_GET_BITMAP, part, flags, r);
}

int do_count(struct model *m, struct part part, unsigned flags)
{
	size_t count = 0, least = 0, most = 0;
	int r = ww_get(m->w, m->base + part.first * PAGE, part.count * PAGE, flags, NULL, &count);

	if (is_answer(m, part, flags, r) || checked(m, API_GET, r) < 0)
		return r;
	expect_success(m, part, flags);
	for (size_t i = part.first; i < part.first + part.count; i++) {
		least += is_due(&m->pages[i]);
		most += m->pages[i].may;
	}
	if (count < least || (is_exact(m) && count > most))
		fail("ww_get counts %zu pages of %zu that were written", count, least);
	return 0;
}

int do_reset(struct model *m, struct part part)
{
	int r = ww_reset(m->w, m->base + part.first * PAGE, part.count * PAGE);

	if (is_answer(m, part, 0, r) || checked(m, API_RESET, r) < 0)
		return r;
	expect_success(m, part, 0);
	for (size_t i = part.first; i < part.first + part.count; i++)
		m->pages[i].must = m->pages[i].may = false;
	return 0;
}
