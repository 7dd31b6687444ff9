/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <writewatch/writewatch.h>

#include "leaks.h"
#include "pages.h"
#include "seam.h"

/* Other kernels and poorer processes, played through the seam or really. */

#define PAGE 4096
#define PAGES 64

static void begin(void)
{
	memset(&seam, 0, sizeof(seam));
	leaks_begin();
}

TestSuite(kernels, .init = begin, .fini = leaks_end);

static const char *refusal(int expected)
{
	struct ww_options options = {.size = sizeof(options), .backend = "pagemap-scan"};
	struct ww_info info = {.size = sizeof(info)};
	struct ww *w = (struct ww *)&w;

	cr_assert_eq(ww_new(&w, &options), expected);
	cr_assert_null(w);
	cr_assert_eq(ww_probe(&options, &info), 0);
	cr_assert_null(info.backend);
	cr_assert_str_eq(info.refusals[0].backend, "pagemap-scan");
	return info.refusals[0].reason;
}

static void expect_reason(int expected, const char *word)
{
	const char *reason = refusal(expected);

	cr_assert(strstr(reason, word), "\"%s\" lacks \"%s\"", reason, word);
}

static void accepts(const char *release)
{
	struct ww *w;

	seam.release = release;
	cr_assert_eq(ww_new(&w, NULL), 0, "%s", release);
	ww_free(w);
}

Test(kernels, versions_that_lose_data_are_refused_and_no_others)
{
	static const char *const lossy[] = {"6.7.0", "6.7.12-amd64", "6.8", "6.8.0-45-generic",
					    "6.8.9"};

	for (size_t i = 0; i < sizeof(lossy) / sizeof(*lossy); i++) {
		seam.release = lossy[i];
		expect_reason(-ENOTSUP, "CVE-2024-36943");
	}
	accepts("6.8.10");
	accepts("6.9.0-rc1");
	accepts("6.6.31-patched");
	accepts("7.0");
	accepts("");
}

/* Synchronous write-protection needs no scan. */
Test(kernels, where_the_scan_is_refused_the_next_backend_is_taken)
{
	struct ww_info info = {.size = sizeof(info)};
	struct ww *w;

	seam.release = "6.8.9";
	cr_assert_eq(ww_new(&w, NULL), 0);
	cr_assert_eq(ww_info(w, &info), 0);
	cr_assert_str_eq(info.backend, "uffd");
	cr_assert_str_eq(info.refusals[0].backend, "pagemap-scan");
	cr_assert(strstr(info.refusals[0].reason, "CVE-2024-36943"));
	ww_free(w);
}

static long no_ioctl(struct wwk_pm_scan_arg *arg, long result)
{
	(void)arg;
	(void)result;
	return -ENOTTY;
}

static long no_guard_category(struct wwk_pm_scan_arg *arg, long result)
{
	return (arg->category_mask | arg->return_mask) & WWK_PAGE_IS_GUARD ? -EINVAL : result;
}

static long all_clean(struct wwk_pm_scan_arg *arg, long result)
{
	return result > 0 && arg->category_mask & WWK_PAGE_IS_WRITTEN ? 0 : result;
}

Test(kernels, a_kernel_without_the_ioctl_or_that_does_not_track_is_refused)
{
	seam.scan_done = no_ioctl;
	expect_reason(-ENOTSUP, "PAGEMAP_SCAN");
	seam.scan_done = all_clean;
	expect_reason(-ENOTSUP, "not reported");
}

Test(kernels, guard_pages_unknown_to_the_kernel_are_not_asked_for)
{
	void *pages[PAGES];
	size_t count = PAGES;
	char *p = map_private(PAGES * PAGE);
	struct ww *w;

	seam.scan_done = no_guard_category;
	cr_assert_eq(ww_new(&w, NULL), 0);
	cr_assert_eq(ww_watch(w, p, PAGES * PAGE, 0), 0);
	p[PAGE] = 1;
	cr_assert_eq(ww_get(w, p, PAGES * PAGE, WW_RESET, pages, &count), 0);
	cr_assert_eq(count, 1);
	ww_free(w);
	unmap(p, PAGES * PAGE);
}

Test(kernels, denied_userfaultfd_names_the_filter)
{
	seam.fail_uffd = EPERM;
	seam.fail_open_device = EACCES;
	expect_reason(-ENOTSUP, "seccomp");
	seam.fail_uffd = ENOSYS;
	seam.fail_open_device = ENOENT;
	expect_reason(-ENOTSUP, "CONFIG_USERFAULTFD");
	seam.fail_uffd = EMFILE;
	expect_reason(-EMFILE, "descriptors");
}

Test(kernels, a_backend_asked_for_by_name_gives_the_same_errors)
{
	struct ww_options options = {.size = sizeof(options), .backend = "pagemap-scan"};
	struct ww *w;

	seam.fail_uffd = EPERM;
	seam.fail_open_device = EACCES;
	cr_assert_eq(ww_new(&w, &options), -ENOTSUP);
	seam.fail_uffd = EMFILE;
	cr_assert_eq(ww_new(&w, &options), -EMFILE);
}

Test(kernels, refused_registration_is_told)
{
	static const int errors[] = {ENOTTY, EINVAL, EPERM, EBUSY, EBADF};

	for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++) {
		seam.fail_register = errors[i];
		expect_reason(-ENOTSUP, "register");
	}
	seam.fail_register = ENOMEM;
	expect_reason(-ENOMEM, "register");
}

Test(kernels, the_device_is_the_second_way_to_a_userfaultfd)
{
	struct ww *w;

	if (access("/dev/userfaultfd", R_OK | W_OK) != 0)
		cr_skip_test("/dev/userfaultfd cannot be opened here");
	seam.fail_uffd = EPERM;
	cr_assert_eq(ww_new(&w, NULL), 0);
	ww_free(w);
}

Test(kernels, a_missing_proc_says_so)
{
	seam.fail_open_pagemap = ENOENT;
	expect_reason(-ENOTSUP, "is /proc mounted");
	seam.fail_open_pagemap = EACCES;
	expect_reason(-ENOTSUP, "not dumpable");
	seam.fail_open_pagemap = EMFILE;
	expect_reason(-EMFILE, "descriptors");
}

Test(kernels, without_procmap_query_everything_works_the_same)
{
	void *pages[PAGES];
	char *p = map_private(PAGES * PAGE);
	int fd = memfd_of(PAGES * PAGE);
	char *shared = map_fd(NULL, PAGES * PAGE, MAP_SHARED, fd, 0);
	size_t count = PAGES;
	struct ww *w;

	close(fd);
	seam.fail_procmap_query = ENOTTY;
	cr_assert_eq(ww_new(&w, NULL), 0);
	cr_assert_eq(ww_watch(w, p, PAGES * PAGE, 0), 0);
	cr_assert_eq(ww_watch(w, shared, PAGES * PAGE, 0), 0);
	(void)*(volatile char *)shared;
	shared[PAGE] = 1;
	cr_assert_eq(ww_get(w, shared, PAGES * PAGE, 0, pages, &count), 0);
	cr_assert_eq(count, 1, "shared memory must not be armed lazily");
	/* Below all that may be mapped. */
	cr_assert_eq(ww_watch(w, (void *)PAGE, PAGE, 0), -EFAULT);
	ww_free(w);
	unmap(p, PAGES * PAGE);
	unmap(shared, PAGES * PAGE);
}

static void fill_once(uint64_t start, uint64_t end)
{
	seam.registered = NULL;
	memset((void *)start, 1, end - start);
}

/* As when the trial's pages lie in a huge page that one of the library's tables got. */
Test(kernels, what_empty_pages_need_is_tried_on_empty_pages)
{
	struct ww_options options = {.size = sizeof(options), .backend = "uffd"};
	char *p = map_private(PAGES * PAGE);
	size_t count;
	struct ww *w;

	seam.no_markers = true;
	seam.registered = fill_once;
	cr_assert_eq(ww_new(&w, &options), 0);
	cr_assert_null(seam.registered);
	cr_assert_eq(ww_watch(w, p, PAGES * PAGE, 0), 0);
	cr_assert_eq(ww_get(w, p, PAGES * PAGE, 0, NULL, &count), 0);
	cr_assert_eq(count, 0, "%zu empty pages are reported", count);
	ww_free(w);
	unmap(p, PAGES * PAGE);
}

static size_t written(struct ww *w, char *p)
{
	void *pages[PAGES];
	size_t count = PAGES;

	cr_assert_eq(ww_get(w, p, PAGES * PAGE, WW_RESET, pages, &count), 0);
	return count;
}

/* Which the kernel lists as a file's, and takes for anonymous. */
Test(kernels, without_markers_empty_pages_of_dev_zero_are_not_reported)
{
	struct ww_options options = {.size = sizeof(options), .backend = "uffd"};
	int fd = open("/dev/zero", O_RDWR | O_CLOEXEC);
	char *p = map_fd(NULL, PAGES * PAGE, MAP_PRIVATE, fd, 0);
	struct ww *w;

	close(fd);
	seam.no_markers = true;
	cr_assert_eq(ww_new(&w, &options), 0);
	cr_assert_eq(ww_watch(w, p, PAGES * PAGE, 0), 0);
	cr_assert_eq(written(w, p), 0);
	p[3 * PAGE] = 1;
	cr_assert_eq(written(w, p), 1);
	cr_assert_eq(written(w, p), 0);
	ww_free(w);
	unmap(p, PAGES * PAGE);
}

/* Empty pages have to be filled before they can be protected, and these cannot be touched. */
Test(kernels, without_markers_pages_that_may_not_be_read_are_reset_too)
{
	struct ww_options options = {.size = sizeof(options), .backend = "uffd"};
	char *p = map_private(PAGES * PAGE);
	struct ww *w;

	seam.no_markers = true;
	cr_assert_eq(ww_new(&w, &options), 0);
	p[3 * PAGE] = 1;
	cr_assert_eq(mprotect(p + 2 * PAGE, 8 * PAGE, PROT_NONE), 0);
	cr_assert_eq(ww_watch(w, p, PAGES * PAGE, 0), 0);
	cr_assert_eq(written(w, p), 0);
	cr_assert_eq(madvise(p, 20 * PAGE, MADV_DONTNEED), 0);
	written(w, p);
	cr_assert_eq(written(w, p), 0);
	cr_assert_eq(ww_mark(w, p + 5 * PAGE, PAGE), 0);
	cr_assert_eq(written(w, p), 1);
	cr_assert_eq(ww_discard(w, p, PAGES * PAGE), 0);
	cr_assert_eq(written(w, p), 0);
	cr_assert_eq(mprotect(p + 2 * PAGE, 8 * PAGE, PROT_READ | PROT_WRITE), 0);
	p[4 * PAGE] = 1;
	p[7 * PAGE] = p[3 * PAGE];
	cr_assert_eq(written(w, p), 2);
	cr_assert_eq(written(w, p), 0);
	ww_free(w);
	unmap(p, PAGES * PAGE);
}

static const char *const every_backend[] = {"pagemap-scan", "uffd-thread", "uffd-sigbus",
					    "mprotect", "soft-dirty"};

static void expect_huge_refused(struct ww *w, char *huge)
{
	struct ww_info info = {.size = sizeof(info)};

	cr_assert_eq(ww_info(w, &info), 0);
	cr_expect_eq(ww_watch(w, huge, HUGE_BYTES, 0), -ENOTSUP, "%s", info.backend);
	cr_expect_eq(ww_watch(w, huge, PAGE, WW_DISCARDS), -ENOTSUP, "%s", info.backend);
	cr_expect_eq(ww_watch(w, huge + PAGE, PAGE, 0), -ENOTSUP, "%s", info.backend);
	cr_expect_eq(ww_watch(w, huge + HUGE_BYTES - 2 * PAGE, 2 * PAGE, 0), -ENOTSUP, "%s",
		     info.backend);
	cr_assert_eq(ww_info(w, &info), 0);
	cr_assert_eq(info.watched, 0);
}

/* What is a file's as well, whichever page of it, right up to the huge pages. */
static void expect_file_watched(struct ww *w, char *file, size_t size)
{
	for (size_t at = 0; at < size; at += PAGE)
		cr_expect_eq(ww_watch(w, file + at, PAGE, 0), 0, "%zu", at);
	cr_expect_eq(ww_watch(w, file, size + PAGE, 0), -ENOTSUP);
}

Test(kernels, huge_pages_of_hugetlbfs_are_refused)
{
	struct ww_options options = {.size = sizeof(options)};
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_NORESERVE;
	int fd = memfd_of(3 * PAGE);
	char *p = map_reserve(2 * HUGE_BYTES, HUGE_BYTES), *huge = p + HUGE_BYTES;
	struct ww *w;

	if (mmap(huge, HUGE_BYTES, PROT_READ | PROT_WRITE, flags | MAP_FIXED, -1, 0) == MAP_FAILED)
		cr_skip_test("no hugetlbfs here");
	map_fd(huge - 3 * PAGE, 3 * PAGE, MAP_PRIVATE, fd, 0);
	close(fd);
	for (size_t i = 0; i < 2 * sizeof(every_backend) / sizeof(*every_backend); i++) {
		options.backend = every_backend[i / 2];
		seam.fail_procmap_query = i % 2 ? ENOTTY : 0;
		if (ww_new(&w, &options) == -ENOTSUP)
			continue;
		expect_huge_refused(w, huge);
		expect_file_watched(w, huge - 3 * PAGE, 3 * PAGE);
		ww_free(w);
	}
	munmap(p, 2 * HUGE_BYTES);
}

/* In a process of its own: user 65534, and still able to open its /proc files. */
static int unprivileged(bool dumpable)
{
	struct ww_options options = {.size = sizeof(options), .backend = "pagemap-scan"};
	char *p = map_private(PAGES * PAGE);
	void *pages[PAGES];
	size_t count = PAGES;
	struct ww *w;
	int fd, r;

	if (setgid(65534) || setuid(65534) || prctl(PR_SET_DUMPABLE, dumpable))
		return 100;
	r = ww_new(&w, &options);
	if (!dumpable)
		return r == -ENOTSUP ? 0 : 1;
	fd = open("/dev/zero", O_RDONLY);
	if (r || ww_watch(w, p, PAGES * PAGE, 0))
		return 2;
	p[PAGE] = 1;
	if (read(fd, p + 7 * PAGE + 100, 3 * PAGE) != 3 * PAGE)
		return 3;
	if (ww_get(w, p, PAGES * PAGE, WW_RESET, pages, &count) || count != 5)
		return 4;
	ww_free(w);
	return 0;
}

static void in_child(bool dumpable)
{
	int status = -1;
	pid_t child = fork();

	if (child == 0)
		_exit(unprivileged(dumpable));
	waitpid(child, &status, 0);
	cr_assert(WIFEXITED(status));
	if (WEXITSTATUS(status) == 100)
		cr_skip_test("not root, so the user cannot be changed");
	cr_assert_eq(WEXITSTATUS(status), 0);
}

Test(kernels, no_privilege_is_needed_not_even_for_writes_by_the_kernel)
{
	in_child(true);
}

Test(kernels, a_process_that_is_not_dumpable_is_refused)
{
	in_child(false);
}
