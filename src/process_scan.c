/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "process.h"

#define ALL_CATEGORIES ((uint64_t)(WW_PAGE_GUARD << 1) - 1)
#define ALL_FLAGS ((uint64_t)(WW_SCAN_RESET | WW_SCAN_WATCHED_ONLY))

uint64_t process_put(struct process_result *to, uint64_t start, uint64_t end, uint64_t categories)
{
	uint64_t pages = (end - start) >> to->page_shift;

	if (pages > to->pages_left) {
		pages = to->pages_left;
		end = start + (pages << to->page_shift);
	}
	if (!pages || !to->put(to, start, end, categories))
		return start;
	if (to->pages_left != UINT64_MAX)
		to->pages_left -= pages;
	to->pages += pages;
	return end;
}

static bool put_range(struct process_result *to, uint64_t start, uint64_t end, uint64_t categories)
{
	struct ww_page_range *last = to->count ? &to->ranges[to->count - 1] : NULL;

	if (last && last->end == start && last->categories == categories)
		last->end = end;
	else if (to->count < to->room)
		to->ranges[to->count++] = (struct ww_page_range){start, end, categories};
	else
		return false;
	return true;
}

struct process_result process_into(const struct ww_process *p, struct ww_page_range *ranges,
				   size_t room)
{
	return (struct process_result){
		.put = put_range,
		.room = room,
		.pages_left = UINT64_MAX,
		.page_shift = p->page_shift,
		.ranges = ranges,
	};
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

int process_scan(struct ww_process *p, struct ww_process_query *q, struct process_result *to)
{
	int r = p->has_scan ? process_scan_ioctl(p, q, to) : process_scan_pagemap(p, q, to);
	/* The memory of a process that is gone looks empty to some kernels. */
	if (r < 0 || !p->has_scan || !to->pages) {
		int gone = process_gone(p);

		r = gone < 0 ? gone : r;
		/* It may have been another file that was read. */
		if (r == -EBADF) {
			to->count = to->pages = 0;
			q->next = q->start;
		}
	}
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
	to = process_into(p, ranges, *count);
	if (q.max_pages)
		to.pages_left = q.max_pages;
	r = check(p, &q);
	if (r == 0) {
		pthread_mutex_lock(&p->lock);
		r = process_scan(p, &q, &to);
		pthread_mutex_unlock(&p->lock);
	}
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
