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

/**
 * struct clients - all of them; what handlers use is written out here, as each call costs
 * @lock:    in a page of its own
 * @first:   of the list, with the lock
 * @changes: how often the protection of memory may have changed that another context was just asking
 *           the kernel for, with the lock
 */
extern struct clients {
	uint32_t *lock;
	struct client *first;
	size_t changes;
} clients;

enum { LOCK_FREE, LOCK_HELD, LOCK_AWAITED };

/* What runs for each fault stays together: the kernel has emptied the caches. */
#define HOT __attribute__((hot))
#define COLD __attribute__((cold, noinline))

/* Makes the lock, once; -ENOMEM, or -ENOTSUP where the kernel wipes no pages. */
int clients_init(void);
/* Whether there can be any: without the lock nobody may ask for them. */
bool clients_begun(void);
void clients_lock(sigset_t *old);
void clients_unlock(const sigset_t *old);

void clients_await(void);
void clients_wake(void);

/* For callers that have all signals blocked. */
static inline void clients_lock_blocked(void)
{
	uint32_t free = LOCK_FREE;

	if (!__atomic_compare_exchange_n(clients.lock, &free, LOCK_HELD, false, __ATOMIC_ACQUIRE,
					 __ATOMIC_RELAXED))
		clients_await();
}

static inline void clients_unlock_blocked(void)
{
	if (__atomic_exchange_n(clients.lock, LOCK_FREE, __ATOMIC_RELEASE) == LOCK_AWAITED)
		clients_wake();
}

/* Without the lock: what is read of the list of mappings from now on is at least as new. */
size_t clients_changes(void);
/* With the lock. */
void clients_count_change(void);
void clients_add(struct client *c);
void clients_remove(struct client *c);
/**
 * struct endings - how often memory ceased to be watched: a fault that was under way then is nobody's
 *                  by the time that its handler runs, and succeeds when it is tried again
 * @all:        scratch pages of trials included
 * @of_program: without them
 */
extern struct endings {
	size_t all;
	size_t of_program;
} endings;

void client_count_ending(const struct client *c);
/*
 * page_states_change() for its states; and all of them cleared, as nothing is watched there any more.
 * Both take the lock.
 */
void client_change(struct client *c, uintptr_t start, uintptr_t end, uint8_t clear, uint8_t set);
void client_forget(struct client *c, uintptr_t start, uintptr_t end);
/* Whether any of [start, end) is what handlers write to. With the lock. */
bool clients_use(uintptr_t start, uintptr_t end);
/* Whether there is a client of the kind. Takes the lock. */
bool clients_have(const void *kind);
/* Whether any client watches any page of [start, end). With the lock. */
bool clients_watch(uintptr_t start, uintptr_t end);
/* Whether another client of the kind watches any page of [start, end). With the lock. */
bool clients_overlap(const struct client *c, uintptr_t start, uintptr_t end);

#endif
