/* SPDX-License-Identifier: MIT */
/* Registered as a test that should fail: leaks_end() must be able to fail a test from .fini. */
#include "leaks.h"

#include <criterion/criterion.h>
#include <unistd.h>

TestSuite(leaky, .init = leaks_begin, .fini = leaks_end);

Test(leaky, leaves_a_descriptor_open)
{
	cr_assert_geq(dup(1), 0);
}
