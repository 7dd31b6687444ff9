/* SPDX-License-Identifier: MIT */
/* Should fail: reads one byte behind a heap block. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

Test(canary, overrun)
{
	volatile size_t behind = 100;
	volatile char *block = malloc(behind);
	char byte;

	cr_assert_neq(block, NULL);
	byte = block[behind];
	(void)byte;
	free((void *)block);
}
