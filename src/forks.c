/* SPDX-License-Identifier: MIT */
#include "forks.h"

#include <sys/mman.h>

#include "context.h"
#include "sys.h"

int forks_open(struct ww *w)
{
	void *page;
	int r = context_map(w, &page, w->page_size);

	if (r < 0)
		return r;
	/* Whoever wrote to another part of a huge page would get the right back for all of it. */
	sys_madvise((uintptr_t)page, w->page_size, MADV_NOHUGEPAGE);
	/* Swapped out, it would fault as well. */
	sys_mlock((uintptr_t)page, w->page_size);
	w->canary = page;
	return 0;
}

void forks_close(struct ww *w)
{
	if (w->canary)
		sys_munmap(w->canary, w->page_size);
	w->canary = NULL;
}

void forks_mark(struct ww *w)
{
	*(volatile char *)w->canary = 1;
}

bool forks_none_since(struct ww *w)
{
	return !sys_write_faults(w->canary);
}
