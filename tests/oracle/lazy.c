/* SPDX-License-Identifier: MIT */
/* Fresh private anonymous memory, which the backend arms lazily where it can. */
#include "backends.h"
#include "leaks.h"
#include "oracle.h"

#include <criterion/criterion.h>

static void begin(void)
{
	backend_begin();
	leaks_begin();
}

TestSuite(oracle, .init = begin, .fini = leaks_end);

Test(oracle, lazy)
{
	static const struct mode mode = {
		.name = "oracle lazy",
		.backing = PRIVATE_MEMORY,
		.operations = 200000,
		.region_count = 6,
		.min_pages = 64,
		.max_pages = 1024,
		.align_pages = 1,
		.sparse_pages = 20000,
	};

	oracle_run(&mode);
}
