/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backends.h"
#include "context.h"
#include "faulting.h"
#include "pages.h"
#include "sys.h"

/*
 * The program closes descriptors of which a child, or a thread with descriptors of its own, has copies:
 * the kernel protects memory on, and the program's next write must neither end it nor wait.
 */

TestSuite(kept_by_child, .init = backend_begin, .timeout = 120);

static pid_t keeper;

static void keep_copies(void)
{
	keeper = fork();
	if (keeper == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
}

static void end_keeper(void)
{
	kill(keeper, SIGKILL);
	waitpid(keeper, NULL, 0);
}

static void close_file(struct sys_file *file)
{
	if (sys_is_open(file))
		close(file->fd);
}

static void close_all(void)
{
	close_file(&w->pagemap);
	close_file(&w->maps.file);
	close_file(&w->uffd);
}

/* What a child had registered is nobody's when that has ended. */
static size_t get(void)
{
	static void *pages[PAGES];
	size_t count;
	int r = -ESTALE;

	for (int tries = 0; r == -ESTALE && tries < 4; tries++) {
		count = PAGES;
		r = ww_get(w, memory, ALL, WW_RESET, pages, &count);
		if (r == -ESTALE && tries > 0 && ww_watch(w, memory, ALL, 0) != 0)
			break;
	}
	if (r != 0)
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
	keep_copies();
	close_all();
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
