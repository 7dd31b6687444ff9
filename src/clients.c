/* SPDX-License-Identifier: MIT */
#include "clients.h"

#include <errno.h>
#include <sys/mman.h>

#include "context.h"
#include "sys.h"

struct clients clients;
struct endings endings;

bool clients_begun(void)
{
	return __atomic_load_n(&clients.lock, __ATOMIC_ACQUIRE);
}

int clients_init(void)
{
	uint32_t *none = NULL;
	void *page;
	int r;

	if (clients_begun())
		return 0;
	r = sys_mmap(&page, sys_page_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
	if (r < 0)
		return r;
	r = sys_madvise((uintptr_t)page, sys_page_size(), MADV_WIPEONFORK);
	/* Kept for the life of the process: a handler may be about to look at it at any time. */
	if (r == 0 && __atomic_compare_exchange_n(&clients.lock, &none, page, false,
						  __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return 0;
	sys_munmap(page, sys_page_size());
	return r == 0 || r == -ENOMEM ? r : -ENOTSUP;
}

void clients_await(void)
{
	while (__atomic_exchange_n(clients.lock, LOCK_AWAITED, __ATOMIC_ACQUIRE) != LOCK_FREE)
		sys_futex_wait(clients.lock, LOCK_AWAITED);
}

void clients_wake(void)
{
	sys_futex_wake(clients.lock);
}

void clients_lock(sigset_t *old)
{
	sys_block_signals(old);
	clients_lock_blocked();
}

void clients_unlock(const sigset_t *old)
{
	clients_unlock_blocked();
	sys_restore_signals(old);
}

size_t clients_changes(void)
{
	return __atomic_load_n(&clients.changes, __ATOMIC_ACQUIRE);
}

void clients_count_change(void)
{
	__atomic_store_n(&clients.changes, clients.changes + 1, __ATOMIC_RELEASE);
}

void clients_add(struct client *c)
{
	sigset_t old;

	clients_lock(&old);
	c->next = clients.first;
	clients.first = c;
	clients_unlock(&old);
}

void clients_remove(struct client *c)
{
	struct client **link = &clients.first;
	sigset_t old;

	clients_lock(&old);
	while (*link && *link != c)
		link = &(*link)->next;
	if (*link)
		*link = c->next;
	clients_count_change();
	client_count_ending(c);
	clients_unlock(&old);
}

void client_count_ending(const struct client *c)
{
	__atomic_fetch_add(&endings.all, 1, __ATOMIC_RELEASE);
	if (c->w->has_watched)
		__atomic_fetch_add(&endings.of_program, 1, __ATOMIC_RELEASE);
}

void client_change(struct client *c, uintptr_t start, uintptr_t end, uint8_t clear, uint8_t set)
{
	sigset_t old;

	clients_lock(&old);
	page_states_change(c->states, start, end, clear, set);
	clients_unlock(&old);
}

void client_forget(struct client *c, uintptr_t start, uintptr_t end)
{
	sigset_t old;

	/* It left, with all its states, and its context could not begin anew. */
	if (!c->w)
		return;
	clients_lock(&old);
	page_states_clear(c->states, start, end);
	clients_count_change();
	client_count_ending(c);
	clients_unlock(&old);
}

bool clients_use(uintptr_t start, uintptr_t end)
{
	bool found = range_meets(start, end, clients.lock, sys_page_size()) ||
		     range_meets(start, end, &clients, sizeof(clients)) ||
		     range_meets(start, end, &endings, sizeof(endings));

	for (const struct client *c = clients.first; c && !found; c = c->next)
		found = page_states_use(c->states, start, end) ||
			range_meets(start, end, c->w, sizeof(*c->w));
	return found;
}

static bool watches(const struct client *c, uintptr_t start, uintptr_t end)
{
	return page_states_skip(c->states, start, end, STATE_WATCHED, 0) < end;
}

bool clients_watch(uintptr_t start, uintptr_t end)
{
	for (const struct client *c = clients.first; c; c = c->next)
		if (watches(c, start, end))
			return true;
	return false;
}

bool clients_overlap(const struct client *c, uintptr_t start, uintptr_t end)
{
	for (const struct client *other = clients.first; other; other = other->next)
		if (other != c && other->kind == c->kind && watches(other, start, end))
			return true;
	return false;
}

bool clients_have(const void *kind)
{
	const struct client *c;
	sigset_t old;

	if (!clients_begun())
		return false;
	clients_lock(&old);
	for (c = clients.first; c && c->kind != kind; c = c->next)
		;
	clients_unlock(&old);
	return c;
}
