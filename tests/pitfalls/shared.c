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
#include "sys.h"

/*
 * Kernels that make protected pages of shared memory writable behind the library's back. It finds out
 * by having the kernel write to one; here it is told that this went unseen.
 */

#define PAGE ((size_t)4096)
#define PAGES 8

ssize_t __real_sys_pread(int fd, void *buffer, size_t size, off_t offset);
ssize_t __wrap_sys_pread(int fd, void *buffer, size_t size, off_t offset);

static bool written_unseen;
static uintptr_t trial;

int __real_sys_mprotect(uintptr_t addr, size_t len, int prot);
int __wrap_sys_mprotect(uintptr_t addr, size_t len, int prot);

/* The write is to the page whose protection was changed. */
int __wrap_sys_mprotect(uintptr_t addr, size_t len, int prot)
{
	trial = addr;
	return __real_sys_mprotect(addr, len, prot);
}

ssize_t __wrap_sys_pread(int fd, void *buffer, size_t size, off_t offset)
{
	if (written_unseen && size == 1 && (uintptr_t)buffer == trial)
		return 1;
	return __real_sys_pread(fd, buffer, size, offset);
}

static bool is_on_uffd(void)
{
	return strncmp(backend()->name, "uffd-", strlen("uffd-")) == 0;
}

static void begin(void)
{
	backend_begin();
	leaks_begin();
}

TestSuite(shared, .init = begin, .fini = leaks_end);

static void expect_watched(struct ww *w, char *memory)
{
	void *pages[PAGES];
	size_t count = PAGES;

	cr_assert_eq(ww_get(w, memory, PAGES * PAGE, WW_RESET, pages, &count), 0);
	memory[3 * PAGE] = 1;
	count = PAGES;
	cr_assert_eq(ww_get(w, memory, PAGES * PAGE, WW_RESET, pages, &count), 0);
	cr_assert(count == 1 && pages[0] == memory + 3 * PAGE, "%zu pages", count);
}

static void watch_both(int expected)
{
	int fd = memfd_of(PAGES * PAGE);
	char *private = map_private(PAGES * PAGE);
	char *shared = map_fd(NULL, PAGES * PAGE, MAP_SHARED, fd, 0);
	struct ww *w;

	close(fd);
	cr_assert_eq(ww_new(&w, NULL), 0);
	cr_assert_eq(ww_watch(w, private, PAGES * PAGE, 0), 0);
	expect_watched(w, private);
	cr_assert_eq(ww_watch(w, shared, PAGES * PAGE, 0), expected);
	if (expected == 0)
		expect_watched(w, shared);
	ww_free(w);
	unmap(private, PAGES * PAGE);
	unmap(shared, PAGES * PAGE);
}

Test(shared, is_refused_where_its_pages_become_writable)
{
	if (!is_on_uffd())
		cr_skip_test("%s protects no shared pages by userfaultfd", backend()->name);
	written_unseen = true;
	watch_both(-ENOTSUP);
}

Test(shared, is_watched_elsewhere)
{
	skip_if(NO_SHARED);
	watch_both(0);
}
