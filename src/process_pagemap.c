/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "pagemap.h"
#include "process.h"

/* The bits of a word that make out whether a page has any of the categories. */
static uint64_t bits_of(uint64_t categories)
{
	static const uint64_t bits[][2] = {
		{WW_PAGE_WRITTEN, PM_UFFD_WP},
		{WW_PAGE_FILE, PM_FILE},
		{WW_PAGE_PRESENT, PM_PRESENT},
		{WW_PAGE_SWAPPED, PM_PRESENT | PM_SWAPPED | PM_UFFD_WP},
		{WW_PAGE_SOFT_DIRTY, PM_SOFT_DIRTY},
		{WW_PAGE_GUARD, PM_GUARD},
	};
	uint64_t all = 0;

	for (size_t i = 0; i < sizeof(bits) / sizeof(*bits); i++)
		if (categories & bits[i][0])
			all |= bits[i][1];
	return all;
}

static uint64_t categories_of(uint64_t word)
{
	uint64_t c = 0;

	if (word & PM_PRESENT)
		c |= WW_PAGE_PRESENT;
	/* Of a marker in a huge page of hugetlbfs, that it is one is all that is told. */
	else if (word & (PM_SWAPPED | PM_UFFD_WP))
		c |= WW_PAGE_SWAPPED;
	/* Also what is empty, as PAGEMAP_SCAN has it for watched memory. */
	if (!(word & PM_UFFD_WP))
		c |= WW_PAGE_WRITTEN;
	if (word & PM_FILE)
		c |= WW_PAGE_FILE;
	if (word & PM_SOFT_DIRTY)
		c |= WW_PAGE_SOFT_DIRTY;
	if (word & PM_GUARD)
		c |= WW_PAGE_GUARD;
	return c;
}

static bool matches(const struct ww_process_query *q, uint64_t c)
{
	return (c & q->required) == q->required && !(c & q->excluded) &&
	       (!q->any_of || c & q->any_of);
}

/* These bits of the words of [start, end); false if there is no more room, or need. */
static bool take(struct ww_process *p, struct ww_process_query *q, struct process_result *to,
		 uint64_t bits, uint64_t start, uint64_t end)
{
	const size_t count = (end - start) >> p->page_shift;

	for (size_t i = 0, next; i < count; i = next) {
		uint64_t word = p->words[i] & bits, c = categories_of(word), from, stop;

		for (next = i + 1; next < count && (p->words[next] & bits) == word; next++)
			;
		from = start + ((uint64_t)i << p->page_shift);
		stop = start + ((uint64_t)next << p->page_shift);
		if (!matches(q, c))
			continue;
		q->next = process_put(to, from, stop, c & q->returned);
		if (q->next != stop || !to->pages_left)
			return false;
	}
	q->next = end;
	return true;
}

/* 1 if all of the mapping was taken. */
static int take_mapping(struct ww_process *p, struct ww_process_query *q, struct process_result *to,
			const struct mapping *m)
{
	const uint64_t most = (uint64_t)PM_WORDS << p->page_shift;
	/* A huge page of zeros shows as if it were a file's. */
	const uint64_t ignored = m->kind == MAPPING_PRIVATE_ANON ? PM_FILE : 0;
	const uint64_t bits = bits_of(q->required | q->any_of | q->excluded | q->returned) &
			      ~ignored;

	for (uint64_t start = m->start, end; start < m->end; start = end) {
		int r;

		end = m->end - start > most ? start + most : m->end;
		r = pagemap_words(p->pagemap.fd, (uintptr_t)start,
				  (size_t)((end - start) >> p->page_shift), p->words);
		if (r < 0)
			return r;
		if (!take(p, q, to, bits, start, end))
			return 0;
	}
	return 1;
}

int process_scan_pagemap(struct ww_process *p, struct ww_process_query *q,
			 struct process_result *to)
{
	struct maps_walk walk;
	struct mapping m;
	int r;

	q->next = q->start;
	maps_walk(&walk, (uintptr_t)q->start, (uintptr_t)q->end);
	while ((r = maps_next(&p->maps, &walk, &m)) == 0) {
		r = take_mapping(p, q, to, &m);
		if (r <= 0)
			break;
	}
	if (r == -ENOENT) {
		q->next = q->end;
		r = 0;
	}
	return r == 0 || r == -ENOMEM || r == -ESRCH ? r : -EIO;
}
