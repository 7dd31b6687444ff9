/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <writewatch/writewatch.h>

#include "backends.h"
#include "pages.h"
#include "processor.h"
#include "sys.h"
#include "uapi/userfaultfd.h"

/*
 * Before a query, the thread that handles faults has to be done with the last one. On one processor it
 * was interrupted by the writer that it woke up; to sleep until it goes on would be far too long.
 */

#define PAGE ((size_t)4096)
#define ROUNDS 64

/* Shorter than what is waited for a turn at most. */
#define HOLD_MS 50

static int sleeps;
static char *_Atomic contended;
/* How often the thread let somebody go on who waited for that page. */
static atomic_int let_go;
static atomic_bool discarded;
/* Who looks whose the page is in the same way. */
static pthread_t caller;

void __real_sys_sleep_ms(int ms);
void __wrap_sys_sleep_ms(int ms);

void __wrap_sys_sleep_ms(int ms)
{
	__atomic_fetch_add(&sleeps, 1, __ATOMIC_RELAXED);
	__real_sys_sleep_ms(ms);
}

ssize_t __real_sys_read(int fd, void *buffer, size_t size);
ssize_t __wrap_sys_read(int fd, void *buffer, size_t size);
long __real_sys_ioctl(int fd, unsigned long request, void *arg);
long __wrap_sys_ioctl(int fd, unsigned long request, void *arg);

/* Until all who want to write wait. */
ssize_t __wrap_sys_read(int fd, void *buffer, size_t size)
{
	if (contended)
		__real_sys_sleep_ms(HOLD_MS);
	return __real_sys_read(fd, buffer, size);
}

/* The second time the thread is interrupted, for as long as it takes to discard the page. */
long __wrap_sys_ioctl(int fd, unsigned long request, void *arg)
{
	const struct wwk_uffdio_writeprotect *wp = arg;

	if (contended && request == WWK_UFFDIO_WRITEPROTECT && !pthread_equal(pthread_self(), caller) &&
	    wp->range.start == (uintptr_t)contended && wp->mode == 0 && ++let_go == 2)
		for (int i = 0; i < HOLD_MS && !discarded; i++)
			__real_sys_sleep_ms(1);
	return __real_sys_ioctl(fd, request, arg);
}

static void *write_contended(void *arg)
{
	page_write(contended, 1);
	return arg;
}

static void write_twice_and_discard(struct ww *w, char *memory)
{
	pthread_t threads[2];

	caller = pthread_self();
	let_go = 0;
	discarded = false;
	contended = memory;
	for (int i = 0; i < 2; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, write_contended, NULL), 0);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	cr_assert_eq(ww_discard(w, memory, PAGE), 0);
	discarded = true;
	/* The thread is done with what it read. */
	__real_sys_sleep_ms(HOLD_MS);
	contended = NULL;
}

/* Who waited for the same page was let go with the first one, and writes no more. */
Test(turns, are_awaited_before_pages_are_discarded, .timeout = 60)
{
	char *memory;
	struct ww *w;
	size_t count;
	int tries = 0;

	backend_begin();
	if (strcmp(backend()->name, "uffd-thread") != 0)
		cr_skip_test("%s: there is no thread for faults", backend()->name);
	memory = map_private(PAGE);
	*memory = 1;
	cr_assert_eq(ww_new(&w, NULL), 0);
	cr_assert_eq(ww_watch(w, memory, PAGE, 0), 0);
	do
		write_twice_and_discard(w, memory);
	while (let_go < 2 && ++tries < 10);
	cr_assert_geq(let_go, 2, "no two threads wait at once here");
	count = 1;
	cr_assert_eq(ww_get(w, memory, PAGE, 0, NULL, &count), 0);
	cr_assert_eq(count, 0);
	ww_free(w);
	unmap(memory, PAGE);
}

Test(turns, of_the_thread_are_not_slept_for, .timeout = 60)
{
	char *memory;
	struct ww *w;

	backend_begin();
	if (strcmp(backend()->name, "uffd-thread") != 0)
		cr_skip_test("%s: there is no thread for faults", backend()->name);
	if (!stay_on_one_processor())
		cr_skip_test("the processor cannot be chosen");
	memory = map_private(PAGE);
	*memory = 1;
	cr_assert_eq(ww_new(&w, NULL), 0);
	cr_assert_eq(ww_watch(w, memory, PAGE, 0), 0);
	sleeps = 0;
	for (int i = 0; i < ROUNDS; i++) {
		size_t count = 1;
		void *page;

		++*memory;
		cr_assert_eq(ww_get(w, memory, PAGE, WW_RESET, &page, &count), 0);
		cr_assert_eq(count, 1);
	}
	cr_expect_leq(sleeps, ROUNDS / 4, "it was slept %d times in %d queries", sleeps, ROUNDS);
	ww_free(w);
	unmap(memory, PAGE);
}
