/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <sys/mman.h>

#include "mprotect.h"
#include "uapi/madvise.h"

/*
 * A page that is un-protected among protected ones divides a mapping, and a process may have only
 * so many. Past its share the backend un-protects more around the page, which joins mappings again
 * and reports pages that nobody wrote.
 */
#define BLOCK ((uintptr_t)2 << 20)

int mp_program_prot(uint8_t state)
{
	return (state & STATE_READ ? PROT_READ : 0) | (state & STATE_WRITE ? PROT_WRITE : 0) |
	       (state & STATE_EXEC ? PROT_EXEC : 0);
}

int mp_prot(uint8_t state)
{
	return mp_program_prot(state) & ~(mp_is_armed(state) ? PROT_WRITE : 0);
}

long mp_splits(const struct ww *w, uintptr_t start, uintptr_t end)
{
	uint8_t before = page_state(&w->states, start - w->page_size);
	long n = 0;

	for (uintptr_t page = start; page <= end; page += w->page_size) {
		uint8_t state = page_state(&w->states, page);

		n += mp_is_armed(before) != mp_is_armed(state);
		before = state;
	}
	return n;
}

static const uint8_t same_kind = (uint8_t)~STATE_WRITTEN, same_state = 0xff;

/* The pages around whose state is, masked, the same, but not beyond [from, to). */
static void spread(const struct ww *w, uintptr_t page, uintptr_t from, uintptr_t to, uint8_t mask,
		   uintptr_t *start, uintptr_t *end)
{
	uint8_t alike = page_state(&w->states, page) & mask;

	*start = page;
	while (*start > from && (page_state(&w->states, *start - w->page_size) & mask) == alike)
		*start -= w->page_size;
	*end = page_states_skip(&w->states, page, to, mask, alike);
}

/* Makes *start and *end, around the page, those of a piece without holes. */
static void keep_off_holes(const struct ww *w, uintptr_t page, uintptr_t *start, uintptr_t *end)
{
	uintptr_t low = *start, high = page, mask = ~(w->page_size - 1);

	while (low < high) {
		uintptr_t middle = (low + (high - low) / 2) & mask;

		if (sys_is_whole(middle, page + w->page_size - middle))
			high = middle;
		else
			low = middle + w->page_size;
	}
	*start = high;
	low = page + w->page_size;
	high = *end;
	while (low < high) {
		uintptr_t middle = ((low + (high - low) / 2) & mask) + w->page_size;

		if (sys_is_whole(page, middle - page))
			low = middle;
		else
			high = middle - w->page_size;
	}
	*end = low;
}

/* Of [start, end) what there is around the page: a hole would end it, perhaps before the page. */
static int unprotect(const struct ww *w, uintptr_t page, uintptr_t start, uintptr_t end, int prot)
{
	int r = sys_mprotect(start, end - start, prot);

	if (r == -ENOMEM && end - start > w->page_size) {
		keep_off_holes(w, page, &start, &end);
		r = sys_mprotect(start, end - start, prot);
	}
	return r;
}

/* page is the one that faulted; all others that were armed are reported for its sake. */
static int release(struct ww *w, uintptr_t page, uintptr_t start, uintptr_t end, int prot)
{
	long before = mp_splits(w, start, end);
	size_t others = 0;

	for (uintptr_t at = start; at < end; at += w->page_size)
		others += at != page && mp_is_armed(page_state(&w->states, at));
	page_states_change(&w->states, start, end, 0, STATE_WRITTEN);
	w->splits += mp_splits(w, start, end) - before;
	__atomic_fetch_add(&w->widened, others, __ATOMIC_RELAXED);
	return unprotect(w, page, start, end, prot);
}

/* Where the kernel has no mapping left all the same, what is joined with others costs none. */
static int release_all(struct ww *w, uintptr_t page, int prot)
{
	uintptr_t start, end;
	int r;

	spread(w, page, 0, UINTPTR_MAX, same_kind, &start, &end);
	r = release(w, page, start, end, prot);
	while (r == -ENOMEM && mp_spare_give(w))
		r = unprotect(w, page, start, end, prot);
	return r == -ENOMEM ? sys_mprotect(page, w->page_size, prot) : r;
}

static COLD int let_go(struct ww *w, uintptr_t page)
{
	uint8_t state = page_state(&w->states, page);
	uintptr_t start = page, end = page + w->page_size;
	uintptr_t block = page & ~(BLOCK - 1);
	uintptr_t block_end = block < UINTPTR_MAX - BLOCK ? block + BLOCK : UINTPTR_MAX;
	int prot = mp_program_prot(state), r;

	if (!(state & STATE_WRITE))
		return -EACCES;
	if (state & STATE_WRITTEN) {
		/* Another thread was quicker, or un-protecting them all ended at a hole. */
		spread(w, page, block, block_end, same_state, &start, &end);
		r = unprotect(w, page, start, end, prot);
		return r == -ENOMEM ? release_all(w, page, prot) : r;
	}
	if (w->splits >= 2 * w->most_splits)
		return release_all(w, page, prot);
	/* Stays so until pages were protected again, or every block would first be divided in full. */
	if (w->splits >= w->most_splits || w->splits < w->most_splits / 2)
		w->widens = w->splits >= w->most_splits;
	if (w->widens)
		spread(w, page, block, block_end, same_kind, &start, &end);
	r = release(w, page, start, end, prot);
	return r == -ENOMEM ? release_all(w, page, prot) : r;
}

/* Most faults are like this: no need to widen, and the states of both neighbours at hand. */
static bool let_go_alone(struct ww *w, uintptr_t page)
{
	long splits = w->splits;
	size_t count;
	uint8_t *p = page_states_at(&w->states, page, &count);

	if (!p || !mp_is_armed(*p) || page_states_at_edge(count) || w->widens ||
	    splits >= w->most_splits)
		return false;
	splits += mp_is_armed(p[-1]) ? 1 : -1;
	splits += mp_is_armed(p[1]) ? 1 : -1;
	page_states_note_write(p, count);
	if (sys_mprotect(page, w->page_size, mp_program_prot(*p)) == 0) {
		w->splits = splits;
		return true;
	}
	page_states_change(&w->states, page, page + w->page_size, STATE_WRITTEN, 0);
	return false;
}

/* It may have been SIGBUS, for what lies behind the end of a file. */
static COLD bool is_there(const struct ww *w, uintptr_t page)
{
	int r = sys_madvise(page, w->page_size, MADV_POPULATE_WRITE);

	/* Linux before 5.14: nothing there can be read either. */
	return r == -EINVAL ? sys_can_read(page) : r != -EFAULT;
}

/* In a child too: its memory is protected like its parent's, and so is the table. */
HOT int mp_fault(struct ww *w, uintptr_t page, bool doubt)
{
	bool armed = doubt && mp_is_armed(page_state(&w->states, page));

	if (!let_go_alone(w, page) && let_go(w, page) < 0)
		return 0;
	/* Where it had another reason besides, it comes again. */
	return !doubt || armed || is_there(w, page);
}
