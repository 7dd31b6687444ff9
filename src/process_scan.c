/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "process.h"

#define ALL_CATEGORIES ((uint64_t)(WW_PAGE_GUARD << 1) - 1)
#define ALL_FLAGS ((uint64_t)(WW_SCAN_RESET | WW_SCAN_WATCHED_ONLY))

uint64_t process_put(const struct ww_process *p, struct process_result *to, uint64_t start,
		     uint64_t end, uint64_t categories)
{
	struct ww_page_range *last = to->count ? &to->ranges[to->count - 1] : NULL;
	bool joins = last && last->end == start && last->categories == categories;
	uint64_t pages = (end - start) >> p->page_shift;

	if (!joins && to->count == to->room)
		return start;
	if (pages > to->pages_left) {
		pages = to->pages_left;
		end = start + (pages << p->page_shift);
	}
	if (!pages)
		return start;
	to->pages_left -= pages;
	to->pages += pages;
	if (joins)
		last->end = end;
	else
		to->ranges[to->count++] = (struct ww_page_range){start, end, categories};
	return end;
}

static bool is_zero(const unsigned char *p, size_t size)
{
	while (size && *p == 0)
		p++, size--;
	return size == 0;
}

/* Checks it, and makes its end the end of a page. */
static int check(const struct ww_process *p, struct ww_process_query *q)
{
	uint64_t conditions = q->required | q->any_of, mask = p->page_size - 1;

	if ((conditions | q->excluded | q->returned) & ~ALL_CATEGORIES || q->flags & ~ALL_FLAGS ||
	    conditions & q->excluded)
		return -EINVAL;
	if (q->start & mask || q->start > (q->end ? q->end : p->limit) || q->end > p->limit)
		return -EINVAL;
	q->end = q->end ? (q->end + mask) & ~mask : p->limit;
	q->refused = (conditions | q->excluded | q->returned) & ~p->categories;
	if (q->flags && !p->has_scan)
		q->refused |= WW_PAGE_WATCHED;
	return q->refused ? -ENOTSUP : 0;
}

static int scan(struct ww_process *p, struct ww_process_query *q, struct process_result *to)
{
	int r;

	pthread_mutex_lock(&p->lock);
	r = p->has_scan ? process_scan_ioctl(p, q, to) : process_scan_pagemap(p, q, to);
	/* The memory of a process that is gone looks empty to some kernels. */
	if (r < 0 || !p->has_scan || !to->count) {
		int gone = process_gone(p);

		r = gone < 0 ? gone : r;
		/* It may have been another file that was read. */
		if (r == -EBADF) {
			to->count = to->pages = 0;
			q->next = q->start;
		}
	}
	pthread_mutex_unlock(&p->lock);
	return r;
}

int ww_process_scan(struct ww_process *p, struct ww_process_query *query,
		    struct ww_page_range *ranges, size_t *count)
{
	struct ww_process_query q;
	struct process_result to;
	int r;

	if (!p || !query || !ranges || !count || !*count || query->size < sizeof(q) ||
	    !is_zero((const unsigned char *)query + sizeof(q), query->size - sizeof(q)))
		return -EINVAL;
	q = *query;
	q.next = q.start;
	to = (struct process_result){.ranges = ranges, .room = *count};
	to.pages_left = q.max_pages ? q.max_pages : UINT64_MAX;
	r = check(p, &q);
	if (r == 0)
		r = scan(p, &q, &to);
	query->end = q.end;
	query->next = q.next;
	query->pages = to.pages;
	query->refused = q.refused;
	*count = to.count;
	return r;
}

uint64_t ww_process_categories(struct ww_process *p)
{
	return p ? p->categories : 0;
}
