/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <writewatch/writewatch.h>

#include "backends.h"
#include "pages.h"
#include "sys.h"
#include "uapi/procmap_query.h"

/*
 * Protection that another context changes while memory is about to be watched. The call itself does
 * it, once it has asked what is mapped.
 */

#define PAGE ((size_t)4096)
#define PAGES 16
#define ALL (PAGES * PAGE)

static struct ww *before, *after;
static char *memory;
static void (*meanwhile)(void);

static void do_meanwhile(void)
{
	void (*now)(void) = meanwhile;

	meanwhile = NULL;
	if (now)
		now();
}

long __real_sys_ioctl(int fd, unsigned long request, void *arg);
long __wrap_sys_ioctl(int fd, unsigned long request, void *arg);
ssize_t __real_sys_pread(int fd, void *buffer, size_t size, off_t offset);
ssize_t __wrap_sys_pread(int fd, void *buffer, size_t size, off_t offset);
ssize_t __real_sys_pwrite(int fd, const void *buffer, size_t size, off_t offset);
ssize_t __wrap_sys_pwrite(int fd, const void *buffer, size_t size, off_t offset);

long __wrap_sys_ioctl(int fd, unsigned long request, void *arg)
{
	long r = __real_sys_ioctl(fd, request, arg);

	if (request == WWK_PROCMAP_QUERY && r == 0)
		do_meanwhile();
	return r;
}

/* The list as text is what is read in more than a word. */
ssize_t __wrap_sys_pread(int fd, void *buffer, size_t size, off_t offset)
{
	ssize_t r = __real_sys_pread(fd, buffer, size, offset);

	if (size > sizeof(uint64_t) && offset == 0)
		do_meanwhile();
	return r;
}

static void begin(void)
{
	backend_begin();
	if (strcmp(backend()->name, "mprotect") != 0)
		cr_skip_test("%s does not go by the memory's protection", backend()->name);
	cr_assert_eq(ww_new(&before, NULL), 0);
	cr_assert_eq(ww_new(&after, NULL), 0);
	memory = map_private(ALL);
	memset(memory, 1, ALL);
}

static void end(void)
{
	ww_free(before);
	ww_free(after);
	unmap(memory, ALL);
}

TestSuite(handover, .init = begin, .fini = end, .timeout = 60);

static void expect_watched(void)
{
	void *pages[PAGES];
	size_t count = PAGES;

	cr_assert_null(meanwhile);
	for (size_t i = 0; i < PAGES; i++)
		memory[i * PAGE]++;
	cr_assert_eq(ww_get(after, memory, ALL, WW_RESET, pages, &count), 0);
	cr_assert_eq(count, PAGES);
	memory[3 * PAGE]++;
	count = PAGES;
	cr_assert_eq(ww_get(after, memory, ALL, WW_RESET, pages, &count), 0);
	cr_assert_eq(count, 1);
}

static void unwatch(void)
{
	cr_assert_eq(ww_unwatch(before, memory, ALL), 0);
}

static void free_context(void)
{
	ww_free(before);
	before = NULL;
}

static void hand_over(void (*how)(void))
{
	cr_assert_eq(ww_watch(before, memory, ALL, 0), 0);
	meanwhile = how;
	cr_assert_eq(ww_watch(after, memory, ALL, 0), 0);
	expect_watched();
}

Test(handover, of_memory_that_was_watched_leaves_it_writable)
{
	hand_over(unwatch);
}

Test(handover, by_a_context_that_ends_leaves_it_writable)
{
	hand_over(free_context);
}

static void allow(void)
{
	cr_assert_eq(ww_protect(before, memory, ALL, PROT_READ | PROT_WRITE), 0);
}

Test(handover, of_memory_that_becomes_writable)
{
	cr_assert_eq(ww_protect(before, memory, ALL, PROT_READ), 0);
	meanwhile = allow;
	cr_assert_eq(ww_watch(after, memory, ALL, 0), 0);
	expect_watched();
}

static pthread_t writer;
static volatile bool has_written, races;

static void *allow_and_write(void *arg)
{
	sigset_t none;

	/* Whoever begins this thread has all signals blocked. */
	sigemptyset(&none);
	pthread_sigmask(SIG_SETMASK, &none, NULL);
	allow();
	memory[0] = 42;
	has_written = true;
	return arg;
}

/* The library is about to give a byte back its value, for the kernel's sake. */
ssize_t __wrap_sys_pwrite(int fd, const void *buffer, size_t size, off_t offset)
{
	const struct timespec ms = {.tv_nsec = 1000000};

	if (races && offset == (off_t)(uintptr_t)memory) {
		races = false;
		cr_assert_eq(pthread_create(&writer, NULL, allow_and_write, NULL), 0);
		for (int i = 0; i < 100 && !has_written; i++)
			nanosleep(&ms, NULL);
	}
	return __real_sys_pwrite(fd, buffer, size, offset);
}

Test(handover, changes_no_byte_of_memory_that_becomes_writable)
{
	races = true;
	cr_assert_eq(ww_protect(before, memory, ALL, PROT_READ), 0);
	cr_assert_eq(ww_watch(after, memory, ALL, 0), 0);
	cr_assert(!races);
	pthread_join(writer, NULL);
	cr_assert_eq(memory[0], 42);
}
