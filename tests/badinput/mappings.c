/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <criterion/logging.h>
#include <errno.h>
#include <sys/mman.h>
#include <writewatch/writewatch.h>

#include "backends.h"
#include "leaks.h"
#include "pages.h"

#define PAGE 4096

static void begin(void)
{
	backend_begin();
	leaks_begin();
}

TestSuite(mappings, .init = begin, .fini = leaks_end);

/* More mappings than the process may have: refused, and what is watched goes on. */
Test(mappings, too_many)
{
	struct ww *w;
	size_t n = 80000;
	char *p = map_private(2 * n * PAGE);
	int r = 0;

	cr_assert_eq(ww_new(&w, NULL), 0);
	for (size_t i = 0; i < n && r == 0; i++)
		r = ww_watch(w, p + 2 * i * PAGE, PAGE, 0);
	if (r == 0)
		cr_log_warn("vm.max_map_count is larger than this test counts");
	else
		cr_expect_eq(r, -ENOMEM);
	cr_expect_eq(ww_unwatch(w, p, 2 * n * PAGE), 0);
	ww_free(w);
	unmap(p, 2 * n * PAGE);
}
