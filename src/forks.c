/* SPDX-License-Identifier: MIT */
#include "forks.h"

#include <sys/mman.h>

#include "context.h"
#include "sys.h"

int forks_open(struct ww *w)
{
	const size_t size = FORKS_PAGES * w->page_size;
	void *pages;
	int r = context_map(w, &pages, size);

	if (r < 0)
		return r;
	/* Whoever wrote to another part of a huge page would get the right back for all of it. */
	sys_madvise((uintptr_t)pages, size, MADV_NOHUGEPAGE);
	/* Swapped out, they would fault as well. */
	sys_mlock((uintptr_t)pages, size);
	w->canary = pages;
	return 0;
}

void forks_close(struct ww *w)
{
	if (w->canary)
		sys_munmap(w->canary, FORKS_PAGES * w->page_size);
	w->canary = NULL;
}

void forks_mark(struct ww *w)
{
	for (size_t i = 0; i < FORKS_PAGES; i++)
		*(volatile char *)(w->canary + i * w->page_size) = 1;
}

bool forks_none_since(struct ww *w)
{
	for (size_t i = 0; i < FORKS_PAGES; i++)
		if (!sys_write_faults(w->canary + i * w->page_size))
			return true;
	return false;
}
