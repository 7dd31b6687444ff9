/* SPDX-License-Identifier: MIT */
#ifndef WW_UFFD_H
#define WW_UFFD_H

/* userfaultfd(2): what the backends that are built on it share. */

#include <stdint.h>

#include "maps.h"

struct range;
struct ww;

/*
 * Opens w->uffd by the system call with these flags, or else by the device, which no filter of
 * system calls hides, and asks for the features. -EINVAL: the kernel lacks one that is not optional.
 */
int uffd_open(struct ww *w, int flags, uint64_t features, uint64_t optional, const char **why);

/* Registers [start, end) for write-protection: as attach() of struct backend_ops. */
int uffd_attach(struct ww *w, const struct mapping *m);
int uffd_detach(struct ww *w, uintptr_t start, uintptr_t end);
/* Write-protects, or un-protects, what is registered; -ESTALE if some of it is mapped and is not. */
int uffd_protect(struct ww *w, uintptr_t start, uintptr_t end);
int uffd_unprotect(struct ww *w, uintptr_t start, uintptr_t end);
/* What is not registered any more needs no mark: scans of it fail until it is repaired, and then
 * it counts as written. */
int uffd_settle(struct ww *w, uintptr_t start, uintptr_t end);
/*
 * discard() of struct backend_ops for shared memory, which keeps its protection when its content goes:
 * what is protected before, a write in between un-protects.
 */
int uffd_discard_shared(struct ww *w, struct range *r, const struct mapping *m);
/* Whether a page, there or not, is registered: 1, 0, or an error. Nothing changes. */
int uffd_is_registered(struct ww *w, uintptr_t page);
/* Gives every page of a mapping, or of a part of one, that is not there the zero page. */
int uffd_fill(struct ww *w, uintptr_t start, uintptr_t end);
/* The same with pages of zeros that are protected from the beginning. */
int uffd_fill_protected(struct ww *w, uintptr_t start, uintptr_t end);
/* One ioctl and its plain error. */
int uffd_unprotect_once(struct ww *w, uintptr_t start, uintptr_t end);
/*
 * The same where the context's own userfaultfd is gone and a child's copy keeps memory protected; as
 * far as that can be. Async-signal-safe.
 */
void uffd_unprotect_lost(struct ww *w, uintptr_t start, uintptr_t end);
/*
 * For whoever handles faults and cannot any more: lets go of all memory, and of all that wait for it,
 * and has the next call begin anew, where every page counts as written. Async-signal-safe.
 */
void uffd_let_go(struct ww *w);

#endif
