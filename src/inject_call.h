/* SPDX-License-Identifier: MIT */
#ifndef WW_INJECT_CALL_H
#define WW_INJECT_CALL_H

/* A thread that is stopped makes system calls, and goes on as if it had not. */

#ifdef __x86_64__

#include "inject.h"

#define NANOSECONDS 1000000000u

/**
 * struct victim - the thread that is stopped
 * @before: its registers as they are to be again
 * @mask:   its signal mask, likewise
 * @shadowed: it has a shadow stack, which knows no return to the frame
 * @confined: seccomp is suspended for it while it is traced, and no longer
 * @opened:  the userfaultfd that it has open; below 0: none
 */
struct victim {
	struct ww_process *p;
	struct inject_result *result;
	pid_t pid, tid;
	struct user_regs_struct before;
	uint64_t mask;
	bool shadowed;
	bool confined;
	long opened;
	struct gadgets gadgets;
	struct stacks stacks;
	struct frame frame;
	struct sys_file *uffd;
	int outcome;
};

/* Returns the error. */
int call_say(struct victim *v, int error, const char *why);
/*
 * Lets the thread run until it is where the interruption has led it; signals before that are
 * delivered. *of_group: it is where a signal stops all of its process.
 */
int call_await_interrupted(struct victim *v, uint64_t limit_ns, bool *of_group);
/* Reads what is to be restored, and prepares the frame. */
int call_save(struct victim *v, bool of_group);
/* One system call; -ETIMEDOUT: it did not come to its end, and is to be given up. */
int call_make(struct victim *v, long number, long a, long *value);
/* What it was before, ready to be detached from. */
int call_restore(struct victim *v);
/* The same of one that did not come to the end of its call, as far as it can be reached at all. */
void call_give_up(struct victim *v);

#endif

#endif
