/* SPDX-License-Identifier: MIT */
#ifndef WW_INJECT_H
#define WW_INJECT_H

/*
 * One thread of another process is stopped by ptrace(2) and opens a userfaultfd for its memory. If
 * whoever does this dies in between, the kernel lets the thread run on with the registers that it
 * has: so these lead, by themselves, to a return from a signal handler, whose frame holds all that
 * the thread was before.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "process.h"

struct inject_result {
	const char *why;
	uint64_t stopped_ns;
	bool heals;
};

/* Opens *uffd; fills the result, *why on an error. */
int inject_userfaultfd(struct ww_process *p, struct sys_file *uffd, struct inject_result *result);

#ifdef __x86_64__
#include <sys/types.h>
#include <sys/user.h>

#define STACKS 4096

/**
 * struct gadgets - instructions of the process itself
 * @call:   a system call
 * @call_and_return: the same, and a return behind it; 0 if there is none
 * @leave:  the call that returns from a signal handler; 0 if there is none
 */
struct gadgets {
	uint64_t call;
	uint64_t call_and_return;
	uint64_t leave;
};

/* Before anything is stopped: it takes time. -ENOENT, or an error of reading. */
int gadgets_find(struct ww_process *p, pid_t pid, struct gadgets *found);
/* Whether they are still there; forgets the frame's if they are not. */
bool gadgets_check(pid_t pid, struct gadgets *g);

/**
 * struct stacks - where a frame may be put: the first stack, and mappings with a guard below
 * @first: an address in the stack that the program was started on; 0: it is not known
 */
struct stacks {
	uint64_t first;
	size_t count;
	struct {
		uint64_t start, end;
	} at[STACKS];
};

int stacks_find(struct ww_process *p, struct stacks *found);
/* How far down the stack goes that holds addr; UINT64_MAX: it is none, as far as is known. */
uint64_t stacks_floor(const struct stacks *stacks, uint64_t addr, uint64_t thread_pointer);

#define FRAME_ROOM 16384

/**
 * struct frame - what lies below the red zone of the stopped thread's stack
 * @at:    its address, where the stack pointer goes; 0: there is none
 * @size:  its size
 * @bytes: what it holds
 * @saved: what was there before
 */
struct frame {
	uint64_t at;
	size_t size;
	unsigned char bytes[FRAME_ROOM] __attribute__((aligned(64)));
	unsigned char saved[FRAME_ROOM];
};

void frame_hide_interruption(struct user_regs_struct *regs);
void frame_abort_sequence(pid_t pid, pid_t tid, struct user_regs_struct *regs);
/* The registers as they are when the system call that was interrupted begins anew. */
void frame_restart(struct user_regs_struct *regs);
/*
 * Makes the frame that restores these registers and this signal mask, for a thread that is stopped,
 * on a stack that ends at floor; size 0 if there is no room.
 */
void frame_build(struct frame *f, pid_t tid, const struct user_regs_struct *regs, uint64_t mask,
		 uint64_t leave, uint64_t floor);
#endif

#endif
