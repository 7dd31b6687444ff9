/* SPDX-License-Identifier: MIT */
#ifndef TEST_SUPPORT_MOVES_H
#define TEST_SUPPORT_MOVES_H

#include <stdbool.h>
#include <stddef.h>

/**
 * pages_moved() - how many pages the kernel moved, or divided huge pages into, since it was started
 *
 * Where a backend REPEATS_MOVED, and something in the machine moves pages meanwhile, a test must not
 * take a page for over-reported before this count has grown by less than it has found of them. Always
 * 0 on other backends, and where WW_MOVES=exact says that this kernel can do better.
 */
size_t pages_moved(void);

/**
 * moves_explain() - whether the kernel moved so many pages since then
 *
 * It counts once it is done with all that it moves together: waits for that.
 */
bool moves_explain(size_t pages, size_t moved_before);

#endif
