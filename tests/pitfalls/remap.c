/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <writewatch/writewatch.h>

#include "backends.h"
#include "leaks.h"
#include "pages.h"

/* What the program does to its mappings while they are watched. */

#define PAGE 4096
#define PAGES 128

static struct ww *w;
static char *memory;
static void *pages[PAGES];

static void begin(void)
{
	backend_begin();
	leaks_begin();
	cr_assert_eq(ww_new(&w, NULL), 0);
	memory = map_private(PAGES * PAGE);
}

static void end(void)
{
	ww_free(w);
	unmap(memory, PAGES * PAGE);
	leaks_end();
}

TestSuite(remap, .init = begin, .fini = end);

static int get(unsigned flags, size_t *count)
{
	*count = PAGES;
	return ww_get(w, memory, PAGES * PAGE, flags, pages, count);
}

static bool reported(size_t count, size_t page)
{
	for (size_t i = 0; i < count; i++)
		if (pages[i] == memory + page * PAGE)
			return true;
	return false;
}

static void map_over(size_t first, size_t n)
{
	cr_assert_eq(mmap(memory + first * PAGE, n * PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
		     memory + first * PAGE);
}

static void run(bool populated, unsigned flags)
{
	size_t count;

	if (populated)
		memset(memory, 1, PAGES * PAGE);
	cr_assert_eq(ww_watch(w, memory, PAGES * PAGE, flags), 0);
	memory[1 * PAGE]++;
	memory[100 * PAGE]++;
	map_over(40, 8);
	cr_assert_eq(get(WW_RESET, &count), -ESTALE);
	cr_assert_eq(count, PAGES, "untouched");
	cr_assert_eq(get(0, &count), -ESTALE, "until it is repaired");
	cr_assert_eq(ww_reset(w, memory, PAGES * PAGE), -ESTALE);
	cr_assert_eq(ww_mark(w, memory, PAGES * PAGE), -ESTALE);
	memory[41 * PAGE]++;
	cr_assert_eq(ww_watch(w, memory, PAGES * PAGE, flags), 0);
	cr_assert_eq(get(WW_RESET, &count), 0);
	cr_assert(reported(count, 1) && reported(count, 100), "swallowed by the failed calls");
	for (size_t i = 40; i < 48; i++)
		cr_assert(reported(count, i), "page %zu was remapped", i);
	cr_assert_eq(get(WW_RESET, &count), 0);
	cr_assert_eq(count, 0, "reset again");
	memory[42 * PAGE]++;
	memory[2 * PAGE]++;
	cr_assert_eq(get(WW_RESET, &count), 0);
	cr_assert(count == 2 && reported(count, 2) && reported(count, 42));
	cr_assert_eq(ww_unwatch(w, memory, PAGES * PAGE), 0);
}

Test(remap, a_part_mapped_anew_is_stale_until_repaired_and_nothing_is_lost)
{
	skip_if(NO_STALE);
	run(false, 0);
	map_over(0, PAGES);
	run(true, 0);
	map_over(0, PAGES);
	run(false, discards_flag());
}

/* Whoever knows what was mapped anew need not wait for an error, which not every backend gives. */
Test(remap, a_part_mapped_anew_counts_as_written_once_it_is_watched_again)
{
	size_t count;

	for (int populated = 0; populated <= 1; populated++) {
		if (populated)
			memset(memory, 1, PAGES * PAGE);
		cr_assert_eq(ww_watch(w, memory, PAGES * PAGE, 0), 0);
		memory[1 * PAGE]++;
		memory[100 * PAGE]++;
		map_over(40, 8);
		memory[41 * PAGE]++;
		cr_assert_eq(ww_watch(w, memory, PAGES * PAGE, 0), 0);
		cr_assert_eq(get(WW_RESET, &count), 0);
		cr_assert(reported(count, 1) && reported(count, 100));
		for (size_t i = 40; i < 48; i++)
			cr_assert(reported(count, i), "page %zu was mapped anew", i);
		cr_assert(count == 10 || except(NOT_EXACT), "%zu", count);
		cr_assert_eq(get(WW_RESET, &count), 0);
		cr_assert_eq(count, 0, "%zu", count);
		memory[42 * PAGE]++;
		memory[2 * PAGE]++;
		cr_assert_eq(get(WW_RESET, &count), 0);
		cr_assert(count == 2 && reported(count, 2) && reported(count, 42));
		cr_assert_eq(ww_unwatch(w, memory, PAGES * PAGE), 0);
	}
}

Test(remap, the_rest_keeps_its_state_when_no_query_failed)
{
	size_t count;

	memset(memory, 1, PAGES * PAGE);
	cr_assert_eq(ww_watch(w, memory, PAGES * PAGE, 0), 0);
	memory[1 * PAGE]++;
	map_over(40, 8);
	cr_assert_eq(ww_watch(w, memory, PAGES * PAGE, 0), 0);
	cr_assert_eq(get(WW_RESET, &count), 0);
	for (size_t i = 40; i < 48; i++)
		cr_assert(reported(count, i));
	cr_assert(reported(count, 1) && (count == 9 || except(NOT_EXACT)), "%zu", count);
}

Test(remap, a_query_of_another_part_does_not_care)
{
	size_t count = PAGES;

	skip_if(NO_STALE);
	cr_assert_eq(ww_watch(w, memory, PAGES * PAGE, 0), 0);
	map_over(40, 8);
	memory[3 * PAGE]++;
	cr_assert_eq(ww_get(w, memory, 40 * PAGE, WW_RESET, pages, &count), 0);
	cr_assert(count == 1 && reported(count, 3));
	count = PAGES;
	cr_assert_eq(ww_get(w, memory + 39 * PAGE, 2 * PAGE, 0, pages, &count), -ESTALE);
}

/* Being written often enough to be armed must not set off what another part's remapping would. */
Test(remap, becoming_dense_does_not_care_either)
{
	size_t n = 2048, count;
	char *p = map_private(n * PAGE);
	void **list = malloc(n * sizeof(*list));

	cr_assert_eq(ww_watch(w, p, n * PAGE, 0), 0);
	cr_assert_eq(mmap(p + (n - 8) * PAGE, 8 * PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
		     p + (n - 8) * PAGE);
	for (int round = 0; round < 3; round++) {
		memset(p, round, n / 2 * PAGE);
		for (size_t i = n / 2; i < n - 8; i += 3)
			p[i * PAGE]++;
		count = n;
		cr_assert_eq(ww_get(w, p, (n - 8) * PAGE, WW_RESET, list, &count), 0);
		cr_assert_eq(count, n / 2 + (n / 2 - 8 + 2) / 3);
		count = n;
		cr_assert_eq(ww_get(w, p, (n - 8) * PAGE, WW_RESET, list, &count), 0);
		cr_assert_eq(count, 0, "round %d: %zu", round, count);
	}
	free(list);
	cr_assert_eq(ww_unwatch(w, p, n * PAGE), 0);
	unmap(p, n * PAGE);
}

Test(remap, memory_moved_away_is_a_hole_and_moved_here_is_stale)
{
	char *elsewhere;
	size_t count;

	skip_if(NO_STALE);
	elsewhere = map_private(8 * PAGE);
	memset(memory, 1, PAGES * PAGE);
	cr_assert_eq(ww_watch(w, memory, PAGES * PAGE, 0), 0);
	memory[10 * PAGE]++;
	cr_assert_eq(mremap(memory + 8 * PAGE, 8 * PAGE, 8 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
			    elsewhere),
		     elsewhere);
	cr_assert_eq(get(WW_RESET, &count), 0);
	cr_assert_eq(count, 0, "a hole holds nothing");
	cr_assert_eq(mremap(elsewhere, 8 * PAGE, 8 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
			    memory + 8 * PAGE),
		     memory + 8 * PAGE);
	cr_assert_eq(get(WW_RESET, &count), -ESTALE);
	cr_assert_eq(ww_watch(w, memory, PAGES * PAGE, 0), 0);
	cr_assert_eq(get(WW_RESET, &count), 0);
	for (size_t i = 8; i < 16; i++)
		cr_assert(reported(count, i));
}

Test(remap, a_failed_reset_before_a_hole_can_be_settled)
{
	size_t count;

	skip_if(NO_STALE);
	memset(memory, 1, PAGES * PAGE);
	cr_assert_eq(ww_watch(w, memory, PAGES * PAGE, 0), 0);
	memory[3 * PAGE]++;
	map_over(40, 8);
	cr_assert_eq(get(WW_RESET, &count), -ESTALE);
	unmap(memory + 40 * PAGE, 8 * PAGE);
	cr_assert_eq(get(WW_RESET, &count), 0);
	cr_assert(reported(count, 3));
	map_over(40, 8);
}

Test(remap, stale_ranges_are_found_across_gaps)
{
	size_t count = PAGES;

	skip_if(NO_STALE);
	memset(memory, 1, PAGES * PAGE);
	for (size_t i = 0; i < PAGES; i += 16)
		cr_assert_eq(ww_watch(w, memory + i * PAGE, 8 * PAGE, 0), 0);
	memory[0]++;
	memory[9 * PAGE]++;
	memory[33 * PAGE]++;
	cr_assert_eq(ww_get(w, memory, PAGES * PAGE, WW_ACROSS, pages, &count), 0);
	cr_assert(count == 2 && reported(count, 0) && reported(count, 33));
	map_over(64, 8);
	count = PAGES;
	cr_assert_eq(ww_get(w, memory, PAGES * PAGE, WW_ACROSS, pages, &count), -ESTALE);
	cr_assert_eq(ww_get(w, memory, PAGES * PAGE, WW_ACROSS | WW_RESET, pages, &count),
		     -ESTALE);
	cr_assert_eq(ww_watch(w, memory + 64 * PAGE, 8 * PAGE, 0), 0);
	cr_assert_eq(ww_get(w, memory, PAGES * PAGE, WW_ACROSS | WW_RESET, pages, &count), 0);
	cr_assert(reported(count, 0) && reported(count, 33) && reported(count, 64));
	cr_assert_not(reported(count, 9), "a gap is not watched");
	/* The last of them, where the kernel has nothing more to say. */
	map_over(112, 8);
	count = PAGES;
	cr_assert_eq(ww_get(w, memory, PAGES * PAGE, WW_ACROSS, pages, &count), -ESTALE);
}

Test(remap, protection_changes_neither_set_nor_clear)
{
	size_t count;

	for (int populated = 0; populated <= 1; populated++) {
		if (populated)
			memset(memory, 1, PAGES * PAGE);
		cr_assert_eq(ww_watch(w, memory, PAGES * PAGE, 0), 0);
		memory[5 * PAGE]++;
		protect(w, memory, 64 * PAGE, PROT_NONE);
		protect(w, memory + 64 * PAGE, 64 * PAGE, PROT_READ);
		cr_assert_eq(get(0, &count), 0);
		cr_assert(count == 1 && reported(count, 5));
		cr_assert_eq(get(WW_RESET, &count), 0);
		cr_assert_eq(count, 1, "reset of inaccessible pages");
		protect(w, memory, PAGES * PAGE, PROT_READ | PROT_WRITE);
		cr_assert_eq(get(0, &count), 0);
		cr_assert_eq(count, 0);
		cr_assert_eq(ww_unwatch(w, memory, PAGES * PAGE), 0);
	}
}

/* What counts is what is mapped now, not what was when the watch began. */
Test(remap, a_file_mapped_over_private_memory_is_not_discarded)
{
	int fd = memfd_of(8 * PAGE);
	char *shared = map_fd(NULL, 8 * PAGE, MAP_SHARED, fd, 0);
	int r;

	memset(shared, 7, 8 * PAGE);
	cr_assert_eq(ww_watch(w, memory, PAGES * PAGE, 0), 0);
	memory[20 * PAGE] = 5;
	map_fd(memory + 40 * PAGE, 8 * PAGE, MAP_PRIVATE, fd, 0);
	r = ww_discard(w, memory, PAGES * PAGE);
	cr_assert(r == -ESTALE || (r == -ENOTSUP && except(NO_STALE)), "%d", r);
	cr_assert_eq(ww_watch(w, memory, PAGES * PAGE, 0), 0);
	cr_assert_eq(ww_discard(w, memory, PAGES * PAGE), -ENOTSUP);
	cr_assert_eq(memory[20 * PAGE], 5, "nothing was dropped");
	skip_if(NO_SHARED);
	map_fd(memory + 40 * PAGE, 8 * PAGE, MAP_SHARED, fd, 0);
	cr_assert_eq(ww_watch(w, memory, PAGES * PAGE, 0), 0);
	cr_assert_eq(ww_discard(w, memory, PAGES * PAGE), 0);
	cr_assert(memory[20 * PAGE] == 0 && memory[41 * PAGE] == 0);
	unmap(shared, 8 * PAGE);
	close(fd);
}

/* The kernel keeps the protection of a page of the file that is dropped, and nobody would see it. */
Test(remap, discards_of_private_file_mappings_are_refused)
{
	int fd = memfd_of(8 * PAGE);
	char *private = map_fd(NULL, 8 * PAGE, MAP_PRIVATE, fd, 0);

	cr_assert_eq(ww_watch(w, private, 8 * PAGE, WW_DISCARDS), -ENOTSUP);
	cr_assert_eq(ww_watch(w, private, 8 * PAGE, 0), 0);
	cr_assert_eq(ww_watch(w, private, 8 * PAGE, WW_DISCARDS), -ENOTSUP, "added later");
	cr_assert_eq(ww_unwatch(w, private, 8 * PAGE), 0);
	unmap(private, 8 * PAGE);
	skip_if(NO_DISCARDS);
	skip_if(NO_STALE);
	cr_assert_eq(ww_watch(w, memory, PAGES * PAGE, WW_DISCARDS), 0);
	map_fd(memory + 40 * PAGE, 8 * PAGE, MAP_PRIVATE, fd, 0);
	cr_assert_eq(ww_watch(w, memory, PAGES * PAGE, 0), -ENOTSUP, "by a repair");
	close(fd);
}

/* A backend that cannot watch such memory does not begin to when it is told to repair. */
Test(remap, shared_memory_mapped_over_private_memory_is_watched_or_refused)
{
	int fd = memfd_of(8 * PAGE);
	size_t count;

	cr_assert_eq(ww_watch(w, memory, PAGES * PAGE, 0), 0);
	map_fd(memory + 40 * PAGE, 8 * PAGE, MAP_SHARED, fd, 0);
	close(fd);
	if (except(NO_SHARED)) {
		cr_assert_eq(ww_watch(w, memory, PAGES * PAGE, 0), -ENOTSUP);
		return;
	}
	cr_assert_eq(ww_watch(w, memory, PAGES * PAGE, 0), 0);
	cr_assert_eq(ww_reset(w, memory, PAGES * PAGE), 0);
	memory[41 * PAGE]++;
	cr_assert_eq(get(WW_RESET, &count), 0);
	cr_assert(count == 1 && reported(count, 41));
}

Test(remap, two_contexts_do_not_share_memory_and_leave_each_other_alone)
{
	struct ww *other;
	size_t count = PAGES;

	cr_assert_eq(ww_new(&other, NULL), 0);
	memset(memory, 1, PAGES * PAGE);
	for (size_t i = 0; i < PAGES; i += 16)
		cr_assert_eq(ww_watch(w, memory + i * PAGE, 8 * PAGE, 0), 0);
	cr_assert_eq(ww_watch(other, memory, PAGES * PAGE, 0), -EBUSY);
	for (size_t i = 8; i < PAGES; i += 16)
		cr_assert_eq(ww_watch(other, memory + i * PAGE, 8 * PAGE, 0), 0);
	memory[1 * PAGE]++;
	memory[9 * PAGE]++;
	cr_assert_eq(ww_get(w, memory, PAGES * PAGE, WW_ACROSS | WW_RESET, pages, &count), 0);
	cr_assert(count == 1 && reported(count, 1));
	count = PAGES;
	cr_assert_eq(ww_get(other, memory, PAGES * PAGE, WW_ACROSS | WW_RESET, pages, &count), 0);
	cr_assert(count == 1 && reported(count, 9), "not reset by the other context's query");
	ww_free(other);
	memory[2 * PAGE]++;
	count = PAGES;
	cr_assert_eq(ww_get(w, memory, PAGES * PAGE, WW_ACROSS | WW_RESET, pages, &count), 0);
	cr_assert(count == 1 && reported(count, 2));
}
