/* SPDX-License-Identifier: MIT */
#ifndef WRITEWATCH_SIGNALS_H
#define WRITEWATCH_SIGNALS_H

#include <signal.h>

/*
 * Has the signals that ask a command to end delivered to the handler, only while it waits with the
 * mask that is given back. What a broken pipe or a limit of the file size stops fails instead, so
 * that the process that is tracked is left properly.
 */
void signals_catch(void (*handler)(int, siginfo_t *, void *), sigset_t *waiting);
/* As before, for a program that is started. */
void signals_restore(void);

#endif
