/* SPDX-License-Identifier: MIT */
#ifndef WW_CONTEXT_H
#define WW_CONTEXT_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend.h"
#include "clients.h"
#include "maps.h"
#include "page_states.h"
#include "registry.h"
#include "sys.h"
#include "uapi/pagemap_scan.h"

/* The kernel returns 512 at a time; fewer calls gain a few percent where results are scattered. */
#define WW_REGIONS 4096
#define WW_LIST 512

/**
 * struct guard - lives in a page that the kernel wipes in every child
 * @alive: 0 in a child that has not begun anew
 * @own:   0 in a child that has nothing of its own yet: no descriptor and no thread
 * @lock:  all zero is an unlocked mutex, so a lock that was held while another thread forked is
 *         free in the child
 */
struct guard {
	uint32_t alive;
	uint32_t own;
	pthread_mutex_t lock;
};

/**
 * struct ww - a context
 * @guard:       see there
 * @backend:     the row that was chosen, or is being tried
 * @flags:       of struct ww_options
 * @registry:    what is watched
 * @maps:        what is mapped
 * @uffd:        the userfaultfd that memory is registered with
 * @pagemap:     what PAGEMAP_SCAN is asked of, or read
 * @page_size, @page_shift: of this machine
 * @no_holes:    this kernel does not report pages as written for which it has no page table
 * @no_zero_page: what is only read gets a page of its own on this kernel
 * @guard_pages: the category of guard pages if this kernel knows it, else 0
 * @join_gaps:   the backend can list what was written in several ranges and gaps between them
 * @refusals:    backends tried before
 * @no_markers:  this kernel cannot write-protect a private page that is not there
 * @stale_bits:  this kernel leaves pages protected that mremap(2) moved away from a userfaultfd
 * @no_shared:   this kernel makes protected pages of shared memory writable at times
 * @changes:     clients_changes() when ww_watch() began to ask what is mapped
 * @canary:      FORKS_PAGES pages of ours whose protection shows a fork
 * @unreadable:  a page that nobody may read, where the kernel has @stale_bits
 * @let_go:      @uffd was closed, as faults could not be handled any more
 * @bell, @stop: ends of a pipe that wakes @thread up
 * @thread:      resolves faults
 * @stack:       of @thread
 * @has_thread, @thread_stops: it runs, is to end
 * @thread_turns: how often it began and ended to resolve faults: odd while it does
 * @last_fault:  the page whose fault was resolved last; 0 after pages were protected
 * @client:      how signal handlers and other contexts find this one
 * @states:      of the pages it watches
 * @splits:      boundaries between protected and unprotected pages, each a mapping more
 * @most_splits: more than these would use up what the process may have
 * @widens:      more than a page is un-protected at a time
 * @widened:     pages that counted as written because others were
 * @spare_memory, @spares: mappings in reserve, and how many are left
 * @has_watched: memory of the program's, so that faults of its threads can be under way
 * @goes_on:     beginning anew, it handles the faults of what stays protected
 * @opens:       meanwhile it has no userfaultfd, or one that is not ready; with the clients' lock
 * @ends:        something ceases to be watched, which nothing can refuse any more
 * @clear_refs:  /proc/self/clear_refs
 * @words:       PM_WORDS of /proc/self/pagemap
 * @regions:     the backend's result vector, good until its next scan
 * @list:        the same for what is listed while ranges are being scanned; both are written before
 *               their first use, so that they are there when the kernel copies answers that exist
 *               only once
 */
struct ww {
	/* What every query reads, together. */
	struct guard *guard;
	const struct backend *backend;
	size_t page_size;
	unsigned page_shift;
	bool no_holes;
	bool no_zero_page;
	bool join_gaps;
	uint64_t guard_pages;
	struct sys_file pagemap;
	struct registry registry;

	struct sys_file uffd;
	struct maps maps;
	uint64_t flags;

	/* What only the fallbacks use. */
	bool no_markers;
	bool stale_bits;
	bool no_shared;
	size_t changes;
	bool let_go;
	void *unreadable;
	char *canary;
	bool has_thread;
	bool thread_stops;
	unsigned thread_turns;
	struct sys_file bell;
	struct sys_file stop;
	struct sys_file clear_refs;
	pthread_t thread;
	void *stack;
	uintptr_t last_fault;
	struct client client;
	struct page_states states;
	long splits;
	long most_splits;
	bool widens;
	uint64_t widened;
	void *spare_memory;
	unsigned spares;
	bool has_watched;
	bool goes_on;
	bool opens;
	bool ends;
	uint64_t *words;

	size_t refusal_count;
	struct ww_refusal refusals[WW_MAX_REFUSALS];
	struct wwk_page_region regions[WW_REGIONS];
	struct wwk_page_region list[WW_LIST];
};

/* Takes the lock, after beginning anew in a child; on an error the lock is not held. */
int context_enter(struct ww *w);
void context_leave(struct ww *w);
/*
 * For when a call on a descriptor failed: true if the host closed it, and then the next call on the
 * context begins anew, as in a child. Lock held.
 */
bool context_lost(struct ww *w, const struct sys_file *file);
/* maps_next(): 1, 0 when there is none, -ESTALE, -EIO. Lock held. */
int context_next_mapping(struct ww *w, struct maps_walk *walk, struct mapping *m);
/*
 * Makes *m, which begins all zero, the first mapping of the walk that ends behind pos, where pos only
 * grows. As context_next_mapping().
 */
int context_mapping_at(struct ww *w, struct maps_walk *walk, struct mapping *m, uintptr_t pos);
/*
 * Memory for the library's own use, all zero; without a context, for one. It never lies in what is
 * watched: the program may have left a hole there, and what the library needs to handle a fault must
 * not cause one.
 */
int context_map(const struct ww *w, void **out, size_t size);
/* The same of the kind that a child has in common with its parent. */
int context_map_shared(const struct ww *w, void **out, size_t size);
/* Whether any of it is memory of the context itself, which no handler could write to. */
bool context_uses(const struct ww *w, uintptr_t start, uintptr_t end);
/* Lets the backend take over the mark that all of the range is written. Lock held. */
int context_settle(struct ww *w, struct range *range);

/* The whole pages that hold [addr, addr + len); -EINVAL. */
int context_pages(const struct ww *w, const void *addr, size_t len, uintptr_t *start,
		  uintptr_t *end);

#endif
