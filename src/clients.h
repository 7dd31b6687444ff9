/* SPDX-License-Identifier: MIT */
#ifndef WW_CLIENTS_H
#define WW_CLIENTS_H

/*
 * The contexts of this process that others have to find: signal handlers, which are given nothing
 * but an address, and contexts whose backend acts on the whole process.
 *
 * One lock guards the list and all page states of its members. It is taken by signal handlers, so
 * whoever holds it has all signals blocked, touches no watched memory and allocates nothing. It
 * lives in a page that the kernel wipes in every child: what another thread held is free there.
 */

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "page_states.h"

struct ww;

/**
 * struct client - a member of the list
 * @w:      whose it is
 * @kind:   members of one kind may not watch the same page
 * @states: pages that it watches
 * @number: the signal that its faults come with; 0 where there are none
 * @fault:  1 if the write fault on this page was one of ours and the write will succeed now, else 0.
 *          With doubt, it may be another signal's. Called in signal handlers, with the lock
 */
struct client {
	struct client *next;
	struct ww *w;
	const void *kind;
	struct page_states *states;
	int number;
	int (*fault)(struct ww *w, uintptr_t page, bool doubt);
};

/* Makes the lock, once; -ENOMEM, or -ENOTSUP where the kernel wipes no pages. */
int clients_init(void);
void clients_lock(sigset_t *old);
void clients_unlock(const sigset_t *old);
/* For callers that have all signals blocked. */
void clients_lock_blocked(void);
void clients_unlock_blocked(void);

void clients_add(struct client *c);
void clients_remove(struct client *c);
/* The first one, with the lock. */
struct client *clients_first(void);
/*
 * How often a page or a client ceased to be watched: a fault that was under way then is nobody's by
 * the time that its handler runs, and succeeds when it is tried again.
 */
void clients_count_ending(void);
size_t clients_endings(void);
/* page_states_change() for its states; and all of them cleared, as nothing is watched there any more.
 * Both take the lock. */
void client_change(struct client *c, uintptr_t start, uintptr_t end, uint8_t clear, uint8_t set);
void client_forget(struct client *c, uintptr_t start, uintptr_t end);
/* Whether any of [start, end) is what handlers write to. With the lock. */
bool clients_use(uintptr_t start, uintptr_t end);
/* Whether any client watches any page of [start, end). With the lock. */
bool clients_watch(uintptr_t start, uintptr_t end);
/* Whether another client of the kind watches any page of [start, end). With the lock. */
bool clients_overlap(const struct client *c, uintptr_t start, uintptr_t end);

#endif
