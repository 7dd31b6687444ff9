/* SPDX-License-Identifier: MIT */
#ifndef WW_BACKEND_H
#define WW_BACKEND_H

/* What a way of watching memory has to offer, and the table of them in order of preference. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "maps.h"
#include "registry.h"
#include "sink.h"
#include "uapi/pagemap_scan.h"
#include "writewatch/writewatch.h"

struct ww;

/**
 * struct backend_ops - the contract of a backend
 *
 * Every op is called with the context lock held, so never twice at a time for one context. All
 * addresses are page aligned, start < end. Results are 0 or a negative errno value. Ops marked [q]
 * run inside queries: they must not allocate memory, take another lock, or block other than in the
 * kernel. No op may touch watched memory itself, except through madvise(2).
 *
 * @open:     acquire descriptors and prove on scratch pages that the backend works; on failure
 *            nothing is held and *why is a constant sentence without full stop
 * @close:    release what @open acquired; also called in a child for what it inherited, so it must
 *            not act on the memory of another process
 * @attach:   make the kernel track m, a mapping or part of one, which is not tracked; in a child
 *            where @inherit is left out, any mapped range, and nothing but the range is known of it
 * @detach:   end that; memory that is unmapped or belongs to others by now is not an error, so all
 *            that is left is -ENOMEM
 * @attached: 1 if all that is mapped in [start, end) is tracked by this context, 0 if not [q]
 * @owns:     the same for a mapping, cut to a part of it; left out where that cannot be told: then
 *            all of what is watched again counts as written [q]
 * @arm:      begin watching r, which is attached and mapped in one way, all of it or a part that
 *            begins at r->start: sets r->end and r->mode; every page counts as not written then
 * @arm_written: the same for the whole of r; every page of it counts as written
 * @add_discards: from now on dropped content counts as written in r [may be left out]
 * @inherit:  in a child, instead of @close, @open and @attach of every range, where memory is as
 *            the parent's was [left out where it is not tracked there]
 * @scan:     report the written pages of [start, end), a part of one or more neighbouring ranges in
 *            the mode of r, to the sink until it is full; with reset each page is reset in the same
 *            step. 0: all reported; 1: the sink is full; on an error pages may have been reset
 *            without having been reported. After a reset r itself may change its mode [q]
 * @list:     for ranges in one mode with gaps between them: fill v with up to max regions of
 *            [start, end), resetting nothing. With all_tracked: what is written, or -ESTALE if
 *            anything mapped there is not tracked. Else: all that is tracked, categories being 1
 *            where it is written and 0 where not. What lies in the gaps may be listed, too. *next
 *            is where to go on, end when all is said. Returns their number [q] [left out if open
 *            never sets join_gaps]
 * @settle:   every page of [start, end) that may have been reset counts as written again, as far
 *            as it is tracked; what is not, is told by the next scan of it [q]
 * @mark:     make [start, end) in r count as written, or ask for a range of its own by -EAGAIN:
 *            the caller isolates it and uses @arm_written
 * @discard:  drop the content of m, the whole or a part of one mapping that lies in r, is attached
 *            and no private mapping of a file; its pages count as not written then
 * @prepare:  let the kernel write to [start, end) in r, which may count as written from now on
 *            [left out where the kernel can anyway]
 */
struct backend_ops {
	int (*open)(struct ww *w, const char **why);
	void (*close)(struct ww *w);
	int (*attach)(struct ww *w, const struct mapping *m);
	int (*detach)(struct ww *w, uintptr_t start, uintptr_t end);
	int (*attached)(struct ww *w, uintptr_t start, uintptr_t end);
	int (*owns)(struct ww *w, const struct mapping *m);
	int (*arm)(struct ww *w, struct range *r, enum mapping_kind kind);
	int (*arm_written)(struct ww *w, struct range *r);
	int (*add_discards)(struct ww *w, struct range *r);
	int (*inherit)(struct ww *w);
	int (*scan)(struct ww *w, struct range *r, uintptr_t start, uintptr_t end, bool reset,
		    struct sink *sink);
	int (*list)(struct ww *w, unsigned mode, bool all_tracked, uintptr_t start, uintptr_t end,
		    struct wwk_page_region *v, size_t max, uintptr_t *next);
	int (*settle)(struct ww *w, uintptr_t start, uintptr_t end);
	int (*mark)(struct ww *w, struct range *r, uintptr_t start, uintptr_t end);
	int (*discard)(struct ww *w, struct range *r, const struct mapping *m);
	int (*prepare)(struct ww *w, struct range *r, uintptr_t start, uintptr_t end);
};

/**
 * struct backend - a row of the table
 * @name:          as in WRITEWATCH_BACKEND and struct ww_info
 * @variant:       a name that this row has for itself, where it shares @name with others
 * @guarantees:    bits of enum ww_guarantee
 * @no_discards:   refuses WW_DISCARDS: what the program drops leaves no trace
 * @needs_stopped: chosen only by name or with WW_WRITERS_STOPPED
 */
struct backend {
	const char *name;
	const char *variant;
	uint64_t guarantees;
	bool no_discards;
	bool needs_stopped;
	const struct backend_ops *ops;
};

extern const struct backend_ops backend_pagemap_scan;
extern const struct backend_ops backend_uffd_thread;
extern const struct backend_ops backend_uffd_sigbus;
extern const struct backend_ops backend_mprotect;
extern const struct backend_ops backend_soft_dirty;

/* Null-terminated by a row without name. */
extern const struct backend backend_table[];

/* Whether the row, or any row, is called that. */
bool backend_is(const struct backend *b, const char *name);
bool backend_known(const char *name);

#endif
