/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <string.h>
#include <sys/mman.h>
#include <writewatch/writewatch.h>

#include "leaks.h"
#include "pages.h"
#include "seam.h"

/*
 * A kernel that sees no holes, as before the fixes of July 2026: where a page table is missing,
 * nothing counts as written. The seam takes out of each answer what lies in 2 MiB that hold nothing,
 * unless a page table was made there by protecting.
 */

#define PAGE 4096
#define BLOCK (512 * PAGE)
#define BLOCKS 4
#define PAGES (512 * BLOCKS)

static char *memory;
static bool tables[BLOCKS];

static bool is_hole(uint64_t addr)
{
	size_t block = (addr - (uintptr_t)memory) / BLOCK;
	unsigned char there[512];

	if (addr - (uintptr_t)memory >= BLOCKS * BLOCK)
		return false;
	return !tables[block] && mincore(memory + block * BLOCK, BLOCK, there) == 0 &&
	       memchr(there, 1, sizeof(there)) == NULL;
}

/* Regions are taken out or cut at the borders of blocks. */
static long without_holes(struct wwk_pm_scan_arg *arg, long result)
{
	struct wwk_page_region *v = (struct wwk_page_region *)(uintptr_t)arg->vec, seen[4096];
	long n = 0;

	if (!(arg->category_mask & WWK_PAGE_IS_WRITTEN))
		return result;
	/* What the library tries on scratch pages: no table, no answer. */
	if (!memory && result == 1 && v->end - v->start == BLOCK)
		return 0;
	for (long i = 0; i < result; i++) {
		for (uint64_t at = v[i].start; at < v[i].end;) {
			uint64_t next = (at | (BLOCK - 1)) + 1;
			uint64_t end = next < v[i].end ? next : v[i].end;

			if (!is_hole(at) && n < 4096)
				seen[n++] = (struct wwk_page_region){at, end, v[i].categories};
			at = end;
		}
	}
	cr_assert_leq((uint64_t)n, arg->vec_len, "the answers of this test are short");
	for (long i = 0; i < n; i++)
		v[i] = seen[i];
	return n;
}

static void on_protect(uint64_t start, uint64_t end)
{
	for (size_t i = 0; i < BLOCKS; i++) {
		uint64_t block = (uintptr_t)memory + i * BLOCK;

		tables[i] |= memory && start < block + BLOCK && block < end;
	}
}

static struct ww *w;

static void begin(void)
{
	struct ww_options options = {.size = sizeof(options), .backend = "pagemap-scan"};

	memset(&seam, 0, sizeof(seam));
	leaks_begin();
	memory = NULL;
	memset(tables, 0, sizeof(tables));
	seam.scan_done = without_holes;
	seam.protecting = on_protect;
	if (!has_zero_page())
		cr_skip_test("this kernel has no zero page, and without both nothing is exact");
	cr_assert_eq(ww_new(&w, &options), 0);
	memory = map_reserve(BLOCKS * BLOCK, BLOCK);
	cr_assert_eq(mprotect(memory, BLOCKS * BLOCK, PROT_READ | PROT_WRITE), 0);
}

static void end(void)
{
	ww_free(w);
	unmap(memory, BLOCKS * BLOCK);
	leaks_end();
}

TestSuite(holes, .init = begin, .fini = end);

static size_t written(unsigned flags)
{
	static void *pages[PAGES];
	size_t count = PAGES;

	cr_assert_eq(ww_get(w, memory, BLOCKS * BLOCK, flags, pages, &count), 0);
	return count;
}

/* As MADV_DONTNEED of a huge page does. */
static void drop_block(size_t block)
{
	cr_assert_eq(madvise(memory + block * BLOCK, BLOCK, MADV_DONTNEED), 0);
	tables[block] = false;
}

Test(holes, dropped_blocks_are_reported_where_that_was_asked_for)
{
	memset(memory, 1, 2 * BLOCK);
	cr_assert_eq(ww_watch(w, memory, BLOCKS * BLOCK, WW_DISCARDS), 0);
	cr_assert_eq(written(0), 0);
	drop_block(0);
	cr_assert_eq(written(0), 512);
	cr_assert_eq(written(WW_RESET), 512);
	cr_assert_eq(written(0), 0);
	memory[3 * PAGE] = 1;
	cr_assert_eq(written(WW_RESET), 1);
}

Test(holes, fresh_memory_is_watched_without_tables)
{
	cr_assert_eq(ww_watch(w, memory, BLOCKS * BLOCK, 0), 0);
	cr_assert_eq(written(0), 0);
	memory[BLOCK + 9 * PAGE] = 1;
	(void)*(volatile char *)(memory + 2 * BLOCK);
	cr_assert_eq(written(WW_RESET), 1);
	cr_assert_eq(written(0), 0);
}

Test(holes, what_was_mapped_anew_counts_as_written_when_repaired)
{
	memset(memory, 1, BLOCKS * BLOCK);
	cr_assert_eq(ww_watch(w, memory, BLOCKS * BLOCK, 0), 0);
	cr_assert_eq(mmap(memory + BLOCK, BLOCK, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
		     memory + BLOCK);
	tables[1] = false;
	cr_assert_eq(ww_watch(w, memory, BLOCKS * BLOCK, 0), 0);
	cr_assert_eq(written(WW_RESET), 512);
	cr_assert_eq(written(0), 0);
}

Test(holes, discarded_blocks_are_clean_and_watched)
{
	memset(memory, 1, BLOCKS * BLOCK);
	cr_assert_eq(ww_watch(w, memory, BLOCKS * BLOCK, 0), 0);
	tables[1] = false;
	cr_assert_eq(ww_discard(w, memory + BLOCK, BLOCK), 0);
	cr_assert_eq(written(0), 0);
	memory[BLOCK + 5 * PAGE] = 1;
	cr_assert_eq(written(WW_RESET), 1);
}
