/* SPDX-License-Identifier: MIT */
/*
 * What was written, as get, clear, or both. Where the kernel cannot clear what is reported and
 * nothing else, or failed after it cleared, what it was told to forget is kept here until it is
 * reported.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>

#include "backend.h"
#include "clients.h"
#include "process.h"

#define ALL_FLAGS ((unsigned)(WW_MEMWATCH_GET | WW_MEMWATCH_CLEAR | WW_MEMWATCH_PAGES_ONLY))
#define HELD ((uint64_t)(WW_PAGE_PRESENT | WW_PAGE_SWAPPED))

/**
 * struct watch - one call
 * @written: the category that tells: WRITTEN, or SOFT_DIRTY
 * @found:   what there is to be reported: of pages that hold something, and of empty ones
 */
struct watch {
	struct ww_process *p;
	uint64_t start;
	uint64_t end;
	unsigned flags;
	uint64_t written;
	uint64_t *vec;
	size_t vec_len;
	struct kept_merge found[2];
};

static bool put_nothing(struct process_result *to, uint64_t start, uint64_t end,
			uint64_t categories)
{
	(void)to, (void)start, (void)end, (void)categories;
	return true;
}

static bool put_numbers(struct process_result *to, uint64_t start, uint64_t end,
			uint64_t categories)
{
	uint64_t number = (start - to->base) >> to->page_shift;

	(void)categories;
	for (uint64_t n = to->pages; start < end; start += UINT64_C(1) << to->page_shift)
		to->vec[n++] = number++;
	return true;
}

static bool put_in_list(struct process_result *to, uint64_t start, uint64_t end,
			uint64_t categories)
{
	kept_merge_put(&to->list[!(categories & HELD)], start, end);
	return true;
}

static bool is_soft_dirty(const struct watch *w)
{
	return w->written == WW_PAGE_SOFT_DIRTY;
}

static struct ww_process_query question(const struct watch *w)
{
	return (struct ww_process_query){
		.size = sizeof(struct ww_process_query),
		.start = w->start,
		.end = w->end,
		.next = w->start,
		.required = w->written,
		.any_of = w->flags & WW_MEMWATCH_PAGES_ONLY ? HELD : 0,
		/* They have no content, and cannot be cleared. */
		.excluded = w->p->categories & WW_PAGE_GUARD,
		.flags = !is_soft_dirty(w) && w->flags & WW_MEMWATCH_CLEAR ? WW_SCAN_RESET : 0,
	};
}

/* The other errors come before anything is done, or when there is no memory left to speak of. */
static bool may_have_reset(const struct ww_process_query *q, int error)
{
	return q->flags && (error == -ENOMEM || error == -EIO);
}

/* Straight from the kernel into the vector. */
static ssize_t direct(struct watch *w)
{
	struct ww_process_query q = question(w);
	struct process_result to = {
		.put = w->vec ? put_numbers : put_nothing,
		.room = SIZE_MAX,
		.pages_left = w->vec ? w->vec_len : UINT64_MAX,
		.page_shift = w->p->page_shift,
		.vec = w->vec,
		.base = w->start,
	};
	int r;

	/* What a failure has to note then, it can. */
	r = q.flags ? kept_reserve(&w->p->kept, w->p->kept.count + 1) : 0;
	if (r < 0)
		return r;
	q.returned = q.required;
	r = process_scan(w->p, &q, &to);
	if (may_have_reset(&q, r))
		kept_add(&w->p->kept, w->start, w->end);
	return r < 0 ? r : w->vec ? (ssize_t)to.pages : 0;
}

/*
 * What the kernel and what was kept before know, of the range or of the whole process, into
 * w->found. What of it was reset is there also on an error.
 */
static int gather(struct watch *w, bool whole)
{
	struct ww_process_query q = question(w);
	struct process_result to = {
		.put = put_in_list,
		.room = SIZE_MAX,
		.pages_left = UINT64_MAX,
		.page_shift = w->p->page_shift,
		.list = w->found,
	};
	int r = kept_merge_begin(&w->found[0], &w->p->kept);

	if (r == 0)
		r = kept_merge_begin(&w->found[1], &w->p->kept_empty);
	if (r < 0)
		return r;
	if (whole) {
		q.start = q.next = 0;
		q.end = w->p->limit;
	}
	q.any_of = 0;
	q.returned = HELD;
	r = process_scan(w->p, &q, &to);
	if (may_have_reset(&q, r))
		kept_merge_put(&w->found[0], q.next, q.end);
	kept_merge_end(&w->found[0]);
	kept_merge_end(&w->found[1]);
	return r;
}

/* From here on that is what is kept. */
static void keep(struct watch *w)
{
	kept_free(&w->p->kept);
	kept_free(&w->p->kept_empty);
	w->p->kept = w->found[0].list;
	w->p->kept_empty = w->found[1].list;
	w->found[0].list = w->found[1].list = (struct kept){0};
}

static bool next_of(const struct kept *held, const struct kept *empty, uint64_t start, uint64_t end,
		    struct kept_range *out)
{
	struct kept_range other;
	bool found = kept_next(held, start, end, out);

	if (!empty || !kept_next(empty, start, found ? out->start : end, &other))
		return found;
	*out = other;
	return true;
}

/* Reports from the lists; *upto is where it came. */
static ssize_t report(const struct watch *w, const struct kept *held, const struct kept *empty,
		      uint64_t *upto)
{
	struct process_result to = {
		.put = put_numbers,
		.pages_left = w->vec_len,
		.page_shift = w->p->page_shift,
		.vec = w->vec,
		.base = w->start,
	};
	struct kept_range r;

	if (w->flags & WW_MEMWATCH_PAGES_ONLY)
		empty = NULL;
	*upto = w->start;
	while (w->vec && to.pages_left && next_of(held, empty, *upto, w->end, &r))
		*upto = process_put(&to, r.start, r.end, 0);
	if (!w->vec || to.pages_left)
		*upto = w->end;
	return (ssize_t)to.pages;
}

static int clear_soft_dirty(struct ww_process *p)
{
	struct sys_file file;
	ssize_t n;
	int r = process_file(p, &file, "clear_refs", O_WRONLY);

	if (r < 0)
		return r == -EPERM || r == -ENOENT ? -EACCES : r;
	/* A new program has bits of its own. */
	r = process_gone(p);
	n = r < 0 ? r : sys_write(file.fd, "4", 1);
	sys_close(&file);
	return n == 1 ? 0 : n == -ESRCH || r < 0 ? (int)n : -EIO;
}

static ssize_t by_lists(struct watch *w)
{
	const bool clear = w->flags & WW_MEMWATCH_CLEAR, whole = clear && is_soft_dirty(w);
	struct ww_process *p = w->p;
	ssize_t n = gather(w, whole);
	uint64_t upto;

	if (n == 0 && whole)
		n = clear_soft_dirty(p);
	/* In the lists is all that the kernel may have forgotten, whether or not it failed. */
	if (clear && w->found[1].list.room)
		keep(w);
	if (n == 0 && clear) {
		n = report(w, &p->kept, &p->kept_empty, &upto);
		kept_remove(&p->kept, w->start, upto);
		if (!(w->flags & WW_MEMWATCH_PAGES_ONLY))
			kept_remove(&p->kept_empty, w->start, upto);
	} else if (n == 0) {
		n = report(w, &w->found[0].list, &w->found[1].list, &upto);
	}
	kept_free(&w->found[0].list);
	kept_free(&w->found[1].list);
	return n;
}

/* Decides by what it is to be told; *limits is what is not as it should be then. */
static int choose(struct watch *w, bool takes_limits, unsigned *limits)
{
	const struct ww_process *p = w->p;
	int r = p->has_scan ? process_check_watched(p, w->start, w->end) : -EPERM;

	*limits = 0;
	w->written = WW_PAGE_WRITTEN;
	if (r != -EPERM)
		return r;
	w->written = WW_PAGE_SOFT_DIRTY;
	if (w->flags & WW_MEMWATCH_GET)
		*limits |= WW_MEMWATCH_NEW_MAPPINGS;
	if (w->flags & WW_MEMWATCH_CLEAR)
		*limits |= WW_MEMWATCH_PROCESS_WIDE | WW_MEMWATCH_NOT_ATOMIC;
	if (!(p->categories & WW_PAGE_SOFT_DIRTY) ||
	    (w->flags & WW_MEMWATCH_CLEAR && !takes_limits))
		return -ENOTSUP;
	if (w->flags & WW_MEMWATCH_CLEAR && process_is_ours(p) &&
	    clients_have(&backend_soft_dirty))
		return -EBUSY;
	return 0;
}

static ssize_t run(struct watch *w, unsigned *limits)
{
	const struct ww_process *p = w->p;
	struct kept_range r;
	unsigned what;
	int error = choose(w, limits, &what);

	if (error < 0) {
		int gone = process_gone(p);

		return gone < 0 ? gone : error;
	}
	if (limits)
		*limits = what;
	if (!(is_soft_dirty(w) && w->flags & WW_MEMWATCH_CLEAR) &&
	    !next_of(&p->kept, &p->kept_empty, w->start, w->end, &r))
		return direct(w);
	return by_lists(w);
}

ssize_t ww_process_memwatch(struct ww_process *p, uint64_t start, uint64_t len, unsigned flags,
			    uint64_t *vec, size_t vec_len, unsigned *limits)
{
	const bool get = flags & WW_MEMWATCH_GET;
	struct watch w = {.p = p, .start = start, .flags = flags, .vec = vec};
	uint64_t mask;
	ssize_t n;

	if (!p || flags & ~ALL_FLAGS || !(flags & (WW_MEMWATCH_GET | WW_MEMWATCH_CLEAR)) ||
	    get != !!vec || get != !!vec_len)
		return -EINVAL;
	mask = p->page_size - 1;
	if (start & mask || !len || start > p->limit || len > p->limit - start)
		return -EINVAL;
	w.end = (start + len + mask) & ~mask;
	w.vec_len = vec_len > SSIZE_MAX ? SSIZE_MAX : vec_len;
	pthread_mutex_lock(&p->lock);
	n = run(&w, limits);
	pthread_mutex_unlock(&p->lock);
	return n;
}
