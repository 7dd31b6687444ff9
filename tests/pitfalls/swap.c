/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/swap.h>
#include <sys/wait.h>
#include <unistd.h>
#include <writewatch/writewatch.h>

#include "backends.h"
#include "context.h"
#include "leaks.h"
#include "pages.h"
#include "uapi/userfaultfd.h"

/* A page that was written and then swapped out is still a page that was written. */

#define PAGE 4096
#define PAGES 1024
#define SWAP_BYTES ((size_t)64 << 20)

/* The header that mkswap(8) writes: version 1, the last page, and the signature. */
static bool write_swap_file(int fd)
{
	static char block[1 << 20];
	uint32_t header[2] = {1, SWAP_BYTES / PAGE - 1};

	for (size_t done = 0; done < SWAP_BYTES; done += sizeof(block))
		if (write(fd, block, sizeof(block)) != sizeof(block))
			return false;
	return pwrite(fd, header, sizeof(header), 1024) == sizeof(header) &&
	       pwrite(fd, "SWAPSPACE2", 10, PAGE - 10) == 10 && fsync(fd) == 0;
}

/* A process of its own swaps on, and swaps off when we end in whatever way. */
static void swap_keeper(int ready, int until)
{
	char path[] = "swap-file-XXXXXX", answer = 'n';
	int fd = mkstemp(path);
	char resolved[4096];

	if (fd >= 0 && write_swap_file(fd) && realpath(path, resolved) &&
	    swapon(resolved, 0) == 0) {
		answer = 'y';
		(void)!write(ready, &answer, 1);
		while (read(until, &answer, 1) == -1 && errno == EINTR)
			;
		swapoff(resolved);
	} else {
		(void)!write(ready, &answer, 1);
	}
	unlink(path);
	_exit(0);
}

static pid_t keeper;
static int until_fd = -1;

static bool swap_begin(void)
{
	int ready[2], until[2];
	char answer = 'n';

	cr_assert(pipe2(ready, O_CLOEXEC) == 0 && pipe2(until, O_CLOEXEC) == 0);
	keeper = fork();
	cr_assert_geq(keeper, 0);
	if (keeper == 0) {
		close(until[1]);
		swap_keeper(ready[1], until[0]);
	}
	close(ready[1]);
	close(until[0]);
	until_fd = until[1];
	(void)!read(ready[0], &answer, 1);
	close(ready[0]);
	return answer == 'y';
}

static void swap_end(void)
{
	close(until_fd);
	waitpid(keeper, NULL, 0);
}

static void begin(void)
{
	backend_begin();
	leaks_begin();
}

static void end(void)
{
	leaks_end();
}

TestSuite(swap, .init = begin, .fini = end);

static size_t count_pages(const char *p, size_t n, int bit)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	size_t count = 0;

	for (size_t i = 0; i < n; i++) {
		uint64_t entry = 0;

		(void)!pread(fd, &entry, 8, (off_t)(((uintptr_t)p / PAGE + i) * 8));
		count += entry >> bit & 1;
	}
	close(fd);
	return count;
}

static size_t swapped_pages(const char *p, size_t n)
{
	return count_pages(p, n, 62);
}

static bool is_present(const char *p)
{
	return count_pages(p, 1, 63);
}

static size_t get(struct ww *w, void *p, unsigned flags)
{
	static void *pages[PAGES];
	size_t count = PAGES;

	cr_assert_eq(ww_get(w, p, PAGES * PAGE, flags, pages, &count), 0);
	for (size_t i = 0; i < count; i++)
		cr_assert_eq(((char *)pages[i] - (char *)p) / PAGE % 3, 0);
	return count;
}

static void swap_out(char *p)
{
	size_t swapped = 0;

	/* What is being written back, or isolated for another reason, is passed over. */
	for (int i = 0; i < 200 && swapped < PAGES / 4; i++) {
		madvise(p, PAGES * PAGE, MADV_PAGEOUT);
		swapped = swapped_pages(p, PAGES);
		usleep(swapped ? 0 : 10000);
	}
	cr_assert_geq(swapped, PAGES / 4, "the kernel did not swap: %zu pages", swapped);
}

static void run(bool populated, unsigned flags)
{
	size_t expected = (PAGES + 2) / 3;
	char *p = map_private(PAGES * PAGE);
	struct ww *w;

	madvise(p, PAGES * PAGE, MADV_NOHUGEPAGE);
	if (populated)
		for (size_t i = 0; i < PAGES; i++)
			memset(p + i * PAGE, (int)i | 1, PAGE);
	cr_assert_eq(ww_new(&w, NULL), 0);
	cr_assert_eq(ww_watch(w, p, PAGES * PAGE, flags), 0);
	for (size_t i = 0; i < PAGES; i += 3)
		memset(p + i * PAGE, (int)i | 2, PAGE);
	swap_out(p);
	cr_assert_eq(get(w, p, 0), expected, "written, then swapped out");
	cr_assert_eq(get(w, p, WW_RESET), expected);
	cr_assert_eq(get(w, p, 0), 0, "reset while swapped out");
	for (size_t i = 0; i < PAGES; i++)
		(void)*(volatile char *)(p + i * PAGE);
	cr_assert_eq(get(w, p, 0), 0, "swapped in by reads");
	swap_out(p);
	for (size_t i = 0; i < PAGES; i += 3)
		p[i * PAGE]++;
	cr_assert_eq(get(w, p, WW_RESET), expected, "written while swapped out");
	cr_assert_eq(get(w, p, 0), 0);
	ww_free(w);
	unmap(p, PAGES * PAGE);
}

Test(swap, hides_no_written_page)
{
	if (!swap_begin()) {
		swap_end();
		cr_skip_test("no swap can be added here (needs root and a file system that can)");
	}
	run(false, 0);
	run(true, 0);
	run(false, discards_flag());
	swap_end();
}

/* Pages that are swapped out when the watch begins are populated pages, not holes. */
Test(swap, watching_swapped_memory_begins_clean)
{
	char *p = map_private(PAGES * PAGE);
	struct ww *w;

	if (!swap_begin()) {
		swap_end();
		unmap(p, PAGES * PAGE);
		cr_skip_test("no swap can be added here (needs root and a file system that can)");
	}
	for (size_t i = 0; i < PAGES; i++)
		memset(p + i * PAGE, (int)i | 1, PAGE);
	swap_out(p);
	cr_assert_eq(ww_new(&w, NULL), 0);
	cr_assert_eq(ww_watch(w, p, PAGES * PAGE, 0), 0);
	cr_assert_eq(get(w, p, 0), 0);
	for (size_t i = 0; i < PAGES; i++)
		cr_assert_eq(p[i * PAGE + 5], (char)(i | 1));
	cr_assert_eq(get(w, p, 0), 0);
	p[0]++;
	cr_assert_eq(get(w, p, WW_RESET), 1);
	ww_free(w);
	unmap(p, PAGES * PAGE);
	swap_end();
}

/* The page that another thread would write to as soon as content was dropped, and lose to the swap. */
static char *raced;

static void write_and_swap_out(char *p)
{
	memset(p, 0x5a, PAGE);
	for (int i = 0; i < 200 && is_present(p); i++) {
		madvise(p, PAGE, MADV_PAGEOUT);
		usleep(10000);
	}
	cr_assert(!is_present(p), "the kernel did not swap");
}

int __real_sys_madvise(uintptr_t start, size_t len, int advice);
int __wrap_sys_madvise(uintptr_t start, size_t len, int advice);

int __wrap_sys_madvise(uintptr_t start, size_t len, int advice)
{
	int r = __real_sys_madvise(start, len, advice);
	char *p = raced;

	if (!p || r != 0 || (advice != MADV_DONTNEED && advice != MADV_REMOVE))
		return r;
	raced = NULL;
	write_and_swap_out(p);
	return r;
}

static void discard_and_write(int sharing, unsigned flags)
{
	char *p = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, sharing | MAP_ANONYMOUS, -1, 0);
	struct ww *w;

	cr_assert(p != MAP_FAILED);
	/* Or the write that races may be of 512 pages. */
	madvise(p, PAGES * PAGE, MADV_NOHUGEPAGE);
	memset(p, 1, PAGES * PAGE);
	cr_assert_eq(ww_new(&w, NULL), 0);
	cr_assert_eq(ww_watch(w, p, PAGES * PAGE, flags), 0);
	raced = p + 3 * PAGE;
	cr_assert_eq(ww_discard(w, p, PAGES * PAGE), 0);
	cr_assert_null(raced);
	cr_assert_eq(get(w, p, WW_RESET), 1);
	cr_assert_eq(p[3 * PAGE], 0x5a);
	cr_assert_eq(get(w, p, 0), 0);
	cr_assert_eq(p[4 * PAGE], 0);
	ww_free(w);
	unmap(p, PAGES * PAGE);
}

Test(swap, takes_no_write_that_races_with_a_discard)
{
	if (!swap_begin()) {
		swap_end();
		cr_skip_test("no swap can be added here (needs root and a file system that can)");
	}
	discard_and_write(MAP_PRIVATE, 0);
	discard_and_write(MAP_PRIVATE, discards_flag());
	if (except(NO_SHARED))
		left_out("shared memory", NO_SHARED);
	else
		discard_and_write(MAP_SHARED, 0);
	swap_end();
}

/*
 * Where a scan has to make a page table, it protects what a thread writes at that moment, and the
 * kernel swaps out: a page of these 2 MiB, if nothing was there before the scan.
 */
static struct ww *arming;
static char *hole;

long __real_sys_ioctl(int fd, unsigned long request, void *arg);
long __wrap_sys_ioctl(int fd, unsigned long request, void *arg);

static void set_protection(char *page, uint64_t mode)
{
	struct wwk_uffdio_writeprotect wp = {
		.range = {.start = (uintptr_t)page, .len = PAGE},
		.mode = mode,
	};

	cr_assert_eq(__real_sys_ioctl(arming->uffd.fd, WWK_UFFDIO_WRITEPROTECT, &wp), 0);
}

long __wrap_sys_ioctl(int fd, unsigned long request, void *arg)
{
	const struct wwk_pm_scan_arg *scan = arg;
	unsigned char there[HUGE_BYTES / PAGE] = {0};
	char *p = hole;
	bool no_table;
	long r;

	if (!p || request != WWK_PAGEMAP_SCAN || !(scan->flags & WWK_PM_SCAN_WP_MATCHING) ||
	    !(scan->category_inverted & WWK_PAGE_IS_PRESENT))
		return __real_sys_ioctl(fd, request, arg);
	hole = NULL;
	cr_assert_eq(mincore(p, HUGE_BYTES, there), 0);
	no_table = !memchr(there, 1, sizeof(there));
	r = __real_sys_ioctl(fd, request, arg);
	if (no_table)
		set_protection(p + 5 * PAGE, 0);
	write_and_swap_out(p + 5 * PAGE);
	if (no_table)
		set_protection(p + 5 * PAGE, WWK_UFFDIO_WRITEPROTECT_MODE_WP);
	return r;
}

static void arm_and_write(bool discards)
{
	char *p = map_reserve(4 * HUGE_BYTES, HUGE_BYTES);
	void *pages[PAGES];
	size_t count = PAGES;

	cr_assert_eq(mprotect(p, 4 * HUGE_BYTES, PROT_READ | PROT_WRITE), 0);
	cr_assert_eq(ww_new(&arming, NULL), 0);
	cr_assert_eq(ww_watch(arming, p, 4 * HUGE_BYTES, discards ? discards_flag() : 0), 0);
	hole = p + HUGE_BYTES;
	if (discards)
		cr_assert_eq(ww_discard(arming, p, 4 * HUGE_BYTES), 0);
	else
		cr_assert_eq(ww_watch(arming, p, 4 * HUGE_BYTES, discards_flag()), 0);
	/* Nothing else has to arm what is empty. */
	if (hole)
		write_and_swap_out(p + HUGE_BYTES + 5 * PAGE);
	hole = NULL;
	cr_assert_eq(ww_get(arming, p, 4 * HUGE_BYTES, WW_RESET, pages, &count), 0);
	cr_assert_eq(count, 1);
	cr_assert_eq((char *)pages[0], p + HUGE_BYTES + 5 * PAGE);
	cr_assert_eq(p[HUGE_BYTES + 5 * PAGE], 0x5a);
	ww_free(arming);
	unmap(p, 4 * HUGE_BYTES);
}

Test(swap, takes_no_write_that_races_with_arming_a_hole)
{
	if (!swap_begin()) {
		swap_end();
		cr_skip_test("no swap can be added here (needs root and a file system that can)");
	}
	arm_and_write(false);
	arm_and_write(true);
	swap_end();
}
