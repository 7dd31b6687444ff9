/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <writewatch/writewatch.h>

#include "context.h"
#include "leaks.h"
#include "pages.h"
#include "sys.h"

/*
 * Kernels before 6.1.191 and 6.12.11 leave pages protected that mremap(2) moved away from a
 * userfaultfd: they look as if they were watched and clean. What is done about that is done here on
 * any kernel.
 */

#define PAGE 4096
#define PAGES 64

static struct ww *w;
static char *memory;
static void *pages[PAGES];

int __wrap_sys_mremap(uintptr_t addr, size_t len, void **out);

/* What it does here cannot be found out. */
int __wrap_sys_mremap(uintptr_t addr, size_t len, void **out)
{
	(void)addr;
	(void)len;
	(void)out;
	return -ENOMEM;
}

static void begin(void)
{
	struct ww_options options = {.size = sizeof(options), .backend = "uffd-sigbus"};
	struct ww_info info = {.size = sizeof(info)};

	leaks_begin();
	if (ww_new(&w, &options) < 0) {
		ww_probe(&options, &info);
		cr_skip_test("uffd-sigbus: %s", info.refusals[0].reason);
	}
	cr_assert(w->stale_bits);
	memory = map_private(PAGES * PAGE);
	memset(memory, 1, PAGES * PAGE);
	cr_assert_eq(ww_watch(w, memory, PAGES * PAGE, 0), 0);
}

static void end(void)
{
	ww_free(w);
	unmap(memory, PAGES * PAGE);
	leaks_end();
}

TestSuite(stale_bits, .init = begin, .fini = end);

static int get(unsigned flags, size_t *count)
{
	*count = PAGES;
	return ww_get(w, memory, PAGES * PAGE, flags, pages, count);
}

Test(stale_bits, asking_changes_nothing)
{
	size_t count;

	for (int i = 0; i < 3; i++) {
		cr_assert_eq(get(0, &count), 0);
		cr_assert_eq(count, 0);
		cr_assert_eq(ww_watch(w, memory, PAGES * PAGE, 0), 0);
	}
	memory[PAGE] = 2;
	cr_assert(get(WW_RESET, &count) == 0 && count == 1);
	cr_assert(get(0, &count) == 0 && count == 0);
}

/* Of shared memory, a page that is not there is protected by a mark in its place. */
Test(stale_bits, asking_fills_no_hole_of_shared_memory)
{
	int fd = memfd_of(PAGES * PAGE);
	char *shared = map_fd(NULL, PAGES * PAGE, MAP_SHARED, fd, 0);
	struct stat before, after;
	size_t count;

	if (w->no_markers)
		cr_skip_test("this kernel has no such marks");
	cr_assert_eq(ww_watch(w, shared, PAGES * PAGE, 0), 0);
	cr_assert_eq(fstat(fd, &before), 0);
	for (int i = 0; i < 3; i++) {
		count = PAGES;
		cr_assert_eq(ww_get(w, shared, PAGES * PAGE, WW_RESET, pages, &count), 0);
		cr_assert_eq(count, 0, "%zu", count);
	}
	cr_assert_eq(fstat(fd, &after), 0);
	cr_assert_eq(before.st_blocks, after.st_blocks);
	cr_assert_eq(ftruncate(fd, 0), 0);
	count = PAGES;
	cr_assert_eq(ww_get(w, shared, PAGES * PAGE, WW_RESET, pages, &count), 0);
	cr_assert_eq(ww_unwatch(w, shared, PAGES * PAGE), 0);
	unmap(shared, PAGES * PAGE);
	close(fd);
}

Test(stale_bits, memory_that_is_not_watched_is_told_whatever_it_looks_like)
{
	size_t count;

	cr_assert_eq(mmap(memory + 8 * PAGE, 4 * PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
		     memory + 8 * PAGE);
	cr_assert_eq(get(0, &count), -ESTALE);
	cr_assert_eq(get(WW_RESET, &count), -ESTALE);
	cr_assert_eq(ww_watch(w, memory, PAGES * PAGE, 0), 0);
	cr_assert(get(WW_RESET, &count) == 0 && count >= 4);
	cr_assert(get(0, &count) == 0 && count == 0);
}
