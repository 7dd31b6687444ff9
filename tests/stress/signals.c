/* SPDX-License-Identifier: MIT */
/*
 * Signals at a high rate, in whatever thread the kernel likes, the one that asks the library
 * included. The handlers are plain ones, and write to watched memory like everybody else.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <sched.h>
#include <signal.h>
#include <sys/time.h>

#include "checkers.h"
#include "pages.h"
#include "stress.h"

#define REAL_US 400
#define PROF_US 1000

static struct stress *target;
static bool held;
static int64_t writing;
static uint64_t handled, handled_inside;
static _Thread_local bool inside;

static void write_somewhere(uint64_t number)
{
	size_t page = (size_t)(number * 2654435761u) % PAGES;

	if (!is_read_only(page))
		page_write(word(target, page, SIGNAL_WORD), number);
}

static void on_timer(int number)
{
	(void)number;
	unblock_faults();
	__atomic_fetch_add(&writing, 1, __ATOMIC_SEQ_CST);
	if (!__atomic_load_n(&held, __ATOMIC_SEQ_CST))
		write_somewhere(__atomic_add_fetch(&handled, 1, __ATOMIC_RELAXED));
	if (inside)
		__atomic_fetch_add(&handled_inside, 1, __ATOMIC_RELAXED);
	__atomic_fetch_sub(&writing, 1, __ATOMIC_SEQ_CST);
}

/* The kernel prefers the first thread, which only waits, as long as it takes them. */
static void take(int how)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	sigaddset(&set, SIGPROF);
	pthread_sigmask(how, &set, NULL);
}

static void set_timers(long real_us, long prof_us)
{
	const struct itimerval real = {{0, real_us}, {0, real_us}}, prof = {{0, prof_us}, {0, prof_us}};

	if (setitimer(ITIMER_REAL, &real, NULL) != 0 || setitimer(ITIMER_PROF, &prof, NULL) != 0)
		cr_fatal("setitimer");
}

void signals_start(struct stress *s)
{
	target = s;
	signal(SIGALRM, on_timer);
	signal(SIGPROF, on_timer);
	set_timers(REAL_US, PROF_US);
	take(SIG_BLOCK);
}

void signals_stop(void)
{
	set_timers(0, 0);
	signals_hold();
	take(SIG_UNBLOCK);
}

void signals_hold(void)
{
	__atomic_store_n(&held, true, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&writing, __ATOMIC_SEQ_CST) != 0)
		sched_yield();
}

void signals_go_on(void)
{
	__atomic_store_n(&held, false, __ATOMIC_SEQ_CST);
}

uint64_t signals_handled(void)
{
	return __atomic_load_n(&handled, __ATOMIC_RELAXED);
}

void signals_inside(bool is)
{
	inside = is;
}

uint64_t signals_handled_inside(void)
{
	return __atomic_load_n(&handled_inside, __ATOMIC_RELAXED);
}
