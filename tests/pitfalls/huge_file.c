/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <writewatch/writewatch.h>

#include "backends.h"
#include "leaks.h"
#include "pages.h"

/* Huge pages of a file, in memory of which nothing is known but that all of it counts as written. */

#define PAGE ((size_t)4096)
#define HUGE_BYTES ((size_t)2 << 20)
#define ALL (2 * HUGE_BYTES)
#define PAGES (ALL / PAGE)

static struct ww *w;
static char *memory;
static int file;

static void begin(void)
{
	char path[] = "test-huge-XXXXXX";

	backend_begin();
	leaks_begin();
	skip_if(NO_DISK_FILES);
	skip_if(NO_SHARED);
	file = mkstemp(path);
	cr_assert_geq(file, 0);
	unlink(path);
	cr_assert_eq(ftruncate(file, ALL), 0);
	memory = map_reserve(ALL, HUGE_BYTES);
}

static void map_anew(void)
{
	cr_assert_neq(mmap(memory, ALL, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0),
		      MAP_FAILED);
	madvise(memory, ALL, MADV_HUGEPAGE);
}

static void end(void)
{
	ww_free(w);
	unmap(memory, ALL);
	close(file);
	leaks_end();
}

TestSuite(huge_file, .init = begin, .fini = end, .timeout = 60);

/* In KiB, as the kernel tells it. */
static size_t huge_mapped(void)
{
	FILE *sums = fopen("/proc/self/smaps_rollup", "r");
	char line[200];
	size_t n = 0;

	while (sums && fgets(line, sizeof(line), sums))
		if (strncmp(line, "FilePmdMapped:", strlen("FilePmdMapped:")) == 0)
			n = strtoul(line + strlen("FilePmdMapped:"), NULL, 10);
	if (sums)
		fclose(sums);
	return n;
}

static int get(size_t *count)
{
	static void *pages[PAGES];

	*count = PAGES;
	return ww_get(w, memory, ALL, WW_RESET, pages, count);
}

Test(huge_file, one_write_is_one_page_after_a_repair)
{
	size_t count;

	cr_assert_eq(ww_new(&w, NULL), 0);
	map_anew();
	memset(memory, 1, ALL);
	if (huge_mapped() == 0)
		cr_skip_test("the file system here has no huge pages");
	cr_assert_eq(ww_watch(w, memory, ALL, 0), 0);
	map_anew();
	cr_assert_eq(ww_watch(w, memory, ALL, 0), 0);
	memset(memory, 1, ALL);
	cr_assert_eq(get(&count), 0);
	for (int i = 0; i < 3; i++) {
		memory[5 * PAGE]++;
		cr_assert_eq(get(&count), 0);
		cr_assert_eq(count, 1, "%zu pages", count);
	}
}
