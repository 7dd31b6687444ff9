/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <sys/mman.h>

#include "context.h"
#include "forks.h"
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

/* Leaves the front of what was reserved, for use; or nothing. */
static int take_front(char *at, size_t reserved, size_t size)
{
	int r = reserved > size ? sys_munmap(at + size, reserved - size) : 0;

	if (r < 0) {
		sys_munmap(at, reserved);
		return r;
	}
	r = sys_mprotect((uintptr_t)at, size, PROT_READ | PROT_WRITE);
	if (r < 0)
		sys_munmap(at, size);
	return r;
}

/*
 * Of the holes that are found, more and more is held at a time, until there is more than fits into
 * any of them.
 */
static int map_outside(const struct ww *w, void **out, size_t size, int kind)
{
	struct {
		void *at;
		size_t size;
	} wrong[MAP_TRIES];
	size_t n = 0, want = size;
	int r = -ENOMEM;
	void *at;

	while (n < MAP_TRIES) {
		r = sys_mmap(&at, want, PROT_NONE, kind | MAP_ANONYMOUS | MAP_NORESERVE);
		if (r < 0 || !is_watched(w, (uintptr_t)at, (uintptr_t)at + want))
			break;
		wrong[n].at = at;
		wrong[n++].size = want;
		r = -ENOMEM;
		/* What cannot be had fails the next time. */
		want = want > SIZE_MAX / 4 ? SIZE_MAX / 2 : 2 * want;
	}
	if (r == 0)
		r = take_front(at, want, size);
	if (r == 0)
		*out = at;
	while (n-- > 0)
		sys_munmap(wrong[n].at, wrong[n].size);
	return r;
}

static int map(const struct ww *w, void **out, size_t size, int kind)
{
	const size_t page_size = sys_page_size();
	void *at;
	int r;

	size = (size + page_size - 1) & ~(page_size - 1);
	r = sys_mmap(&at, size, PROT_READ | PROT_WRITE, kind | MAP_ANONYMOUS);
	if (r < 0)
		return r;
	if (is_watched(w, (uintptr_t)at, (uintptr_t)at + size)) {
		void *wrong = at;

		r = map_outside(w, &at, size, kind);
		sys_munmap(wrong, size);
	}
	if (r == 0)
		*out = at;
	return r;
}

int context_map(const struct ww *w, void **out, size_t size)
{
	return map(w, out, size, MAP_PRIVATE);
}

int context_map_shared(const struct ww *w, void **out, size_t size)
{
	return map(w, out, size, MAP_SHARED);
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
	       range_meets(start, end, w->canary, FORKS_PAGES * w->page_size) ||
	       range_meets(start, end, w->unreadable, w->page_size) ||
	       range_meets(start, end, w->words, PM_WORDS * sizeof(*w->words)) ||
	       range_meets(start, end, w->spare_memory, MP_SPARE_PAGES * w->page_size);
}
