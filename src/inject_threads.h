/* SPDX-License-Identifier: MIT */
#ifndef WW_INJECT_THREADS_H
#define WW_INJECT_THREADS_H

/* Which threads of a process could be stopped for a moment. */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct ww_process;

/**
 * struct thread_state - a thread that has not ended and is not the kernel's
 * @blocked:  it waits in a way that nothing interrupts, which can be for a moment
 * @confined: by seccomp
 * @shadowed: returns go where the processor remembers, not where the stack says
 */
struct thread_state {
	pid_t tid;
	bool blocked;
	bool confined;
	bool shadowed;
};

/*
 * The first thread comes first, but behind all others what is blocked. Returns how many there are,
 * not 0, or an error and *why.
 */
int threads_find(struct ww_process *p, pid_t pid, struct thread_state *found, int room,
		 const char **why);
/* One of them: 1, 0 if nothing can be tried with it, or an error and *why. */
int threads_look(struct ww_process *p, pid_t tid, struct thread_state *out, const char **why);
/* Whether it is a thread of this process still, which goes by this number. */
bool threads_belongs(const struct ww_process *p, pid_t pid, pid_t tid);

#endif
