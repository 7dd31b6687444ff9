/* SPDX-License-Identifier: MIT */
/* Private mappings of a file. */
#include "leaks.h"
#include "oracle.h"

#include <criterion/criterion.h>

TestSuite(oracle, .init = leaks_begin, .fini = leaks_end);

Test(oracle, file)
{
	static const struct mode mode = {
		.name = "oracle file",
		.backing = PRIVATE_FILE,
		.operations = 200000,
		.region_count = 4,
		.min_pages = 64,
		.max_pages = 512,
		.align_pages = 1,
	};

	oracle_run(&mode);
}
