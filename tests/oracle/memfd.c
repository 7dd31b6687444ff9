/* SPDX-License-Identifier: MIT */
/* Shared mappings of a memfd. */
#include "leaks.h"
#include "oracle.h"

#include <criterion/criterion.h>

TestSuite(oracle, .init = leaks_begin, .fini = leaks_end);

Test(oracle, memfd)
{
	static const struct mode mode = {
		.name = "oracle memfd",
		.backing = SHARED_MEMFD,
		.operations = 400000,
		.region_count = 6,
		.min_pages = 64,
		.max_pages = 1024,
		.align_pages = 1,
	};

	oracle_run(&mode);
}
