/* SPDX-License-Identifier: MIT */
/* Should fail under the undefined behaviour sanitizer: a shift by the width of the type. */
#include <criterion/criterion.h>

static volatile int width = 32;
static volatile int result;

Test(canary, undefined)
{
	result = 1 << width;
}
