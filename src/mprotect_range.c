/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "faults.h"
#include "mprotect.h"
#include "uapi/madvise.h"

/* Ranges as a whole: how watching begins and ends, and marks. */

/* What can be written, can be read on every processor: protecting it must not end that. */
uint8_t mp_state_of(int prot)
{
	return STATE_WATCHED | (prot & (PROT_READ | PROT_WRITE) ? STATE_READ : 0) |
	       (prot & PROT_WRITE ? STATE_WRITE : 0) | (prot & PROT_EXEC ? STATE_EXEC : 0);
}

uintptr_t mp_same_until(const struct ww *w, uintptr_t start, uintptr_t end, uint8_t *state)
{
	*state = page_state(&w->states, start);
	return page_states_skip(&w->states, start, end, 0xff, *state);
}

/* Gives [start, end) the protection that its states ask for; the first error, but all is tried. */
static int apply(struct ww *w, uintptr_t start, uintptr_t end)
{
	int result = 0;

	while (start < end) {
		uint8_t state;
		uintptr_t stop = mp_same_until(w, start, end, &state);
		int r = state ? sys_mprotect(start, stop - start, mp_prot(state)) : 0;

		result = result < 0 ? result : r;
		start = stop;
	}
	return result;
}

/* A child may have a range of which its parent was just forgetting the states. */
static void change_watched(struct ww *w, uintptr_t start, uintptr_t end, uint8_t clear, uint8_t set)
{
	while (start < end) {
		uintptr_t from = page_states_skip(&w->states, start, end, STATE_WATCHED, 0);

		start = page_states_skip(&w->states, from, end, STATE_WATCHED, STATE_WATCHED);
		page_states_change(&w->states, from, start, clear, set);
	}
}

int mp_change(struct ww *w, uintptr_t start, uintptr_t end, uint8_t clear, uint8_t set)
{
	long before = mp_splits(w, start, end);

	change_watched(w, start, end, clear, set);
	w->splits += mp_splits(w, start, end) - before;
	return apply(w, start, end);
}

static int locked_change(struct ww *w, uintptr_t start, uintptr_t end, uint8_t clear, uint8_t set)
{
	sigset_t old;
	int r;

	clients_lock(&old);
	r = mp_change(w, start, end, clear, set);
	clients_unlock(&old);
	return r;
}

/* Memory that was protected by us does not show whether the program may write to it. */
static uint8_t merged_state(uint8_t before, int prot)
{
	uint8_t now = mp_state_of(prot);

	if (before & STATE_WRITE && (before & MP_PROT_BITS & ~STATE_WRITE) == (now & MP_PROT_BITS))
		now |= STATE_WRITE;
	return now;
}

/* Counts as written until it is armed. */
static void record(struct ww *w, uintptr_t start, uintptr_t end, const struct mapping *m)
{
	const uint8_t shared = m->kind == MAPPING_SHARED ? STATE_SHARED : 0;
	uintptr_t pos = start;

	w->splits -= mp_splits(w, start, end);
	while (pos < end) {
		uint8_t state;
		uintptr_t stop = mp_same_until(w, pos, end, &state);

		page_states_change(&w->states, pos, stop, 0xff,
				   merged_state(state, m->prot) | shared | STATE_WRITTEN);
		pos = stop;
	}
	w->splits += mp_splits(w, start, end);
}

int mp_may_give_back(int prot)
{
	const size_t size = sys_page_size();
	void *page;
	int r;

	if (!(prot & PROT_WRITE && prot & PROT_EXEC))
		return 0;
	r = sys_mmap(&page, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
	if (r < 0)
		return r;
	r = sys_mprotect((uintptr_t)page, size, prot & ~PROT_WRITE);
	if (r == 0)
		r = sys_mprotect((uintptr_t)page, size, prot);
	sys_munmap(page, size);
	return r == 0 || r == -ENOMEM ? r : -EACCES;
}

static int may_watch(struct ww *w, const struct mapping *m)
{
	int r;

	if (context_uses(w, m->start, m->end) || faults_need(m->start, m->end))
		return -ENOTSUP;
	r = mp_may_give_back(m->prot);
	if (r < 0)
		return r == -ENOMEM ? r : -ENOTSUP;
	return page_states_reserve(w, m->start, m->end);
}

/* With the lock: what m was told to be may be what another context has let go of since. */
static int renew(struct ww *w, struct mapping *m)
{
	struct maps_walk walk;
	struct mapping now;
	int r;

	if (clients.changes == w->changes)
		return 0;
	maps_walk(&walk, m->start, m->end);
	r = context_next_mapping(w, &walk, &now);
	if (r <= 0 || now.start != m->start || now.end != m->end)
		return r < 0 ? r : -ESTALE;
	m->prot = now.prot;
	return 0;
}

int mp_attach(struct ww *w, const struct mapping *m)
{
	struct mapping now = *m;
	sigset_t old;
	int r = may_watch(w, m);

	if (r < 0)
		return r;
	clients_lock(&old);
	r = clients_overlap(&w->client, m->start, m->end) ? -EBUSY : renew(w, &now);
	if (r == 0)
		record(w, m->start, m->end, &now);
	clients_unlock(&old);
	return r;
}

/* Without the list of mappings: what is not mapped has no byte for mincore(2) either. */
static int restore_pages(struct ww *w, uintptr_t start, uintptr_t end)
{
	int result = 0;

	for (uintptr_t page = start; page < end; page += w->page_size) {
		sigset_t old;
		int r;

		clients_lock(&old);
		r = apply(w, page, page + w->page_size);
		clients_unlock(&old);
		if (r == -ENOMEM && sys_is_mapped(page))
			result = r;
	}
	return result;
}

/* What is a hole by now is passed over, and so is what may not have the protection any more. */
static int restore_mapped(struct ww *w, uintptr_t start, uintptr_t end)
{
	struct maps_walk walk;
	struct mapping m;
	sigset_t old;
	int r, result = 0;

	maps_walk(&walk, start, end);
	while ((r = context_next_mapping(w, &walk, &m)) > 0) {
		clients_lock(&old);
		r = apply(w, m.start, m.end);
		clients_unlock(&old);
		if (r == -ENOMEM)
			result = r;
	}
	if (r < 0 && w->ends)
		return restore_pages(w, start, end);
	return r < 0 ? r : result;
}

static bool give_spare(struct ww *w)
{
	sigset_t old;
	bool given;

	clients_lock(&old);
	given = mp_spare_give(w);
	clients_unlock(&old);
	return given;
}

int mp_detach(struct ww *w, uintptr_t start, uintptr_t end)
{
	int r;

	/* Until all of it is un-protected it is watched. */
	r = locked_change(w, start, end, 0, STATE_WRITTEN);
	if (r < 0)
		r = restore_mapped(w, start, end);
	while (r == -ENOMEM && w->ends && give_spare(w))
		r = restore_mapped(w, start, end);
	if (r < 0)
		return -ENOMEM;
	client_forget(&w->client, start, end);
	return 0;
}

/* What counts as written may still be protected, where un-protecting it failed. */
static bool is_as_we_left_it(const struct ww *w, const struct mapping *m)
{
	int prot = mp_program_prot(mp_state_of(m->prot));
	uintptr_t pos = m->start;

	while (pos < m->end) {
		uint8_t state;

		pos = mp_same_until(w, pos, m->end, &state);
		if (mp_prot(state) != prot &&
		    (!(state & STATE_WRITTEN) || (mp_prot(state) & ~PROT_WRITE) != prot))
			return false;
	}
	return true;
}

/* With the lock, as faults change both sides of the comparison. */
int mp_attached(struct ww *w, uintptr_t start, uintptr_t end)
{
	struct maps_walk walk;
	struct mapping m;
	sigset_t old;
	int r;

	maps_walk(&walk, start, end);
	clients_lock(&old);
	while ((r = context_next_mapping(w, &walk, &m)) > 0)
		if (!is_as_we_left_it(w, &m))
			break;
	clients_unlock(&old);
	return r < 0 ? r : r == 0;
}

int mp_owns(struct ww *w, const struct mapping *m)
{
	return is_as_we_left_it(w, m) ? 1 : mp_attached(w, m->start, m->end);
}

/*
 * Mappings that were divided before anything was written to them get each their own record of where
 * their pages came from, and are never joined again: one written page before makes it one record.
 */
static void join_later(const struct ww *w, uintptr_t page)
{
	struct sys_file memory;
	sigset_t old;
	char byte;

	if (sys_madvise(page, w->page_size, MADV_POPULATE_WRITE) == 0)
		return;
	if (sys_open(&memory, "/proc/self/mem", O_RDWR) < 0)
		return;
	/* What nobody may write to, until ww_protect() allows it, stays what it is. */
	clients_lock(&old);
	if (!(page_state(&w->states, page) & STATE_WRITE) &&
	    sys_pread(memory.fd, &byte, 1, (off_t)page) == 1)
		sys_pwrite(memory.fd, &byte, 1, (off_t)page);
	clients_unlock(&old);
	sys_close(&memory);
}

int mp_arm(struct ww *w, struct range *r, enum mapping_kind kind)
{
	int n;

	r->mode = 0;
	if (kind == MAPPING_PRIVATE_ANON)
		join_later(w, r->start);
	faults_keep(w);
	mp_spare_make(w);
	n = locked_change(w, r->start, r->end, STATE_WRITTEN, 0);
	return n == 0 || n == -ENOMEM ? n : -ENOTSUP;
}

/* A page that is marked and still protected is un-protected when it faults. */
int mp_settle(struct ww *w, uintptr_t start, uintptr_t end)
{
	if (locked_change(w, start, end, 0, STATE_WRITTEN) < 0)
		restore_mapped(w, start, end);
	return 0;
}

int mp_arm_written(struct ww *w, struct range *r)
{
	r->mode = 0;
	return mp_settle(w, r->start, r->end);
}

int mp_mark(struct ww *w, struct range *r, uintptr_t start, uintptr_t end)
{
	(void)r;
	return mp_settle(w, start, end);
}

int mp_prepare(struct ww *w, struct range *r, uintptr_t start, uintptr_t end)
{
	int n = locked_change(w, start, end, 0, STATE_WRITTEN);

	(void)r;
	if (n < 0)
		n = restore_mapped(w, start, end);
	return n == 0 || n == -ENOMEM || n == -ESTALE ? n : -EIO;
}

/* Protected before the content goes: a write in between is a fault, and then it is reported. */
int mp_discard(struct ww *w, struct range *r, const struct mapping *m)
{
	int n = locked_change(w, m->start, m->end, STATE_WRITTEN, 0);

	(void)r;
	if (n == 0)
		n = maps_drop(m);
	if (n == 0)
		return 0;
	mp_settle(w, m->start, m->end);
	return n == -ENOMEM ? n : -ENOTSUP;
}
