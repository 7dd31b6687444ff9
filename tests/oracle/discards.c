/* SPDX-License-Identifier: MIT */
/* Private anonymous memory, dropped content counts as written. */
#include "backends.h"
#include "leaks.h"
#include "oracle.h"

#include <criterion/criterion.h>

static void begin(void)
{
	backend_begin();
	skip_if(NO_DISCARDS);
	leaks_begin();
}

TestSuite(oracle, .init = begin, .fini = leaks_end);

Test(oracle, discards)
{
	static const struct mode mode = {
		.name = "oracle discards",
		.backing = PRIVATE_MEMORY,
		.watch_flags = WW_DISCARDS,
		.operations = 200000,
		.region_count = 6,
		.min_pages = 64,
		.max_pages = 1024,
		.align_pages = 1,
	};

	oracle_run(&mode);
}
