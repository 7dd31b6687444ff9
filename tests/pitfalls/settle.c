/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <writewatch/writewatch.h>

#include "backends.h"
#include "leaks.h"
#include "pages.h"
#include "seam.h"

/*
 * What a failed reset has reset is to be reported again, also where another thread remaps while that
 * is seen to: here, just before memory is un-protected.
 */

#define PAGE 4096
#define PAGES 256

static struct ww *w;
static char *memory;
static void *pages[PAGES];
/* Pages to remap, one each time when all from `begins` on, more than a page, is un-protected. */
static const size_t *remapped;
static size_t remaps, begins;
/* A thread that handles faults un-protects as well. */
static _Thread_local bool remapping;

static void remap(size_t page)
{
	cr_assert_eq(mmap(memory + page * PAGE, PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
		     memory + page * PAGE);
}

static void remap_meanwhile(uint64_t start, uint64_t end)
{
	if (!remapping || !remaps || start != (uintptr_t)memory + begins * PAGE ||
	    end - start <= PAGE)
		return;
	remaps--;
	remap(*remapped++);
}

static void begin(void)
{
	memset(&seam, 0, sizeof(seam));
	backend_begin();
	skip_if(NO_STALE);
	leaks_begin();
	remaps = 0;
	/* Before there is such a thread. */
	seam.protecting = remap_meanwhile;
	memory = map_private(PAGES * PAGE);
	memset(memory, 1, PAGES * PAGE);
	cr_assert_eq(ww_new(&w, NULL), 0);
	cr_assert_eq(ww_watch(w, memory, PAGES * PAGE, 0), 0);
}

static void end(void)
{
	ww_free(w);
	unmap(memory, PAGES * PAGE);
	leaks_end();
}

TestSuite(settle, .init = begin, .fini = end);

static int get(size_t first, size_t *count)
{
	*count = PAGES;
	return ww_get(w, memory + first * PAGE, (PAGES - first) * PAGE, WW_RESET, pages, count);
}

static bool reported(size_t count, size_t page)
{
	for (size_t i = 0; i < count; i++)
		if (pages[i] == memory + page * PAGE)
			return true;
	return false;
}

static void reset_and_remap(const size_t *list, size_t n)
{
	size_t count;

	memory[200 * PAGE]++;
	memory[220 * PAGE]++;
	remap(50);
	remap(240);
	memory[240 * PAGE] = memory[50 * PAGE] = 1;
	remapped = list;
	remaps = n;
	begins = 51;
	remapping = true;
	cr_assert_eq(get(begins, &count), -ESTALE);
	remapping = false;
	cr_assert_eq(ww_watch(w, memory, PAGES * PAGE, 0), 0);
	cr_assert_eq(get(0, &count), 0);
	cr_assert(reported(count, 200) && reported(count, 220), "of %zu", count);
	cr_assert(reported(count, 50) && reported(count, 240), "of %zu", count);
	cr_assert_eq(get(0, &count), 0);
	cr_assert_eq(count, 0);
	cr_assert_eq(remaps, 0);
}

/* What is un-protected is cut in two, and its front is cut again. */
Test(settle, reports_what_was_reset_behind_a_remapped_page)
{
	reset_and_remap((size_t[]){180, 100, 70}, 3);
}

/* Where that seems never to end, everything counts as written. */
Test(settle, reports_all_when_the_program_goes_on_remapping)
{
	size_t list[64];

	for (size_t i = 0; i < 64; i++)
		list[i] = 190 - i;
	reset_and_remap(list, 64);
}

static char *fresh;

static void remap_fresh(uint64_t start, uint64_t end)
{
	if (start != (uintptr_t)fresh)
		return;
	seam.registered = NULL;
	unmap(fresh, end - start);
	cr_assert_eq(mmap(fresh, end - start, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0),
		     fresh);
}

/* What is remapped between two steps of watching it can be watched all the same. */
Test(settle, watches_what_is_remapped_meanwhile)
{
	size_t count = PAGES;

	fresh = map_private(16 * PAGE);
	seam.registered = remap_fresh;
	cr_assert_eq(ww_watch(w, fresh, 16 * PAGE, 0), 0);
	cr_assert_null(seam.registered);
	cr_assert_eq(ww_get(w, fresh, 16 * PAGE, WW_RESET, pages, &count), 0);
	fresh[3 * PAGE] = 1;
	count = PAGES;
	cr_assert_eq(ww_get(w, fresh, 16 * PAGE, WW_RESET, pages, &count), 0);
	cr_assert(count == 1 && pages[0] == fresh + 3 * PAGE);
	cr_assert_eq(ww_unwatch(w, fresh, 16 * PAGE), 0);
	unmap(fresh, 16 * PAGE);
}

/* As the first step of dropping shared memory finds it. */
Test(settle, tells_that_what_is_discarded_was_remapped)
{
	int fd = memfd_of(16 * PAGE);
	char *shared = map_fd(NULL, 16 * PAGE, MAP_SHARED, fd, 0);

	cr_assert_eq(ww_watch(w, shared, 16 * PAGE, 0), 0);
	seam.fail_protect = ENOENT;
	cr_assert_eq(ww_discard(w, shared, 16 * PAGE), -ESTALE);
	seam.fail_protect = EIO;
	cr_assert_eq(ww_discard(w, shared, 16 * PAGE), -EIO);
	seam.fail_protect = 0;
	cr_assert_eq(ww_discard(w, shared, 16 * PAGE), 0);
	cr_assert_eq(ww_unwatch(w, shared, 16 * PAGE), 0);
	unmap(shared, 16 * PAGE);
	close(fd);
}
