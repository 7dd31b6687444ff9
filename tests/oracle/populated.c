/* SPDX-License-Identifier: MIT */
/* Private anonymous memory that holds content on huge pages before it is watched. */
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

Test(oracle, populated)
{
	static const struct mode mode = {
		.name = "oracle populated",
		.backing = PRIVATE_MEMORY,
		.populated = true,
		.operations = 200000,
		.region_count = 3,
		.min_pages = 600,
		.max_pages = 1600,
		.align_pages = 512,
	};

	oracle_run(&mode);
}
