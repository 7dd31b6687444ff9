/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
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

/* Makes every other page read-only until the process may have no mapping more; returns how many. */
static size_t use_up_mappings(char *p, size_t pages)
{
	size_t i = 1;

	while (i < pages && mprotect(p + i * PAGE, PAGE, PROT_READ) == 0)
		i += 2;
	return i;
}

/*
 * More mappings than the process may have: refused, and what is watched goes on. Each watched page
 * divides one. The others lie above, where no list of mappings is in the way.
 */
Test(mappings, too_many)
{
	const size_t n = 1000, left = 300, most = 300000;
	struct ww *w;
	size_t i = 0;
	char *large = map_private(most * PAGE), *p = map_private(2 * n * PAGE);
	int r = 0;

	cr_assert_eq(ww_new(&w, NULL), 0);
	if (use_up_mappings(large, most) >= most) {
		ww_free(w);
		unmap(p, 2 * n * PAGE);
		unmap(large, most * PAGE);
		cr_skip_test("vm.max_map_count is too large to be used up");
	}
	cr_assert_eq(mprotect(large, left * PAGE, PROT_READ | PROT_WRITE), 0);
	for (; i < n && r == 0; i++)
		r = ww_watch(w, p + 2 * i * PAGE, PAGE, 0);
	cr_expect_gt(i, left / 8);
	cr_expect_eq(r, -ENOMEM);
	cr_expect_eq(ww_unwatch(w, p, 2 * n * PAGE), 0);
	ww_free(w);
	unmap(p, 2 * n * PAGE);
	unmap(large, most * PAGE);
}
