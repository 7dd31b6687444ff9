/* SPDX-License-Identifier: MIT */
/*
 * Mappings in reserve. Un-protecting everything joins mappings, but not those of the program: where
 * it has used up all that a process may have, and memory of its own is one mapping with ours because
 * both are read-only, un-protecting takes one more. Every other page of a piece of memory is
 * inaccessible, and made like the others to give two mappings up.
 */
#include <errno.h>
#include <sys/mman.h>

#include "mprotect.h"

#define SPARES (MP_SPARE_PAGES / 2)

static uintptr_t spare_page(const struct ww *w, unsigned i)
{
	return (uintptr_t)w->spare_memory + (2 * i + 1) * w->page_size;
}

/* Changed with the lock only; a handler may do that while somebody looks whether any are missing. */
static unsigned spares(const struct ww *w)
{
	return __atomic_load_n(&w->spares, __ATOMIC_RELAXED);
}

static void set_spares(struct ww *w, unsigned n)
{
	__atomic_store_n(&w->spares, n, __ATOMIC_RELAXED);
}

static int divide(struct ww *w)
{
	sigset_t old;
	int r = 0;

	clients_lock(&old);
	while (r == 0 && spares(w) < SPARES) {
		r = sys_mprotect(spare_page(w, spares(w)), w->page_size, PROT_NONE);
		set_spares(w, spares(w) + (r == 0));
	}
	clients_unlock(&old);
	return r;
}

int mp_spare_make(struct ww *w)
{
	if (!w->spare_memory) {
		int r = context_map(w, &w->spare_memory, MP_SPARE_PAGES * w->page_size);

		if (r < 0)
			return r;
	}
	return spares(w) < SPARES ? divide(w) : 0;
}

bool mp_spare_give(struct ww *w)
{
	if (spares(w) == 0)
		return false;
	set_spares(w, spares(w) - 1);
	return sys_mprotect(spare_page(w, spares(w)), w->page_size, PROT_READ | PROT_WRITE) == 0;
}

void mp_spare_free(struct ww *w)
{
	if (w->spare_memory)
		sys_munmap(w->spare_memory, MP_SPARE_PAGES * w->page_size);
	w->spare_memory = NULL;
	set_spares(w, 0);
}
