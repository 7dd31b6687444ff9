/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <writewatch/writewatch.h>

#include "leaks.h"
#include "pages.h"
#include "seam.h"

/* What a program that stops its writers may be given. */

#define PAGE 4096
#define PAGES 64

TestSuite(stopped, .init = leaks_begin, .fini = leaks_end);

static bool tries_soft_dirty(const struct ww_options *options, struct ww_info *info)
{
	*info = (struct ww_info){.size = sizeof(*info)};
	cr_assert_eq(ww_probe(options, info), 0);
	for (size_t i = 0; i < info->refusal_count; i++)
		if (strcmp(info->refusals[i].backend, "soft-dirty") == 0)
			return true;
	return info->backend && strcmp(info->backend, "soft-dirty") == 0;
}

/* Where nothing better has what is required: with no scan, that is nothing. */
Test(stopped, writers_let_soft_dirty_be_chosen)
{
	struct ww_options options = {
		.size = sizeof(options),
		.required = WW_NO_SIGNAL_HANDLER | WW_NO_THREAD,
	};
	char *p = map_private(PAGES * PAGE);
	void *pages[PAGES];
	size_t count = PAGES, i = 0;
	struct ww_info info;
	struct ww *w;

	seam.release = "6.8.9";
	cr_assert_eq(ww_new(&w, &options), -ENOTSUP);
	cr_assert_not(tries_soft_dirty(&options, &info));
	options.flags = WW_WRITERS_STOPPED;
	cr_assert(tries_soft_dirty(&options, &info));
	if (!info.backend) {
		unmap(p, PAGES * PAGE);
		cr_skip_test("it is tried, and refused: %s",
			     info.refusals[info.refusal_count - 1].reason);
	}
	cr_assert_eq(ww_new(&w, &options), 0);
	cr_assert_eq(ww_watch(w, p, PAGES * PAGE, 0), 0);
	p[5 * PAGE] = 1;
	cr_assert_eq(ww_get(w, p, PAGES * PAGE, WW_RESET, pages, &count), 0);
	while (i < count && pages[i] != p + 5 * PAGE)
		i++;
	cr_assert_lt(i, count);
	ww_free(w);
	unmap(p, PAGES * PAGE);
}
