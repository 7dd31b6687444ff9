/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backends.h"
#include "context.h"
#include "faulting.h"
#include "pages.h"
#include "sys.h"

/* The program closes descriptors of the library, which begins anew while memory is watched. */

TestSuite(anew, .init = backend_begin, .timeout = 60);

static bool meanwhile;
static size_t written;

void __real_sys_thread_join(pthread_t thread);
void __wrap_sys_thread_join(pthread_t thread);
int __real_sys_munmap(void *addr, size_t len);
int __wrap_sys_munmap(void *addr, size_t len);

/* Writes, each time to another page, where the library has some of what it takes and not all. */
static void write_meanwhile(void)
{
	if (meanwhile && written < PAGES)
		page_write(memory + written++ * PAGE, 1);
}

/* The C library frees what it kept for the thread, in the heap that may be watched. */
void __wrap_sys_thread_join(pthread_t thread)
{
	__real_sys_thread_join(thread);
	write_meanwhile();
}

int __wrap_sys_munmap(void *addr, size_t len)
{
	write_meanwhile();
	return __real_sys_munmap(addr, len);
}

static void close_file(struct sys_file *file)
{
	if (sys_is_open(file))
		close(file->fd);
}

/* 0 as soon as a call does not find out that something is gone. */
static int get(unsigned flags, size_t *count)
{
	static void *pages[PAGES];
	int r = -ESTALE;

	for (int tries = 0; r == -ESTALE && tries < 4; tries++) {
		*count = PAGES;
		r = ww_get(w, memory, ALL, flags, pages, count);
		if (r == -ESTALE)
			r = ww_watch(w, memory, ALL, 0) == 0 ? -ESTALE : -EIO;
	}
	return r;
}

static void write_while_it_begins(void)
{
	size_t count;

	watch_memory(0);
	close_file(&w->pagemap);
	meanwhile = true;
	if (get(WW_RESET, &count) != 0 || count < written)
		_exit(2);
	meanwhile = false;
	expect_watched();
	ww_free(w);
}

/* Nobody handles faults from some point on: nothing may be protected then. */
Test(anew, nothing_is_protected_meanwhile)
{
	int result = run_child(write_while_it_begins);

	cr_assert_eq(result, 0, "%d", result);
}
