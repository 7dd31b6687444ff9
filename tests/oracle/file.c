/* SPDX-License-Identifier: MIT */
/* Private mappings of a file. */
#include "backends.h"
#include "leaks.h"
#include "oracle.h"

#include <criterion/criterion.h>

static void begin(void)
{
	backend_begin();
	skip_if(NO_DISK_FILES);
	leaks_begin();
}

TestSuite(oracle, .init = begin, .fini = leaks_end);

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
