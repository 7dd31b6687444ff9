/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <string.h>
#include <writewatch/writewatch.h>

#include "backends.h"
#include "pages.h"
#include "processor.h"
#include "sys.h"

/*
 * Before a query, the thread that handles faults has to be done with the last one. On one processor it
 * was interrupted by the writer that it woke up; to sleep until it goes on would be far too long.
 */

#define PAGE ((size_t)4096)
#define ROUNDS 64

static int sleeps;

void __real_sys_sleep_ms(int ms);
void __wrap_sys_sleep_ms(int ms);

void __wrap_sys_sleep_ms(int ms)
{
	__atomic_fetch_add(&sleeps, 1, __ATOMIC_RELAXED);
	__real_sys_sleep_ms(ms);
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
