/* SPDX-License-Identifier: MIT */
#ifndef WW_UFFD_SYNC_H
#define WW_UFFD_SYNC_H

/*
 * Synchronous write-protection: the first write to a protected page faults, and whoever handles
 * the fault un-protects the page and does nothing else. Whether a page was written is in the page
 * table alone, so there is no state that could disagree with it and no lock around the two.
 */

#include "context.h"

/* As in struct backend_ops; for scratch pages when w->backend is being tried. */
int uffd_sync_attach(struct ww *w, const struct mapping *m);
int uffd_sync_owns(struct ww *w, const struct mapping *m);
int uffd_sync_attached(struct ww *w, uintptr_t start, uintptr_t end);
int uffd_sync_arm(struct ww *w, struct range *r, enum mapping_kind kind);
int uffd_sync_arm_written(struct ww *w, struct range *r);
int uffd_sync_scan(struct ww *w, struct range *r, uintptr_t start, uintptr_t end, bool reset,
		   struct sink *sink);
int uffd_sync_mark(struct ww *w, struct range *r, uintptr_t start, uintptr_t end);
int uffd_sync_discard(struct ww *w, struct range *r, const struct mapping *m);

/* Opens everything but what handles faults, and closes it. */
int uffd_sync_open(struct ww *w, int flags, uint64_t features, const char **why);
void uffd_sync_close(struct ww *w);
/*
 * Tries it all on scratch pages, with faults being handled if try_faults says so; sets no_markers,
 * stale_bits and no_shared.
 */
int uffd_sync_probe(struct ww *w, bool try_faults, const char **why);

#endif
