/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "process.h"

static uint64_t least(uint64_t a, uint64_t b, uint64_t c)
{
	uint64_t ab = a < b ? a : b;

	return ab < c ? ab : c;
}

/* One call, from *start on, which moves on. */
static int step(struct ww_process *p, const struct ww_process_query *q, struct process_result *to,
		uint64_t *start)
{
	struct wwk_pm_scan_arg arg = {
		.size = sizeof(arg),
		.flags = q->flags & WW_SCAN_RESET ? WWK_PM_SCAN_WP_MATCHING : 0,
		.start = *start,
		.end = q->end,
		.vec = (uintptr_t)p->regions,
		/* The kernel allocates by the size of the vector. */
		.vec_len = least(PROCESS_REGIONS, to->room - to->count,
				 (q->end - *start) >> p->page_shift),
		.max_pages = to->pages_left == UINT64_MAX ? 0 : to->pages_left,
		.category_inverted = q->excluded,
		.category_mask = q->required | q->excluded,
		.category_anyof_mask = q->any_of,
		.return_mask = q->returned,
	};
	long n = sys_ioctl(p->pagemap.fd, WWK_PAGEMAP_SCAN, &arg);
	uint64_t before = *start;

	if (n < 0)
		return n == -ENOMEM || n == -ESRCH ? (int)n : -EIO;
	if ((uint64_t)n > arg.vec_len)
		return -EIO;
	for (long i = 0; i < n; i++) {
		const struct wwk_page_region *v = &p->regions[i];

		if (v->start < *start || v->end <= v->start || v->end > q->end ||
		    process_put(to, v->start, v->end, v->categories) != v->end)
			return -EIO;
		*start = v->end;
	}
	/* Unless the kernel stopped early, it saw all; where it says it stopped may be too low. */
	if ((uint64_t)n < arg.vec_len && to->pages_left)
		*start = q->end;
	else if (arg.walk_end > *start && arg.walk_end <= q->end)
		*start = arg.walk_end;
	return *start > before ? 0 : -EIO;
}

/*
 * Whether all that is mapped is watched. A resetting scan could be told to check, but would have
 * reset what comes before the mapping that it fails for. This one is for watched mappings that are
 * not watched: it looks at each mapping and no page.
 */
int process_check_watched(const struct ww_process *p, uint64_t start, uint64_t end)
{
	struct wwk_pm_scan_arg arg = {
		.size = sizeof(arg),
		.flags = WWK_PM_SCAN_CHECK_WPASYNC,
		.start = start,
		.end = end,
		.vec = (uintptr_t)p->regions,
		.vec_len = 1,
		.category_inverted = WWK_PAGE_IS_WPALLOWED,
		.category_mask = WWK_PAGE_IS_WPALLOWED,
		.return_mask = WWK_PAGE_IS_WPALLOWED,
	};
	long r = sys_ioctl(p->pagemap.fd, WWK_PAGEMAP_SCAN, &arg);

	return r >= 0 ? 0 : r == -EPERM || r == -ENOMEM || r == -ESRCH ? (int)r : -EIO;
}

/* Part of a huge page cannot be reset, and kernels do not agree on what becomes of the rest. */
static int check_kinds(struct ww_process *p, uint64_t start, uint64_t end)
{
	struct maps_walk walk;
	struct mapping m;
	int r;

	maps_walk(&walk, (uintptr_t)start, (uintptr_t)end);
	while ((r = maps_next(&p->maps, &walk, &m)) == 0)
		if (m.kind == MAPPING_HUGETLB)
			return -ENOTSUP;
	return r == -ENOENT ? 0 : r == -ENOMEM || r == -ESRCH ? r : -EIO;
}

int process_scan_unchecked(struct ww_process *p, struct ww_process_query *q,
			   struct process_result *to)
{
	int r = 0;

	q->next = q->start;
	while (r == 0 && q->next < q->end && to->pages_left && to->count < to->room)
		r = step(p, q, to, &q->next);
	return r;
}

int process_scan_ioctl(struct ww_process *p, struct ww_process_query *q, struct process_result *to)
{
	int r = 0;

	q->next = q->start;
	if (q->flags & WW_SCAN_WATCHED_ONLY)
		r = process_check_watched(p, q->start, q->end);
	if (r == 0 && q->flags & WW_SCAN_RESET)
		r = check_kinds(p, q->start, q->end);
	return r < 0 ? r : process_scan_unchecked(p, q, to);
}
