/* SPDX-License-Identifier: MIT */
/* Should fail under valgrind: takes a branch on memory that nothing was written to. */
#include <criterion/criterion.h>
#include <stdlib.h>

static volatile int taken;

Test(canary, uninitialised)
{
	volatile int *block = malloc(100 * sizeof(*block));

	cr_assert_neq(block, NULL);
	if (block[50] == 42)
		taken = 1;
	free((void *)block);
}
