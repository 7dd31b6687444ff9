/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "backends.h"
#include "faulting.h"
#include "pages.h"

/* Watching ends while a thread's fault is under way, or where what it takes is not to be had. */

#define WRITERS 3

static void begin(void)
{
	backend_begin();
	signal(SIGSEGV, SIG_DFL);
	signal(SIGBUS, SIG_DFL);
	memory = map_private(ALL);
}

static void end(void)
{
	unmap(memory, ALL);
}

TestSuite(endings, .init = begin, .fini = end, .timeout = 60);

static atomic_bool stop;

static void *write_all(void *arg)
{
	while (!stop)
		for (size_t i = 0; i < PAGES; i++)
			page_write(memory + i * PAGE + 8 * (1 + *(size_t *)arg), i);
	return NULL;
}

static void watch_for_a_moment(uint64_t flags)
{
	struct ww_options options = {.size = sizeof(options), .flags = flags};

	if (ww_new(&w, &options) != 0 || ww_watch(w, memory, ALL, 0) != 0 ||
	    ww_unwatch(w, memory, ALL) != 0)
		_exit(2);
	ww_free(w);
}

static void end_again_and_again(uint64_t flags)
{
	const time_t until = time(NULL) + 3;
	size_t numbers[WRITERS];
	pthread_t threads[WRITERS];

	for (size_t i = 0; i < WRITERS; i++) {
		numbers[i] = i;
		if (pthread_create(&threads[i], NULL, write_all, &numbers[i]) != 0)
			_exit(3);
	}
	for (int i = 0; i < 10 || (i < 2000 && time(NULL) < until); i++)
		watch_for_a_moment(flags);
	stop = true;
	for (size_t i = 0; i < WRITERS; i++)
		pthread_join(threads[i], NULL);
}

static void with_our_handler(void)
{
	end_again_and_again(0);
}

/* The signal of a fault may reach its thread long after nothing is watched any more. */
Test(endings, leave_writers_alive)
{
	int result = run_child(with_our_handler);

	cr_assert_eq(result, 0, "%d", result);
}

static void *ask_about_one(void *arg)
{
	(void)arg;
	return ww_handle_fault(memory + PAGE) ? memory : NULL;
}

static volatile int foreign;

static void ask(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)context;
	foreign += !ww_handle_fault(info->si_addr);
}

static void with_the_programs_handler(void)
{
	handle(SIGSEGV, ask, 0);
	handle(SIGBUS, ask, 0);
	end_again_and_again(WW_NO_HANDLER);
	_exit(foreign ? 10 : 0);
}

/* It is told of none of them that it is not the library's. */
Test(endings, are_known_to_a_program_that_asks)
{
	pthread_t thread;
	void *answer;
	int result = run_child(with_the_programs_handler);

	cr_assert_eq(result, 0, "%d", result);
	/* Once, for each thread; then it is nobody's. */
	watch_for_a_moment(WW_NO_HANDLER);
	if (backend()->guarantees & WW_NO_SIGNAL_HANDLER)
		return;
	cr_assert_eq(pthread_create(&thread, NULL, ask_about_one, NULL), 0);
	pthread_join(thread, &answer);
	cr_assert_eq(answer, memory);
	cr_assert_eq(ww_handle_fault(memory + PAGE), 1);
	cr_assert_eq(ww_handle_fault(memory + PAGE), 0);
}

static void without_descriptors(void)
{
	const struct rlimit none = {3, 3};

	setrlimit(RLIMIT_NOFILE, &none);
	ww_free(w);
	for (size_t i = 0; i < PAGES; i++)
		page_write(memory + i * PAGE, 1);
}

static void without_the_parents(void)
{
	for (int fd = 3; fd < 64; fd++)
		close(fd);
	without_descriptors();
}

static void with_a_hole(void)
{
	for (int fd = 3; fd < 64; fd++)
		close(fd);
	if (munmap(memory + 5 * PAGE, PAGE) != 0)
		_exit(2);
	ww_free(w);
	for (size_t i = 0; i < PAGES; i++)
		if (i != 5)
			page_write(memory + i * PAGE, 1);
}

/* A child that shut itself in lets go of what it inherited as well. */
Test(endings, need_no_descriptors)
{
	cr_assert_eq(ww_new(&w, NULL), 0);
	cr_assert_eq(ww_watch(w, memory, ALL, 0), 0);
	cr_assert_eq(run_child(without_descriptors), 0);
	cr_assert_eq(run_child(without_the_parents), 0);
	cr_assert_eq(run_child(with_a_hole), 0);
	ww_free(w);
}
