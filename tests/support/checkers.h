/* SPDX-License-Identifier: MIT */
#ifndef TEST_SUPPORT_CHECKERS_H
#define TEST_SUPPORT_CHECKERS_H

#include <stdbool.h>
#include <sys/types.h>

/* What the sanitizers' runtimes make different, in builds that have one. */

extern const bool address_sanitizer, thread_sanitizer;

/* fork(2) without the C library. ThreadSanitizer would take the child for its parent: with it, it is
 * the C library's. */
pid_t raw_clone(void);

/* ThreadSanitizer blocks all signals while it runs a handler that it was told of. For those that
 * write to watched memory. */
void unblock_faults(void);

#endif
