/* SPDX-License-Identifier: MIT */
/* Shared mappings of a memfd. */
#include "backends.h"
#include "leaks.h"
#include "oracle.h"

#include <criterion/criterion.h>

static void begin(void)
{
	backend_begin();
	skip_if(NO_SHARED);
	leaks_begin();
}

TestSuite(oracle, .init = begin, .fini = leaks_end);

Test(oracle, memfd)
{
	static const struct mode mode = {
		.name = "oracle memfd",
		.backing = SHARED_MEMFD,
		.operations = 200000,
		.region_count = 6,
		.min_pages = 64,
		.max_pages = 1024,
		.align_pages = 1,
	};

	oracle_run(&mode);
}
