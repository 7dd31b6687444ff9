/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <sys/mman.h>

#include "context.h"
#include "mprotect.h"
#include "pagemap.h"

/* Memory for the library's own use, apart from what is watched. */

/* How many holes in watched memory may be found before there is other room. */
#define MAP_TRIES 64

static bool is_watched(const struct ww *w, uintptr_t start, uintptr_t end)
{
	const struct range *r = w ? registry_first(&w->registry, start) : NULL;
	bool watched = r && r->start < end;
	sigset_t old;

	if (watched || !clients_begun())
		return watched;
	clients_lock(&old);
	watched = clients_watch(start, end);
	clients_unlock(&old);
	return watched;
}

int context_map(const struct ww *w, void **out, size_t size)
{
	const size_t page_size = sys_page_size();
	void *wrong[MAP_TRIES], *at = NULL;
	size_t n = 0;
	int r = 0;

	size = (size + page_size - 1) & ~(page_size - 1);
	while (r == 0) {
		r = sys_mmap(&at, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
		if (r < 0 || !is_watched(w, (uintptr_t)at, (uintptr_t)at + size))
			break;
		wrong[n++] = at;
		r = n < MAP_TRIES ? 0 : -ENOMEM;
	}
	while (n)
		sys_munmap(wrong[--n], size);
	if (r == 0)
		*out = at;
	return r;
}

bool context_uses(const struct ww *w, uintptr_t start, uintptr_t end)
{
	bool used = false;
	sigset_t old;

	/* Handlers write to the tables of every context. */
	if (clients_begun()) {
		clients_lock(&old);
		used = clients_use(start, end);
		clients_unlock(&old);
	}
	return used || range_meets(start, end, w, sizeof(*w)) ||
	       range_meets(start, end, w->guard, w->page_size) ||
	       range_meets(start, end, w->canary, w->page_size) ||
	       range_meets(start, end, w->words, PM_WORDS * sizeof(*w->words)) ||
	       range_meets(start, end, w->spare_memory, MP_SPARE_PAGES * w->page_size);
}
