/* SPDX-License-Identifier: MIT */
#ifndef TEST_FUZZ_INSIDE_H
#define TEST_FUZZ_INSIDE_H

/* What the library does only where something is scarce. */

struct ww;

/* As if the process could have hardly any more mappings. */
void inside_few_splits(struct ww *w);

#endif
