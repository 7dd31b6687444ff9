/* SPDX-License-Identifier: MIT */
#ifndef WW_MPROTECT_H
#define WW_MPROTECT_H

/* What the files of the mprotect backend share. */

#include "context.h"

/* Written, or not writable for the program: no fault is waited for. */
static inline bool mp_is_armed(uint8_t state)
{
	return (state & (STATE_WATCHED | STATE_WRITE | STATE_WRITTEN)) ==
	       (STATE_WATCHED | STATE_WRITE);
}

#define MP_PROT_BITS (STATE_READ | STATE_WRITE | STATE_EXEC)

/* Of a watched page with this protection of the program's. */
uint8_t mp_state_of(int prot);
/* The program's own protection, and what it comes to while the page is in this state. */
int mp_program_prot(uint8_t state);
int mp_prot(uint8_t state);

/* How many boundaries between protected and unprotected pages there are in and around. */
long mp_splits(const struct ww *w, uintptr_t start, uintptr_t end);
/* Of w->spare_memory. */
#define MP_SPARE_PAGES 17

/* Makes mappings in reserve, or as many as were given up. */
int mp_spare_make(struct ww *w);
/* Gives up two mappings, if there are any left. With the lock. */
bool mp_spare_give(struct ww *w);
void mp_spare_free(struct ww *w);

/* End of the pages behind start that are in the same state. */
uintptr_t mp_same_until(const struct ww *w, uintptr_t start, uintptr_t end, uint8_t *state);
/* Changes bits of the states of what is watched, and its protection with them. With the lock. */
int mp_change(struct ww *w, uintptr_t start, uintptr_t end, uint8_t clear, uint8_t set);
/*
 * -EACCES: a policy (PR_SET_MDWE, SELinux) lets nothing that can be executed become writable again.
 * -ENOMEM: that could not be tried.
 */
int mp_may_give_back(int prot);

/* As in struct client. */
int mp_fault(struct ww *w, uintptr_t page, bool doubt);

/* As in struct backend_ops. */
int mp_attach(struct ww *w, const struct mapping *m);
int mp_owns(struct ww *w, const struct mapping *m);
int mp_detach(struct ww *w, uintptr_t start, uintptr_t end);
int mp_attached(struct ww *w, uintptr_t start, uintptr_t end);
int mp_arm(struct ww *w, struct range *r, enum mapping_kind kind);
int mp_arm_written(struct ww *w, struct range *r);
int mp_scan(struct ww *w, struct range *r, uintptr_t start, uintptr_t end, bool reset,
	    struct sink *sink);
int mp_settle(struct ww *w, uintptr_t start, uintptr_t end);
int mp_mark(struct ww *w, struct range *r, uintptr_t start, uintptr_t end);
int mp_discard(struct ww *w, struct range *r, const struct mapping *m);
int mp_prepare(struct ww *w, struct range *r, uintptr_t start, uintptr_t end);
/* mprotect(2), also for pages that contexts with this backend watch, all of them. */
int mp_protect(uintptr_t start, uintptr_t end, int prot);

#endif
