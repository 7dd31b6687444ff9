/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backends.h"
#include "context.h"
#include "faulting.h"
#include "keeper.h"
#include "pages.h"

/*
 * The program closes descriptors of which a child, or a thread with descriptors of its own, has copies:
 * the kernel protects memory on, and the program's next write must neither end it nor wait.
 */

TestSuite(kept_by_child, .init = backend_begin, .timeout = 120);

static size_t get(void)
{
	size_t count;

	if (get_in_the_end(WW_RESET, &count) != 0)
		_exit(9);
	return count;
}

static void write_all(void)
{
	for (size_t i = 0; i < PAGES; i++)
		page_write(memory + i * PAGE, 1);
}

static void begin(void)
{
	watch_memory(0);
	get();
	close_all_but_the_childs();
}

static void write_at_once(void)
{
	begin();
	write_all();
	if (get() != PAGES)
		_exit(1);
	end_keeper();
	if (get() > PAGES)
		_exit(2);
	expect_watched();
	ww_free(w);
}

static void unwatch_at_once(void)
{
	begin();
	if (ww_unwatch(w, memory, ALL) != 0)
		_exit(1);
	write_all();
	ww_free(w);
	end_keeper();
}

static void free_at_once(void)
{
	begin();
	ww_free(w);
	write_all();
	end_keeper();
}

/* The library has noticed by then. */
static void free_when_noticed_by_query(void)
{
	size_t count;

	begin();
	if (ww_get(w, memory, ALL, 0, NULL, &count) != -ESTALE)
		_exit(1);
	ww_free(w);
	write_all();
	end_keeper();
}

static void free_when_noticed_by_write(void)
{
	begin();
	page_write(memory, 1);
	ww_free(w);
	write_all();
	end_keeper();
}

/* It looks once a second. */
static void free_when_noticed_by_thread(void)
{
	begin();
	for (int i = 0; i < 100 && w->guard->alive; i++)
		usleep(100000);
	if (w->guard->alive)
		_exit(1);
	ww_free(w);
	write_all();
	end_keeper();
}

/* And nobody has copies. */
static void free_what_cannot_begin_anew(void)
{
	struct rlimit none = {0, 100};
	size_t count;

	watch_memory(0);
	get();
	syscall(SYS_close_range, 3u, ~0u, 0u);
	if (setrlimit(RLIMIT_NOFILE, &none) != 0)
		_exit(8);
	for (int i = 0; i < 3; i++)
		if (ww_get(w, memory, ALL, WW_RESET, NULL, &count) == 0)
			_exit(1);
	ww_free(w);
	write_all();
}

static void free_in_a_child_what_cannot_begin_anew(void)
{
	struct rlimit none = {0, 100};
	size_t count;

	watch_memory(0);
	get();
	for (int i = 0; i < 2; i++) {
		pid_t child = fork();
		int status;

		if (child == 0 && i == 1)
			setrlimit(RLIMIT_NOFILE, &none);
		if (child == 0) {
			if (i == 1 && ww_get(w, memory, ALL, 0, NULL, &count) == 0)
				_exit(1);
			ww_free(w);
			write_all();
			_exit(0);
		}
		if (waitpid(child, &status, 0) != child || status != 0)
			_exit(2 + i);
	}
	expect_watched();
	ww_free(w);
}

static void begin_and_go_on(void)
{
	begin();
	for (int i = 0; i < 3; i++)
		get();
}

static void unwatch_later(void)
{
	begin_and_go_on();
	if (ww_unwatch(w, memory, ALL) != 0)
		_exit(1);
	write_all();
	ww_free(w);
	end_keeper();
}

static void free_later(void)
{
	begin_and_go_on();
	ww_free(w);
	write_all();
	end_keeper();
}

#define EXPECT_SUCCESS(body) \
	do { \
		int result = run_child(body); \
		cr_expect_eq(result, 0, "%d", result); \
	} while (0)

Test(kept_by_child, a_write_goes_on_at_once)
{
	if (!(backend()->guarantees & WW_NO_THREAD))
		cr_skip_test("writes wait for a thread that has nothing to read from, as documented");
	EXPECT_SUCCESS(write_at_once);
}

Test(kept_by_child, nothing_stays_protected_that_is_unwatched_at_once)
{
	EXPECT_SUCCESS(unwatch_at_once);
	EXPECT_SUCCESS(free_at_once);
}

Test(kept_by_child, nothing_stays_protected_that_is_freed_when_that_was_noticed)
{
	if (strcmp(backend()->reported, "uffd") == 0)
		EXPECT_SUCCESS(free_when_noticed_by_query);
	if (backend()->guarantees & WW_NO_THREAD)
		EXPECT_SUCCESS(free_when_noticed_by_write);
	else
		EXPECT_SUCCESS(free_when_noticed_by_thread);
}

Test(kept_by_child, what_cannot_begin_anew_can_be_freed)
{
	EXPECT_SUCCESS(free_what_cannot_begin_anew);
	EXPECT_SUCCESS(free_in_a_child_what_cannot_begin_anew);
}

Test(kept_by_child, nothing_stays_protected_that_is_unwatched_later)
{
	EXPECT_SUCCESS(unwatch_later);
	EXPECT_SUCCESS(free_later);
}

static void close_all_in_vfork(void)
{
	pid_t child;

	watch_memory(0);
	get();
	child = vfork();
	if (child == 0) {
		syscall(SYS_close_range, 3u, ~0u, 0u);
		*(volatile char *)(memory + 5 * PAGE) = 1;
		_exit(0);
	}
	if (get() < 1)
		_exit(1);
	expect_watched();
	ww_free(w);
	write_all();
}

/* It shares all memory, and none of the descriptors, with whoever waits for it. */
Test(kept_by_child, a_vfork_child_may_close_all_and_write)
{
	EXPECT_SUCCESS(close_all_in_vfork);
}

static void *close_all_in_thread(void *arg)
{
	const unsigned unshare = 1 << 1;

	if (syscall(SYS_close_range, 3u, ~0u, unshare) == 0)
		write_all();
	return arg;
}

static void close_all_of_a_thread(void)
{
	pthread_t thread;

	watch_memory(0);
	get();
	if (pthread_create(&thread, NULL, close_all_in_thread, NULL) != 0)
		_exit(8);
	pthread_join(thread, NULL);
	if (get() != PAGES)
		_exit(1);
	expect_watched();
	ww_free(w);
}

Test(kept_by_child, a_thread_may_have_descriptors_of_its_own)
{
	EXPECT_SUCCESS(close_all_of_a_thread);
}
