/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <sys/mman.h>

#include "mprotect.h"

/* The program's own protection of what is watched, by whichever context. */

/*
 * Of a page that is armed, the kernel is not asked for the right to write before somebody does. Asks
 * for it at another address, by the first page: pages of one state mostly are one mapping. Private
 * memory cannot be had twice; there a policy may be in the way. Where that cannot be asked, or room is
 * what is missing, the write will tell.
 */
static int ask_for_write(struct ww *w, uintptr_t page, int prot)
{
	void *copy;
	int r;

	if (page_state(&w->states, page) & STATE_SHARED) {
		r = sys_mremap_copy(page, w->page_size, &copy);
		if (r < 0)
			return 0;
		r = sys_mprotect((uintptr_t)copy, w->page_size, prot);
		sys_munmap(copy, w->page_size);
	} else {
		r = mp_may_give_back(prot);
	}
	return r == -EACCES || r == -EPERM ? r : 0;
}

/* With the lock; start to end are in the same state, which stays if the kernel refuses the new one. */
static int protect_alike(struct ww *w, uintptr_t start, uintptr_t end, uint8_t bits)
{
	uint8_t before = page_state(&w->states, start) & MP_PROT_BITS;
	int r = bits & ~before & STATE_WRITE ? ask_for_write(w, start, mp_program_prot(bits)) : 0;

	if (r < 0)
		return r;
	r = mp_change(w, start, end, MP_PROT_BITS & ~bits, bits);
	if (r < 0)
		mp_change(w, start, end, MP_PROT_BITS & ~before, before);
	return r;
}

/* With the lock: the context that watches what is at start, or NULL, and where that ends. */
static uintptr_t watched_until(uintptr_t start, uintptr_t end, struct ww **out)
{
	*out = NULL;
	for (struct client *c = clients.first; c; c = c->next) {
		uintptr_t next;

		if (c->kind != &backend_mprotect)
			continue;
		next = page_states_skip(c->states, start, end, STATE_WATCHED, 0);
		if (next == start) {
			*out = c->w;
			return page_states_skip(c->states, start, end, STATE_WATCHED,
						STATE_WATCHED);
		}
		end = next < end ? next : end;
	}
	return end;
}

/* On an error some of it may have the new protection, as after mprotect(2). */
static int protect(uintptr_t start, uintptr_t end, int prot)
{
	int n = 0;

	while (n == 0 && start < end) {
		struct ww *w;
		uintptr_t stop = watched_until(start, end, &w);
		uint8_t state;

		if (w) {
			stop = mp_same_until(w, start, stop, &state);
			n = protect_alike(w, start, stop, mp_state_of(prot) & MP_PROT_BITS);
		} else {
			n = sys_mprotect(start, stop - start, prot);
		}
		start = stop;
	}
	return n;
}

static bool any_watched(uintptr_t start, uintptr_t end)
{
	struct ww *w;

	return watched_until(start, end, &w) < end || w;
}

int mp_protect(uintptr_t start, uintptr_t end, int prot)
{
	sigset_t old;
	int n;

	if (!clients_begun())
		return sys_mprotect(start, end - start, prot);
	clients_lock(&old);
	clients_count_change();
	/* The states have no place for more. */
	if (prot & ~(PROT_READ | PROT_WRITE | PROT_EXEC) && any_watched(start, end))
		n = -EINVAL;
	else
		n = protect(start, end, prot);
	clients_unlock(&old);
	return n;
}
