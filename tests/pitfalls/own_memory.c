/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backends.h"
#include "context.h"
#include "faulting.h"
#include "pages.h"
#include "sys.h"

/* Memory that the library itself uses, next to what it watches or within. */

TestSuite(own_memory, .init = backend_begin, .timeout = 60);

static size_t get(void *addr, size_t len, unsigned flags)
{
	static void *pages[PAGES];
	size_t count = PAGES;

	if (ww_get(w, addr, len, flags, pages, &count) != 0)
		_exit(2);
	return count;
}

/* What the context knows of a range lies in memory that it watches. */
Test(own_memory, is_not_written_to_in_queries)
{
	char *range_page;

	memory = map_private(ALL);
	memory[PAGE] = 1;
	cr_assert_eq(ww_new(&w, NULL), 0);
	cr_assert_eq(ww_watch(w, memory, ALL, 0), 0);
	range_page = (char *)((uintptr_t)registry_first(&w->registry, (uintptr_t)memory) & -PAGE);
	cr_assert_eq(ww_watch(w, range_page, PAGE, 0), 0);
	get(range_page, PAGE, WW_RESET);
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(get(memory, ALL, 0), 0);
		cr_assert_eq(get(memory, ALL, WW_RESET), 0);
		cr_assert_eq(get(range_page, PAGE, WW_RESET), 0, "query %d", i);
	}
	cr_assert_eq(ww_unwatch(w, range_page, PAGE), 0);
	ww_free(w);
	unmap(memory, ALL);
}
