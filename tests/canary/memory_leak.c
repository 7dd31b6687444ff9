/* SPDX-License-Identifier: MIT */
/* Should fail, and does only if the wrapper looks at what the leak checker logged. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static void *volatile lost;

Test(canary, memory_leak)
{
	for (int i = 0; i < 8; i++) {
		lost = malloc(4096);
		cr_assert_neq(lost, NULL);
		memset(lost, i, 4096);
	}
	lost = NULL;
}
