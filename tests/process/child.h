/* SPDX-License-Identifier: MIT */
#ifndef TEST_PROCESS_CHILD_H
#define TEST_PROCESS_CHILD_H

#include <sys/types.h>

/* A child that runs body(), if that is not NULL, and waits to be ended; returns when body() did. */
pid_t child_start(void (*body)(void *arg), void *arg);
/* The same, and then runs then(). */
pid_t child_start_then(void (*body)(void *arg), void (*then)(void *arg), void *arg);
void child_end(pid_t pid);

/* Runs body() in a child and returns what that returned, 0 to 255. */
int child_result(int (*body)(void *arg), void *arg);

int pidfd_of(pid_t pid);

#endif
