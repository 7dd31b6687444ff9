/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <writewatch/writewatch.h>

#include "backends.h"
#include "leaks.h"
#include "pages.h"

/*
 * A page that was written, and that the kernel then merged with equal ones (KSM), was written. Who
 * switches that on does it for all processes, so not the test.
 */

#define PAGE 4096
#define PAGES 256
#define KSM "/sys/kernel/mm/ksm/"

static unsigned long number_in(const char *path)
{
	FILE *file = fopen(path, "re");
	unsigned long n = 0;

	if (file && fscanf(file, "%lu", &n) != 1)
		n = 0;
	if (file)
		fclose(file);
	return n;
}

static void begin(void)
{
	backend_begin();
	if (number_in(KSM "run") != 1)
		cr_skip_test("the kernel merges no pages: " KSM "run");
	leaks_begin();
}

TestSuite(merged, .init = begin, .fini = leaks_end);

static char *mergeable(void)
{
	char *p = map_private(PAGES * PAGE);

	cr_assert_eq(madvise(p, PAGES * PAGE, MADV_MERGEABLE), 0);
	for (size_t i = 0; i < PAGES; i++)
		memset(p + i * PAGE, (int)i, PAGE);
	return p;
}

static void write_alike(char *p, char value)
{
	for (size_t i = 0; i < PAGES; i++)
		memset(p + i * PAGE, value, PAGE);
}

/*
 * Until pages of the same process, which nobody watches, have been merged, and what is watched had
 * the same time for it.
 */
static bool merging_was_seen(void)
{
	unsigned long end = number_in(KSM "full_scans") + 4;
	char *p = mergeable();
	time_t last = time(NULL) + 20;
	bool seen = false;

	write_alike(p, 'p');
	while (!seen && time(NULL) < last) {
		usleep(10000);
		seen = number_in("/proc/self/ksm_merging_pages") >= PAGES / 2 &&
		       number_in(KSM "full_scans") >= end;
	}
	unmap(p, PAGES * PAGE);
	return seen;
}

static size_t get(struct ww *w, char *p)
{
	static void *pages[PAGES];
	size_t count = PAGES;

	cr_assert_eq(ww_get(w, p, PAGES * PAGE, WW_RESET, pages, &count), 0);
	return count;
}

Test(merged, pages_that_were_written_are_reported, .timeout = 60)
{
	char *p = mergeable();
	struct ww *w;
	bool seen;

	cr_assert_eq(ww_new(&w, NULL), 0);
	cr_assert_eq(ww_watch(w, p, PAGES * PAGE, 0), 0);
	cr_assert_eq(get(w, p), 0);
	write_alike(p, 'w');
	seen = merging_was_seen();
	cr_assert_eq(get(w, p), PAGES);
	write_alike(p, 'v');
	cr_assert_eq(get(w, p), PAGES, "once more, from merged ones");
	ww_free(w);
	unmap(p, PAGES * PAGE);
	if (!seen)
		cr_skip_test("the kernel merged too little in 20 s");
}
