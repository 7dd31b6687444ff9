/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <writewatch/writewatch.h>

#include "backends.h"
#include "context.h"
#include "leaks.h"
#include "pages.h"
#include "sys.h"
#include "uapi/userfaultfd.h"

/*
 * Another thread forks in the midst of a call: the child finds half of it done. Here the call forks
 * itself; locks are free in a child whoever held them, and signals are not blocked in that of another
 * thread.
 */

#define PAGE ((size_t)4096)
#define PAGES 16
/* What is watched all the time, and what is just being watched, or unwatched. */
#define FIRST 8
#define COUNT 4
#define AT(page) (memory + (page) * PAGE)

static struct ww *w;
static char *memory;

static void begin(void)
{
	backend_begin();
	leaks_begin();
	cr_assert_eq(ww_new(&w, NULL), 0);
	memory = map_private(PAGES * PAGE);
	for (size_t i = 0; i < PAGES; i++)
		AT(i)[0] = 1;
	cr_assert_eq(ww_watch(w, memory, COUNT * PAGE, 0), 0);
	cr_assert_eq(ww_watch(w, AT(PAGES - 1), PAGE, 0), 0);
}

static void end(void)
{
	ww_free(w);
	unmap(memory, PAGES * PAGE);
	leaks_end();
}

TestSuite(midst, .init = begin, .fini = end, .timeout = 60);

/* A thread that handles faults does the same calls. */
static _Thread_local enum { NOWHERE, PROTECTED, FORGOTTEN } where;
static void (*child)(void);
static int status = -1;

static void fork_here(void)
{
	pid_t pid;

	where = NOWHERE;
	pid = fork();
	if (pid == 0) {
		sigset_t none;

		sigemptyset(&none);
		pthread_sigmask(SIG_SETMASK, &none, NULL);
		child();
		_exit(0);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
}

static bool is_forgotten(void)
{
	return w->states.root && page_state(&w->states, (uintptr_t)AT(FIRST)) == 0;
}

int __real_sys_mprotect(uintptr_t addr, size_t len, int prot);
int __wrap_sys_mprotect(uintptr_t addr, size_t len, int prot);
int __wrap_sys_mprotect(uintptr_t addr, size_t len, int prot)
{
	int r = __real_sys_mprotect(addr, len, prot);

	if (where == PROTECTED && addr == (uintptr_t)AT(FIRST) && prot == PROT_READ)
		fork_here();
	return r;
}

void __real_sys_restore_signals(const sigset_t *old);
void __wrap_sys_restore_signals(const sigset_t *old);
void __wrap_sys_restore_signals(const sigset_t *old)
{
	__real_sys_restore_signals(old);
	if (where == FORGOTTEN && is_forgotten())
		fork_here();
}

long __real_sys_ioctl(int fd, unsigned long request, void *arg);
long __wrap_sys_ioctl(int fd, unsigned long request, void *arg);
long __wrap_sys_ioctl(int fd, unsigned long request, void *arg)
{
	long r = __real_sys_ioctl(fd, request, arg);

	if ((where == PROTECTED && request == WWK_UFFDIO_WRITEPROTECT) ||
	    (where == FORGOTTEN && request == WWK_UFFDIO_UNREGISTER))
		fork_here();
	return r;
}

/* soft-dirty's way of protecting: all that the process has. */
ssize_t __real_sys_write(int fd, const void *buffer, size_t size);
ssize_t __wrap_sys_write(int fd, const void *buffer, size_t size);
ssize_t __wrap_sys_write(int fd, const void *buffer, size_t size)
{
	ssize_t r = __real_sys_write(fd, buffer, size);

	if (where == PROTECTED && strcmp(backend()->name, "soft-dirty") == 0)
		fork_here();
	return r;
}

static void use_memory(void)
{
	for (size_t i = 0; i < PAGES; i++)
		AT(i)[1] = (char)(AT(i)[0] + 1);
}

static void free_context(void)
{
	ww_free(w);
	use_memory();
}

/* 1 where the pages are known to be watched and those written are not reported. */
static int loses(size_t first, size_t count)
{
	void *pages[PAGES];
	size_t n = PAGES;
	int r = ww_get(w, AT(first), count * PAGE, WW_RESET, pages, &n);

	return r == 0 ? n != count : r != -ENOENT;
}

static void go_on(void)
{
	void *pages[PAGES];
	size_t n = PAGES;

	if (ww_get(w, memory, PAGES * PAGE, WW_ACROSS | WW_RESET, pages, &n) != 0)
		_exit(1);
	use_memory();
	if (loses(0, COUNT))
		_exit(2);
	if (loses(FIRST, COUNT))
		_exit(3);
	ww_free(w);
	use_memory();
}

static void expect_forked(void)
{
	cr_assert_neq(status, -1, "the call forked nowhere");
	cr_assert_eq(status, 0, "%#x", (unsigned)status);
	/* The parent's call is not disturbed. */
	use_memory();
	cr_assert(!loses(0, COUNT));
}

static void fork_while_watching(void (*body)(void))
{
	child = body;
	/* soft-dirty clears what is dirty. */
	AT(FIRST)[0] = 1;
	where = PROTECTED;
	cr_assert_eq(ww_watch(w, AT(FIRST), COUNT * PAGE, 0), 0);
	expect_forked();
	cr_assert(!loses(FIRST, COUNT));
}

static void fork_while_unwatching(void (*body)(void))
{
	cr_assert_eq(ww_watch(w, AT(FIRST), COUNT * PAGE, 0), 0);
	child = body;
	where = FORGOTTEN;
	cr_assert_eq(ww_unwatch(w, AT(FIRST), COUNT * PAGE), 0);
	expect_forked();
}

Test(midst, of_watching_the_child_frees)
{
	fork_while_watching(free_context);
}

Test(midst, of_watching_the_child_goes_on)
{
	fork_while_watching(go_on);
}

Test(midst, of_unwatching_the_child_frees)
{
	fork_while_unwatching(free_context);
}

Test(midst, of_unwatching_the_child_goes_on)
{
	fork_while_unwatching(go_on);
}
