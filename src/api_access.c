/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "context.h"
#include "mprotect.h"

/* What watching by protection takes away from a program: system calls that write, mprotect(2). */

static int prepare(struct ww *w, uintptr_t start, uintptr_t end)
{
	const struct backend_ops *ops = w->backend->ops;
	struct range *range = registry_first(&w->registry, start);
	int r = 0;

	for (; r == 0 && range && range->start < end; range = range_next(range))
		r = ops->prepare(w, range, range->start > start ? range->start : start,
				 range->end < end ? range->end : end);
	return r;
}

int ww_prepare_write(struct ww *w, void *addr, size_t len)
{
	uintptr_t start, end;
	int r;

	if (!w || context_pages(w, addr, len, &start, &end) < 0)
		return -EINVAL;
	if (!w->backend->ops->prepare)
		return 0;
	r = context_enter(w);
	if (r < 0)
		return r;
	r = prepare(w, start, end);
	context_leave(w);
	return r;
}

int ww_protect(struct ww *w, void *addr, size_t len, int prot)
{
	uintptr_t start, end;
	int r;

	if (!w || context_pages(w, addr, len, &start, &end) < 0 || start != (uintptr_t)addr)
		return -EINVAL;
	if (w->backend->ops != &backend_mprotect)
		return mp_protect(start, end, prot);
	r = context_enter(w);
	if (r < 0)
		return r;
	r = mp_protect(start, end, prot);
	context_leave(w);
	return r;
}
