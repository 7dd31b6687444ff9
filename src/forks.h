/* SPDX-License-Identifier: MIT */
#ifndef WW_FORKS_H
#define WW_FORKS_H

/*
 * Whether this process forked meanwhile, by fork(2) or otherwise: its pages are a child's as well
 * then. A fork protects all private memory, so the next write to a page of ours faults, whatever
 * has become of the child.
 */

#include <stdbool.h>

struct ww;

int forks_open(struct ww *w);
void forks_close(struct ww *w);

void forks_mark(struct ww *w);
/* Since the last forks_mark(); false also where no page can be locked, and the kernel swapped it out. */
bool forks_none_since(struct ww *w);

#endif
