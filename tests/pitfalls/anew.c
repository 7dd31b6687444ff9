/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "backends.h"
#include "context.h"
#include "faulting.h"
#include "keeper.h"
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

static void write_while_it_begins(void)
{
	size_t count;

	watch_memory(0);
	close_file(&w->pagemap);
	meanwhile = true;
	if (get_in_the_end(WW_RESET, &count) != 0 || count < written)
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

int __real_sys_poll(int a, int b, int timeout_ms);
int __wrap_sys_poll(int a, int b, int timeout_ms);

static atomic_bool ends_slowly;

/* So that whoever waits for the thread's end has to. */
int __wrap_sys_poll(int a, int b, int timeout_ms)
{
	int r = __real_sys_poll(a, b, timeout_ms);

	if (ends_slowly)
		usleep(50000);
	return r;
}

static void *get_when_cancelled(void *arg)
{
	size_t count;

	pthread_cancel(pthread_self());
	ww_get(w, memory, ALL, 0, NULL, &count);
	return arg;
}

static void cancel_while_it_begins(void)
{
	pthread_t thread;
	size_t count;

	watch_memory(0);
	close_file(&w->pagemap);
	/* Finds it out. */
	ww_get(w, memory, ALL, 0, NULL, &count);
	ends_slowly = true;
	if (pthread_create(&thread, NULL, get_when_cancelled, NULL) != 0)
		_exit(2);
	pthread_join(thread, NULL);
	alarm(20);
	if (get_in_the_end(WW_RESET, &count) != 0)
		_exit(3);
	expect_watched();
	ww_free(w);
}

/* It would leave the context locked. */
Test(anew, no_thread_is_cancelled_in_the_midst_of_it)
{
	int result = run_child(cancel_while_it_begins);

	cr_assert_eq(result, 0, "%d", result);
}

static void write_what_stays_protected(void)
{
	size_t count;

	watch_memory(0);
	close_all_but_the_childs();
	if (get_in_the_end(WW_RESET, &count) != 0 || get_in_the_end(WW_RESET, &count) != 0)
		_exit(2);
	for (size_t i = 0; i < PAGES; i += 2)
		page_write(memory + i * PAGE, 1);
	if (get_in_the_end(WW_RESET, &count) != 0 || count < PAGES / 2)
		_exit(3);
	end_keeper();
	if (get_in_the_end(WW_RESET, &count) != 0)
		_exit(4);
	expect_watched();
	ww_free(w);
}

static void need_no_thread(void)
{
	if (!(backend()->guarantees & WW_NO_THREAD))
		cr_skip_test("writes to what a child keeps protected wait, as documented");
}

/* The kernel protects it for as long as the child lives, and asks us about its faults. */
Test(anew, a_child_that_holds_copies_ends_no_writer)
{
	int result;

	need_no_thread();
	result = run_child(write_what_stays_protected);
	cr_assert_eq(result, 0, "%d", result);
}

static atomic_bool stop;
static atomic_size_t stores;

static void *write_on(void *arg)
{
	while (!stop)
		for (size_t i = 0; i < PAGES; i++, stores++)
			page_write(memory + i * PAGE + 8 * *(size_t *)arg, i);
	return NULL;
}

/* Emulated machines take seconds for a few rounds. */
#define ROUNDS 50
#define SECONDS 15

static void write_on_and_on(void)
{
	size_t count, numbers[2] = {1, 2}, before;
	const time_t until = time(NULL) + SECONDS;
	pthread_t threads[2];

	watch_memory(0);
	for (size_t i = 0; i < 2; i++)
		if (pthread_create(&threads[i], NULL, write_on, &numbers[i]) != 0)
			_exit(2);
	for (int i = 0; i < ROUNDS && time(NULL) < until; i++) {
		/* Nobody waits long for one of them. */
		alarm(20);
		if (get_in_the_end(WW_RESET, &count) != 0)
			_exit(3);
		close_all_but_the_childs();
		if (get_in_the_end(WW_RESET, &count) != 0)
			_exit(4);
		before = stores;
		while (stores < before + 3 * PAGES)
			usleep(100);
		end_keeper();
	}
	stop = true;
	for (size_t i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	ww_free(w);
}

/* Their faults come at every moment of it. */
Test(anew, ends_no_writer_and_has_none_wait)
{
	int result;

	need_no_thread();
	result = run_child(write_on_and_on);
	cr_assert_eq(result, 0, "%d", result);
}

/* The other end is gone once the thread that waits at it has looked up. */
static void close_bell(void)
{
	struct pollfd fd = {.fd = w->stop.fd, .events = POLLOUT};

	signal(SIGPIPE, SIG_DFL);
	if (!sys_is_open(&w->bell))
		return;
	close_file(&w->bell);
	for (int ms = 0; ms < 5000 && !(fd.revents & POLLERR); ms++) {
		poll(&fd, 1, 0);
		usleep(1000);
	}
}

static void free_without_bell(void)
{
	watch_memory(0);
	close_bell();
	ww_free(w);
	page_write(memory, 1);
}

static void begin_without_bell(void)
{
	size_t count;

	watch_memory(0);
	close_bell();
	close_file(&w->pagemap);
	if (get_in_the_end(WW_RESET, &count) != 0)
		_exit(2);
	expect_watched();
	ww_free(w);
}

static void with_a_signal_of_its_own(void)
{
	sigset_t pipes, pending;

	sigemptyset(&pipes);
	sigaddset(&pipes, SIGPIPE);
	watch_memory(0);
	close_bell();
	sigprocmask(SIG_BLOCK, &pipes, NULL);
	raise(SIGPIPE);
	ww_free(w);
	if (sigpending(&pending) != 0 || !sigismember(&pending, SIGPIPE))
		_exit(2);
}

/* A pipe that the program closed one end of. */
Test(anew, sends_no_signal_of_a_broken_pipe_and_takes_none)
{
	cr_expect_eq(run_child(free_without_bell), 0);
	cr_expect_eq(run_child(begin_without_bell), 0);
	cr_expect_eq(run_child(with_a_signal_of_its_own), 0);
}
