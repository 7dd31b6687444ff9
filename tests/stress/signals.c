/* SPDX-License-Identifier: MIT */
/*
 * Signals at a high rate, in whatever thread the kernel likes, the one that asks the library
 * included. The handlers are plain ones, and write to watched memory like everybody else.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/time.h>

#include "checkers.h"
#include "pages.h"
#include "stress.h"

#define REAL_US (thread_sanitizer ? 100 : 400)
#define PROF_US 1000

/* So many stores there are for each signal, if the timers can do that. */
#define LEAST_STORES 8
#define MOST_STORES 64
#define SLOWEST 64

static struct stress *target;
/* By how much the timers are slower than they could be. */
static unsigned slower = SLOWEST;
static bool held, stopped;
static int64_t writing;
static uint64_t handled, handled_inside;
static _Thread_local bool inside;

static void write_somewhere(uint64_t number)
{
	size_t page = (size_t)(number * 2654435761u) % PAGES;

	if (!is_read_only(page))
		page_write(word(target, page, SIGNAL_WORD), number);
}

/*
 * ThreadSanitizer handles signals later, with all of them blocked. Its versions until 2025 leave
 * them blocked, SIGSEGV too, in a thread that gets another one as it begins to. Under it only one
 * is on its way at any time, whose handler asks for the next: sooner, as that comes late.
 */
static void set_timer(int which, long us)
{
	const long wait = us * slower;
	const struct itimerval timer = {{0, thread_sanitizer ? 0 : wait}, {0, wait}};

	if (setitimer(which, &timer, NULL) != 0)
		abort();
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
	if (thread_sanitizer && !__atomic_load_n(&stopped, __ATOMIC_SEQ_CST))
		set_timer(ITIMER_REAL, REAL_US);
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

/*
 * For the next time, as many signals as the stores allow. Where a handler, with its fault, takes longer
 * than the timers, nothing else would ever happen.
 */
static void adjust(void)
{
	static uint64_t signals_before, stores_before;
	uint64_t signals = signals_handled() - signals_before + 1;
	uint64_t stores = target->stores - stores_before;

	signals_before = signals_handled();
	stores_before = target->stores;
	if (stores < signals * LEAST_STORES && slower < SLOWEST)
		slower *= 4;
	for (; stores > signals * MOST_STORES && slower > 1; signals *= 4)
		slower /= 4;
}

void signals_start(struct stress *s)
{
	target = s;
	__atomic_store_n(&stopped, false, __ATOMIC_SEQ_CST);
	signal(SIGALRM, on_timer);
	signal(SIGPROF, on_timer);
	set_timer(ITIMER_REAL, REAL_US);
	if (!thread_sanitizer)
		set_timer(ITIMER_PROF, PROF_US);
	take(SIG_BLOCK);
}

void signals_stop(void)
{
	__atomic_store_n(&stopped, true, __ATOMIC_SEQ_CST);
	signals_hold();
	set_timer(ITIMER_REAL, 0);
	set_timer(ITIMER_PROF, 0);
	take(SIG_UNBLOCK);
	adjust();
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
