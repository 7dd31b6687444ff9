/* SPDX-License-Identifier: MIT */
#include "signals.h"

#include <stddef.h>

static const int stops[] = {SIGINT, SIGTERM, SIGQUIT, SIGHUP};
static const int failures[] = {SIGPIPE, SIGXFSZ};

#define STOPS (sizeof(stops) / sizeof(stops[0]))
#define FAILURES (sizeof(failures) / sizeof(failures[0]))

static struct sigaction before[STOPS + FAILURES];
static sigset_t mask_before;

void signals_catch(void (*handler)(int, siginfo_t *, void *), sigset_t *waiting)
{
	struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	sigset_t blocked;

	sigemptyset(&blocked);
	for (size_t i = 0; i < STOPS; i++) {
		sigaction(stops[i], NULL, &before[i]);
		/* By nohup(1); that of SIGINT, in what a script runs aside, is no wish. */
		if (stops[i] == SIGHUP && before[i].sa_handler == SIG_IGN)
			continue;
		sigaddset(&blocked, stops[i]);
		sigaction(stops[i], &action, NULL);
	}
	for (size_t i = 0; i < FAILURES; i++)
		sigaction(failures[i], &ignore, &before[STOPS + i]);
	sigprocmask(SIG_BLOCK, &blocked, &mask_before);
	*waiting = mask_before;
	for (size_t i = 0; i < STOPS; i++)
		sigdelset(waiting, stops[i]);
}

void signals_restore(void)
{
	for (size_t i = 0; i < STOPS; i++)
		sigaction(stops[i], &before[i], NULL);
	for (size_t i = 0; i < FAILURES; i++)
		sigaction(failures[i], &before[STOPS + i], NULL);
	sigprocmask(SIG_SETMASK, &mask_before, NULL);
}
