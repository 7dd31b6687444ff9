/* SPDX-License-Identifier: MIT */
#ifndef WW_FORKS_H
#define WW_FORKS_H

/* Whether this process forked meanwhile: its pages are a child's as well then. */

#include <stdbool.h>

unsigned forks_mark(void);

/*
 * Since forks_mark() gave @mark no fork(3) was under way. _Fork(3), and clone(2) without the C
 * library, are not seen.
 */
bool forks_none_since(unsigned mark);

#endif
