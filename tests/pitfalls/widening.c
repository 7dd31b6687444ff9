/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <writewatch/writewatch.h>

#include "backends.h"
#include "leaks.h"
#include "pages.h"

/* More separate written pages than a process may have mappings: at a sane speed, and none lost. */

#define PAGE ((size_t)4096)
#define PAGES ((size_t)262144)
#define MOST_SECONDS 30.0

static struct ww *w;
static char *memory;
static uint64_t bits[PAGES / 64];

static void begin(void)
{
	backend_begin();
	leaks_begin();
	/* A fault that comes again for ever is what this is about. */
	alarm(100);
	cr_assert_eq(ww_new(&w, NULL), 0);
}

static void end(void)
{
	ww_free(w);
	leaks_end();
}

TestSuite(widening, .init = begin, .fini = end, .timeout = 110);

static unsigned long number_in(const char *path, const char *format)
{
	FILE *file = fopen(path, "r");
	unsigned long number = 0;
	char line[256];

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, format, &number) == 1)
			break;
	if (file)
		fclose(file);
	return number;
}

static unsigned long max_map_count(void)
{
	return number_in("/proc/sys/vm/max_map_count", "%lu");
}

static unsigned long mappings(void)
{
	FILE *file = fopen("/proc/self/maps", "r");
	unsigned long lines = 0;
	int c;

	while (file && (c = getc(file)) != EOF)
		lines += c == '\n';
	if (file)
		fclose(file);
	return lines;
}

static uint64_t widened(void)
{
	struct ww_info info = {.size = sizeof(info)};

	cr_assert_eq(ww_info(w, &info), 0);
	return info.widened;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void write_every(size_t pages, size_t first, size_t step)
{
	for (size_t i = first; i < pages; i += step)
		memory[i * PAGE]++;
}

/* Gets and resets; all of these are reported, and how many others were is returned. */
static size_t others_reported(size_t pages, size_t first, size_t step)
{
	size_t count = pages / 64, wanted = 0;

	cr_assert_eq(ww_get_bitmap(w, memory, pages * PAGE, WW_RESET, bits, &count), 0);
	for (size_t i = first; i < pages; i += step, wanted++)
		cr_assert(bits[i / 64] >> i % 64 & 1, "page %zu was lost", i);
	return count - wanted;
}

/* As many mappings as a program needs at once when it loads a library or starts some threads. */
static void expect_room_for_mappings(void)
{
	enum { N = 500 };
	char *p = mmap(NULL, 2 * N * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	cr_assert_neq(p, MAP_FAILED);
	for (size_t i = 0; i < N; i++)
		cr_assert_eq(mprotect(p + 2 * i * PAGE, PAGE, PROT_READ), 0, "%zu", i);
	unmap(p, 2 * N * PAGE);
}

static void alternate(size_t first)
{
	uint64_t before = widened();
	double began = now(), took;
	size_t others;

	write_every(PAGES, first, 2);
	took = now() - began;
	expect_room_for_mappings();
	cr_assert_leq(mappings(), max_map_count() / 4 * 3);
	others = others_reported(PAGES, first, 2);
	fprintf(stderr, "# %s: %zu separate pages in %.2f s, %lu widened, %zu others reported\n",
		backend()->name, PAGES / 2, took, (unsigned long)(widened() - before), others);
	cr_assert_lt(took, MOST_SECONDS);
	cr_assert(others <= widened() - before || except(NOT_EXACT));
	if (!except(WIDENS))
		cr_assert_eq(widened(), 0);
	else if (max_map_count() / 4 < PAGES)
		cr_assert_gt(widened(), before, "the test needs it to mean anything");
}

Test(widening, every_other_page_of_a_gib)
{
	if (number_in("/proc/meminfo", "MemAvailable: %lu") < 3ul << 20)
		cr_skip_test("less than 3 GiB of memory are available");
	memory = map_private(PAGES * PAGE);
	madvise(memory, PAGES * PAGE, MADV_NOHUGEPAGE);
	cr_assert_eq(ww_watch(w, memory, PAGES * PAGE, 0), 0);
	alternate(0);
	alternate(1);
	/* After a reset it is exact again. */
	write_every(PAGES, 5, 2048);
	cr_assert_eq(others_reported(PAGES, 5, 2048), 0);
	cr_assert_eq(others_reported(PAGES, PAGES, 1), 0);
	cr_assert_eq(ww_unwatch(w, memory, PAGES * PAGE), 0);
	cr_assert_leq(mappings(), 1000, "all the mappings are one again");
	unmap(memory, PAGES * PAGE);
}

/* Where un-protecting many pages at once ends at a hole. */
Test(widening, every_other_page_around_a_hole)
{
	const size_t hole = PAGES / 8 + 1;

	if (number_in("/proc/meminfo", "MemAvailable: %lu") < 3ul << 20)
		cr_skip_test("less than 3 GiB of memory are available");
	memory = map_private(PAGES * PAGE);
	madvise(memory, PAGES * PAGE, MADV_NOHUGEPAGE);
	cr_assert_eq(ww_watch(w, memory, PAGES * PAGE, 0), 0);
	cr_assert_eq(munmap(memory + hole * PAGE, PAGE), 0);
	alternate(0);
	cr_assert_eq(ww_unwatch(w, memory, PAGES * PAGE), 0);
	cr_assert_leq(mappings(), 1000, "all the mappings are two again");
	unmap(memory, hole * PAGE);
	unmap(memory + (hole + 1) * PAGE, (PAGES - hole - 1) * PAGE);
}

/* What a page takes of the mappings, the next reset gives back, whatever the memory held before. */
static void expect_given_back(int prot, int flags)
{
	const size_t pages = PAGES / 4, each = 3000;
	unsigned long before;
	unsigned state = 1;

	memory = mmap(NULL, pages * PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
	cr_assert_neq(memory, MAP_FAILED);
	madvise(memory, pages * PAGE, MADV_NOHUGEPAGE);
	cr_assert_eq(ww_watch(w, memory, pages * PAGE, 0), 0);
	cr_assert_eq(protect(w, memory, pages * PAGE, PROT_READ | PROT_WRITE), 0);
	before = mappings();
	for (int round = 0; round < 8; round++) {
		size_t count = 0;

		for (size_t i = 0; i < each; i++)
			memory[(size_t)rand_r(&state) % pages * PAGE]++;
		cr_assert_eq(ww_get(w, memory, pages * PAGE, 0, NULL, &count), 0);
		cr_assert_leq(count, each);
		cr_assert_eq(ww_reset(w, memory, pages * PAGE), 0);
		cr_assert_leq(mappings(), before + 100, "round %d: %lu mappings, %lu before", round,
			      mappings(), before);
	}
	cr_assert_eq(widened(), 0);
	cr_assert_eq(ww_unwatch(w, memory, pages * PAGE), 0);
	unmap(memory, pages * PAGE);
}

Test(widening, a_reset_gives_mappings_back)
{
	expect_given_back(PROT_READ | PROT_WRITE, 0);
}

/* As address space is reserved; other memory is charged for page by page, which divides it for good. */
Test(widening, a_reset_gives_mappings_back_of_memory_that_was_inaccessible)
{
	expect_given_back(PROT_NONE, MAP_NORESERVE);
	expect_given_back(PROT_READ, MAP_NORESERVE);
}

/* Makes every other page read-only until the process may have no mapping more. */
static size_t use_up_mappings(char *p, size_t pages)
{
	size_t i = 1;

	while (i < pages && mprotect(p + i * PAGE, PAGE, PROT_READ) == 0)
		i += 2;
	/* One that was left for the middle of a mapping is taken by the end of it. */
	mprotect(p + (pages - 1) * PAGE, PAGE, PROT_READ);
	return i;
}

#define MORE 256
static char *more[MORE];

/* Mappings that are joined with no other; returns how many there were left for them. */
static size_t use_up_the_rest(void)
{
	size_t count = 0;

	while (count < MORE) {
		more[count] = mmap(NULL, PAGE, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		if (more[count] == MAP_FAILED)
			break;
		count++;
	}
	return count;
}

/* Armed memory is read-only, too: one mapping with what lies before and behind it. */
Test(widening, when_mappings_are_used_up_and_neighbours_are_read_only)
{
	const size_t pages = 4096, many = max_map_count() + 64;
	char *large, *others;
	struct ww *other;
	size_t count;

	if (many > 300000)
		cr_skip_test("vm.max_map_count is too large to be used up");
	others = map_private((pages + 5) * PAGE);
	memory = others + 4 * PAGE;
	memset(others, 1, (pages + 5) * PAGE);
	large = map_private(many * PAGE);
	cr_assert_eq(ww_watch(w, memory, pages * PAGE, 0), 0);
	/* What another context watches ends between pages of the program, too. */
	cr_assert_eq(ww_new(&other, NULL), 0);
	cr_assert_eq(ww_watch(other, memory - 2 * PAGE, PAGE, 0), 0);
	cr_assert_eq(mprotect(memory - 3 * PAGE, PAGE, PROT_READ), 0);
	cr_assert_eq(mprotect(memory - PAGE, PAGE, PROT_READ), 0);
	cr_assert_eq(mprotect(memory + pages * PAGE, PAGE, PROT_READ), 0);
	use_up_mappings(large, many);
	count = use_up_the_rest();
	memory[9 * PAGE]++;
	ww_free(other);
	memory[-2 * (ptrdiff_t)PAGE]++;
	unmap(large, many * PAGE);
	cr_assert_lt(count, MORE, "there were mappings left");
	while (count)
		unmap(more[--count], PAGE);
	others_reported(pages, 9, pages);
	cr_assert_eq(ww_reset(w, memory, pages * PAGE), 0);
	write_every(pages, 7, 512);
	cr_assert_eq(others_reported(pages, 7, 512), 0);
	cr_assert_eq(ww_unwatch(w, memory, pages * PAGE), 0);
	unmap(others, (pages + 5) * PAGE);
}

Test(widening, when_mappings_are_used_up_and_there_is_a_hole)
{
	const size_t pages = 64, many = max_map_count() + 64;
	size_t count;
	char *large;

	if (many > 300000)
		cr_skip_test("vm.max_map_count is too large to be used up");
	memory = map_private(pages * PAGE);
	memset(memory, 1, pages * PAGE);
	large = map_private(many * PAGE);
	cr_assert_eq(ww_watch(w, memory, pages * PAGE, 0), 0);
	cr_assert_eq(munmap(memory + 2 * PAGE, PAGE), 0);
	use_up_mappings(large, many);
	count = use_up_the_rest();
	write_every(pages, 4, 2);
	unmap(large, many * PAGE);
	cr_assert_lt(count, MORE, "there were mappings left");
	while (count)
		unmap(more[--count], PAGE);
	others_reported(pages, 4, 2);
	write_every(pages, 7, 16);
	cr_assert_eq(others_reported(pages, 7, 16), 0);
	cr_assert_eq(ww_unwatch(w, memory, pages * PAGE), 0);
	unmap(memory, 2 * PAGE);
	unmap(memory + 3 * PAGE, (pages - 3) * PAGE);
}

Test(widening, when_the_program_has_used_up_all_mappings)
{
	const size_t pages = 4096, many = max_map_count() + 64;
	size_t end, others;
	char *large;

	if (many > 300000)
		cr_skip_test("vm.max_map_count is too large to be used up");
	memory = map_private(pages * PAGE);
	memset(memory, 1, pages * PAGE);
	cr_assert_eq(ww_watch(w, memory, pages * PAGE, 0), 0);
	large = map_private(many * PAGE);
	end = use_up_mappings(large, many);
	write_every(pages, 0, 2);
	others = others_reported(pages, 0, 2);
	write_every(pages, 1, 64);
	others += others_reported(pages, 1, 64);
	unmap(large, many * PAGE);
	cr_assert_lt(end, many, "there were mappings left");
	fprintf(stderr, "# %s: %lu widened, %zu others reported\n", backend()->name,
		(unsigned long)widened(), others);
	if (except(WIDENS))
		cr_assert_gt(widened(), 0);
	else
		cr_assert(widened() == 0 && (others == 0 || except(NOT_EXACT)));
	cr_assert_eq(ww_reset(w, memory, pages * PAGE), 0);
	write_every(pages, 7, 512);
	cr_assert_eq(others_reported(pages, 7, 512), 0);
	cr_assert_eq(ww_unwatch(w, memory, pages * PAGE), 0);
	unmap(memory, pages * PAGE);
}
