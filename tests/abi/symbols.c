/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <writewatch/process.h>
#include <writewatch/writewatch.h>

/* Linked with the shared library alone: everything public is there and does something. */

Test(symbols, the_native_api_links_and_runs)
{
	struct ww_options options = {.size = sizeof(options), .required = WW_EXACT};
	struct ww_info info = {.size = sizeof(info)};
	char *p = mmap(NULL, 8 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct ww_range range;
	uint64_t bits;
	void *page;
	size_t count = 1;
	struct ww *w;

	cr_assert_neq(p, MAP_FAILED);
	cr_assert_eq(ww_probe(&options, &info), 0);
	cr_assert_not_null(info.backend);
	cr_assert_eq(ww_new(&w, &options), 0);
	cr_assert_eq(ww_info(w, &info), 0);
	cr_assert_eq(ww_watch(w, p, 8 * 4096, WW_DISCARDS), 0);
	p[4096] = 1;
	cr_assert(ww_get(w, p, 8 * 4096, 0, &page, &count) == 0 && count == 1);
	cr_assert(ww_get_ranges(w, p, 8 * 4096, WW_ACROSS, &range, &count) == 0 && count == 1);
	cr_assert(ww_get_bitmap(w, p, 8 * 4096, WW_RESET, &bits, &count) == 0 && bits == 2);
	cr_assert_eq(ww_mark(w, p, 1), 0);
	cr_assert_eq(ww_reset(w, p, 8 * 4096), 0);
	cr_assert_eq(ww_discard(w, p, 4096), 0);
	cr_assert_eq(ww_unwatch(w, p, 8 * 4096), 0);
	ww_free(w);
	munmap(p, 8 * 4096);
}

Test(symbols, the_interface_to_processes_links_and_runs)
{
	struct ww_process_query query = {.size = sizeof(query), .required = WW_PAGE_PRESENT};
	struct ww_page_range range;
	struct ww_process *p;
	size_t count = 1;

	cr_assert_eq(ww_process_open_pidfd(&p, -1, 0), -EBADF);
	cr_assert_eq(ww_process_open(&p, 0, 0), 0);
	cr_assert(ww_process_categories(p) & WW_PAGE_PRESENT);
	cr_assert(ww_process_scan(p, &query, &range, &count) == 0 && count == 1);
	cr_assert_eq(ww_process_memwatch(p, 1, 1, WW_MEMWATCH_CLEAR, NULL, 0, NULL), -EINVAL);
	ww_process_close(p);
}

Test(symbols, the_header_has_the_version_of_the_project)
{
	char version[32];

	snprintf(version, sizeof(version), "%d.%d.%d", WW_VERSION_MAJOR, WW_VERSION_MINOR,
		 WW_VERSION_PATCH);
	cr_assert_str_eq(version, PROJECT_VERSION);
}
