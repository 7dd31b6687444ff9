/* SPDX-License-Identifier: MIT */
#ifndef TEST_FAULTS_INJECT_H
#define TEST_FAULTS_INJECT_H

#include <stdatomic.h>
#include <stdbool.h>

#include "calls.h"

/*
 * The library's system calls, seen on their way and made to fail: the test programs are linked with
 * --wrap for everything in src/sys.h that can fail. A process and its children count together.
 */

/**
 * enum mode - which calls fail
 * @ONCE:  the n-th
 * @EVER:  the n-th and all behind it
 * @LATE:  the n-th, after the kernel did the work
 */
enum mode { ONCE, EVER, LATE };

struct plan {
	enum setting setting;
	enum call_id call;
	enum scope scope;
	enum mode mode;
	int error;
	unsigned nth;
	/* So many more behind it fail with it. */
	unsigned more;
};

/**
 * struct inject - in memory that children share
 * @on:         calls are counted, and fail
 * @seen:       how many calls the plan is about were made
 * @failed:     how many of them failed
 * @in_handler: the last one that failed was in a signal handler
 * @gave_up:    who handles faults was told something that ends it
 * @allocates:  who handles faults did, whose own fault nobody would handle
 */
struct inject {
	struct plan plan;
	atomic_bool on;
	atomic_uint seen;
	atomic_uint failed;
	atomic_bool in_handler;
	atomic_bool gave_up;
	atomic_bool allocates;
};

extern struct inject *inject;

/* Once, before leaks_begin(); and by the thread that is the caller, before each case. */
void inject_prepare(void);
void inject_begin(const struct plan *plan);
/* Blocks that the library, in this process, got from malloc() and has not freed. */
long inject_allocated(void);
/* Un-maps what the library, in this process, could not. */
void inject_unmap(void);

#endif
