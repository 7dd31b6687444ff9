/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <writewatch/writewatch.h>

#include "backends.h"
#include "context.h"
#include "leaks.h"
#include "pages.h"
#include "sys.h"

/*
 * Kernels up to 6.4 leave out of the pagemap what a huge page tells that vanishes while it is read:
 * the words behind it come in its place, and there are too few.
 */

#define PAGE ((size_t)4096)
#define HUGE_WORDS ((size_t)512)
#define PAGES (4 * HUGE_WORDS)

static struct ww *w;
static char *memory;
static void *pages[PAGES];
/* Of so many reads the first huge page is left out. */
static int shortened;

ssize_t __real_sys_pread(int fd, void *buffer, size_t size, off_t offset);
ssize_t __wrap_sys_pread(int fd, void *buffer, size_t size, off_t offset);

ssize_t __wrap_sys_pread(int fd, void *buffer, size_t size, off_t offset)
{
	const size_t left_out = HUGE_WORDS * sizeof(uint64_t);
	ssize_t r = __real_sys_pread(fd, buffer, size, offset);

	if (!w || fd != w->pagemap.fd || !shortened || r <= (ssize_t)left_out)
		return r;
	shortened--;
	memmove(buffer, (char *)buffer + left_out, (size_t)r - left_out);
	return r - (ssize_t)left_out;
}

static void begin(void)
{
	backend_begin();
	leaks_begin();
	shortened = 0;
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

TestSuite(short_reads, .init = begin, .fini = end);

static int get(unsigned flags, size_t *count)
{
	*count = PAGES;
	return ww_get(w, memory, PAGES * PAGE, flags, pages, count);
}

Test(short_reads, are_no_answer)
{
	size_t count;

	cr_assert_eq(get(WW_RESET, &count), 0);
	for (int reset = 0; reset < 2; reset++) {
		memory[700 * PAGE]++;
		shortened = 3;
		cr_assert_eq(get(reset ? WW_RESET : 0, &count), 0);
		shortened = 0;
		cr_assert(count >= 1);
		for (size_t i = 0; i < count && !except(NOT_EXACT) && !except(WIDENS); i++)
			cr_assert_eq(pages[i], memory + 700 * PAGE, "page %zu",
				     (size_t)((char *)pages[i] - memory) / PAGE);
	}
}

/* And nothing is lost where there are no others. */
Test(short_reads, that_never_end_are_an_error)
{
	size_t count;
	int r;

	cr_assert_eq(get(WW_RESET, &count), 0);
	memory[700 * PAGE]++;
	shortened = 1 << 20;
	r = get(WW_RESET, &count);
	shortened = 0;
	cr_assert(r == 0 || r == -EIO, "%d", r);
	if (r < 0)
		cr_assert_eq(get(WW_RESET, &count), 0);
	for (size_t i = 0; i < count; i++)
		if (pages[i] == memory + 700 * PAGE)
			return;
	cr_assert_fail("a written page is lost");
}
