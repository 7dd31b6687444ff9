/* SPDX-License-Identifier: MIT */
#ifndef WW_FORKS_H
#define WW_FORKS_H

/*
 * Whether this process forked meanwhile, by fork(2) or otherwise: its pages are a child's as well
 * then. A fork protects all private memory, so the next write to a page of ours faults, whatever
 * has become of the child. Of each page that can be asked once; and as faults are counted, not seen,
 * one that something else has just then, like code that is read in, looks the same.
 */

#include <stdbool.h>

struct ww;

#define FORKS_PAGES 3

int forks_open(struct ww *w);
void forks_close(struct ww *w);

void forks_mark(struct ww *w);
/* Since the last forks_mark(); false also where nothing can be locked, and the kernel swapped it out. */
bool forks_none_since(struct ww *w);

#endif
