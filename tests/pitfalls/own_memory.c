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

#define HOLE ((size_t)256 << 20)

TestSuite(own_memory, .init = backend_begin, .timeout = 60);

/* What is free of a hole that the kernel fills, from above, before it looks elsewhere. */
static uintptr_t hole, hole_end;

int __real_sys_mmap(void **out, size_t len, int prot, int flags);
int __wrap_sys_mmap(void **out, size_t len, int prot, int flags);

int __wrap_sys_mmap(void **out, size_t len, int prot, int flags)
{
	void *p;

	if (hole_end - hole < len)
		return __real_sys_mmap(out, len, prot, flags);
	p = mmap((void *)(hole_end - len), len, prot, flags | MAP_FIXED_NOREPLACE, -1, 0);
	if (p == MAP_FAILED)
		return __real_sys_mmap(out, len, prot, flags);
	hole_end -= len;
	*out = p;
	return 0;
}

static char *around;

static size_t get(void *addr, size_t len, unsigned flags)
{
	static void *pages[PAGES];
	size_t count = PAGES;

	if (ww_get(w, addr, len, flags, pages, &count) != 0)
		_exit(2);
	return count;
}

static void begin_anew_beside_a_hole(void)
{
	hole = (uintptr_t)around + ALL;
	hole_end = hole + HOLE;
	if (get(around, ALL, WW_RESET) < 1)
		_exit(3);
	around[PAGE] = 1;
	if (get(around, ALL, WW_RESET) != 1)
		_exit(4);
	ww_free(w);
}

/* The program unmapped much of what is watched, and the kernel offers nothing else at first. */
Test(own_memory, is_found_beside_a_large_hole)
{
	size_t size = HOLE + 2 * ALL;
	int result;

	around = map_reserve(size, PAGE);
	cr_assert_eq(mprotect(around, size, PROT_READ | PROT_WRITE), 0);
	around[0] = 1;
	cr_assert_eq(ww_new(&w, NULL), 0);
	cr_assert_eq(ww_watch(w, around, ALL, 0), 0);
	cr_assert_eq(ww_watch(w, around + ALL, HOLE + ALL, 0), 0);
	unmap(around + ALL, HOLE);
	result = run_child(begin_anew_beside_a_hole);
	cr_assert_eq(result, 0, "%d", result);
	ww_free(w);
	unmap(around, ALL);
	unmap(around + ALL + HOLE, ALL);
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
