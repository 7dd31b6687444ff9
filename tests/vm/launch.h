/* SPDX-License-Identifier: MIT */
#ifndef TEST_VM_LAUNCH_H
#define TEST_VM_LAUNCH_H

#include <stdbool.h>
#include <sys/types.h>

/* Kills a process and everything that it started. */
void kill_tree(pid_t root);

/*
 * Criterion runs each test in a child, has no time limit that works, and reports only when all of
 * them ended. A child killed here is a test that crashed, and the others still run.
 */
void kill_old_children(pid_t parent, long seconds);

#endif
