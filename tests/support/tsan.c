/* SPDX-License-Identifier: MIT */
/*
 * Linked into test programs of thread sanitizer builds only. Criterion wants memory at an address
 * that it makes from rand_r(), and the sanitizer refuses most of those. The addresses that these
 * numbers lead to are ones that it allows, above where programs and their heaps are loaded.
 */
#include <stdlib.h>

int rand_r(unsigned *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return 0x366000 + (int)(*seed >> 20);
}
