/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <string.h>
#include <sys/mman.h>
#include <writewatch/writewatch.h>

#include "backends.h"
#include "leaks.h"
#include "pagemap.h"
#include "pages.h"
#include "sys.h"
#include "uapi/pagemap_scan.h"

/*
 * Kernels that have no zero page: what is only read gets a page of its own, as what is written does.
 * The library is told so where it is not true.
 */

#define PAGE 4096
#define PAGES 100

static void (*dropped)(void);

ssize_t __real_sys_pread(int fd, void *buffer, size_t size, off_t offset);
ssize_t __wrap_sys_pread(int fd, void *buffer, size_t size, off_t offset);
long __real_sys_ioctl(int fd, unsigned long request, void *arg);
long __wrap_sys_ioctl(int fd, unsigned long request, void *arg);
int __real_sys_madvise(uintptr_t addr, size_t len, int advice);
int __wrap_sys_madvise(uintptr_t addr, size_t len, int advice);

/* One word is asked for where it matters. */
ssize_t __wrap_sys_pread(int fd, void *buffer, size_t size, off_t offset)
{
	ssize_t r = __real_sys_pread(fd, buffer, size, offset);
	uint64_t word;

	if (r != sizeof(word))
		return r;
	memcpy(&word, buffer, sizeof(word));
	if (word & PM_PRESENT)
		word |= PM_EXCLUSIVE;
	memcpy(buffer, &word, sizeof(word));
	return r;
}

long __wrap_sys_ioctl(int fd, unsigned long request, void *arg)
{
	struct wwk_pm_scan_arg *scan = arg;

	if (request != WWK_PAGEMAP_SCAN || scan->category_mask != WWK_PAGE_IS_PFNZERO ||
	    scan->category_inverted)
		return __real_sys_ioctl(fd, request, arg);
	scan->walk_end = scan->end;
	return 0;
}

int __wrap_sys_madvise(uintptr_t addr, size_t len, int advice)
{
	void (*now)(void) = dropped;
	int r = __real_sys_madvise(addr, len, advice);

	if (advice == MADV_DONTNEED && now) {
		dropped = NULL;
		now();
	}
	return r;
}

static char *memory;
static struct ww *w;

static void begin(void)
{
	backend_begin();
	leaks_begin();
	memory = map_private(PAGES * PAGE);
	cr_assert_eq(ww_new(&w, NULL), 0);
}

static void end(void)
{
	ww_free(w);
	unmap(memory, PAGES * PAGE);
	leaks_end();
}

TestSuite(zero_page, .init = begin, .fini = end);

static void expect(const size_t *written, size_t n)
{
	void *pages[PAGES];
	size_t count = PAGES;

	cr_assert_eq(ww_get(w, memory, PAGES * PAGE, WW_RESET, pages, &count), 0);
	cr_assert_eq(count, n, "%zu pages instead of %zu", count, n);
	for (size_t i = 0; i < n; i++)
		cr_assert_eq((char *)pages[i], memory + written[i] * PAGE, "page %zu", written[i]);
}

static void read_all(void)
{
	for (size_t i = 0; i < PAGES; i++)
		(void)*(volatile char *)(memory + i * PAGE);
}

Test(zero_page, what_is_only_read_is_not_reported)
{
	cr_assert_eq(ww_watch(w, memory, PAGES * PAGE, 0), 0);
	read_all();
	expect(NULL, 0);
	memory[7 * PAGE] = 0;
	expect((size_t[]){7}, 1);
	memory[7 * PAGE] = 1;
	memory[8 * PAGE] = 1;
	read_all();
	expect((size_t[]){7, 8}, 2);
}

static void write_meanwhile(void)
{
	memory[3 * PAGE] = 3;
	memory[40 * PAGE] = 4;
}

/* Of what is written while the library discards it nothing is lost. */
Test(zero_page, discarding_leaves_what_was_not_written)
{
	memset(memory, 1, PAGES * PAGE);
	cr_assert_eq(ww_watch(w, memory, PAGES * PAGE, 0), 0);
	memory[50 * PAGE] = memory[PAGE] = 5;
	if (except(NOT_ATOMIC))
		left_out("writes during a discard", NOT_ATOMIC);
	else
		dropped = write_meanwhile;
	cr_assert_eq(ww_discard(w, memory + 2 * PAGE, (PAGES - 2) * PAGE), 0);
	cr_assert_null(dropped);
	if (except(NOT_ATOMIC))
		write_meanwhile();
	read_all();
	expect((size_t[]){1, 3, 40}, 3);
	cr_assert(memory[3 * PAGE] == 3 && memory[40 * PAGE] == 4);
	cr_assert(memory[50 * PAGE] == 0 && memory[(PAGES - 1) * PAGE] == 0);
	memory[50 * PAGE] = memory[3 * PAGE] = 6;
	expect((size_t[]){3, 50}, 2);
}
