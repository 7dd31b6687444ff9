/* SPDX-License-Identifier: MIT */
#include "forks.h"

#include <pthread.h>

static unsigned begun, ended;
static bool counted;

static void begin(void)
{
	__atomic_fetch_add(&begun, 1, __ATOMIC_SEQ_CST);
}

static void end(void)
{
	__atomic_fetch_add(&ended, 1, __ATOMIC_SEQ_CST);
}

/* What other threads of the parent have begun ends there. */
static void begin_anew(void)
{
	begun = 0;
	ended = 0;
}

/* Not when it is needed first: a handler of the program's may wait for our locks meanwhile. */
__attribute__((constructor)) static void count_forks(void)
{
	counted = pthread_atfork(begin, end, begin_anew) == 0;
}

unsigned forks_mark(void)
{
	return __atomic_load_n(&ended, __ATOMIC_SEQ_CST);
}

bool forks_none_since(unsigned mark)
{
	return counted && __atomic_load_n(&begun, __ATOMIC_SEQ_CST) == mark;
}
