/* SPDX-License-Identifier: MIT */
#include "inject_call.h"

#ifdef __x86_64__

#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "sys_process.h"

/* A thread that takes longer is frozen, or starved: then nothing is done but to restore it. */
#define STEP_NS ((uint64_t)NANOSECONDS)
#define LAST_NS (60 * STEP_NS)
#define SPIN_NS (NANOSECONDS / 1000)

#define SYSCALL_STOP (SIGTRAP | 0x80)

int call_say(struct victim *v, int error, const char *why)
{
	v->result->why = why;
	return error;
}

/* The next stop of the thread, which may never come. */
static int wait_stop(struct victim *v, uint64_t limit_ns, int *status)
{
	const uint64_t begin = sys_now_ns();
	uint64_t passed;

	for (;;) {
		int r = sys_wait_stop(v->tid, status);

		if (r)
			return r < 0 ? r : 0;
		passed = sys_now_ns() - begin;
		if (passed > limit_ns)
			return -ETIMEDOUT;
		if (passed < SPIN_NS)
			sys_yield();
		else
			sys_sleep_ns(passed < STEP_NS ? 50000 : 5000000);
	}
}

int call_await_interrupted(struct victim *v, uint64_t limit_ns, bool *of_group)
{
	int status, r;

	while ((r = wait_stop(v, limit_ns, &status)) == 0) {
		int signal = WSTOPSIG(status);

		if (status >> 16 == PTRACE_EVENT_STOP) {
			*of_group = signal != SIGTRAP;
			return 0;
		}
		/* The beginning or the end of a call that took too long. */
		if (signal == SYSCALL_STOP)
			signal = 0;
		if (sys_ptrace(PTRACE_CONT, v->tid, 0, (uintptr_t)signal) < 0)
			return -ESRCH;
	}
	return r;
}

static int get_registers(struct victim *v, struct user_regs_struct *regs)
{
	struct iovec iov = {regs, sizeof(*regs)};

	if (sys_ptrace(PTRACE_GETREGSET, v->tid, NT_PRSTATUS, (uintptr_t)&iov) < 0)
		return -ESRCH;
	return iov.iov_len == sizeof(*regs) ? 0 : -ENOTSUP;
}

static int set_registers(struct victim *v, const struct user_regs_struct *regs)
{
	struct iovec iov = {(void *)(uintptr_t)regs, sizeof(*regs)};

	return sys_ptrace(PTRACE_SETREGSET, v->tid, NT_PRSTATUS, (uintptr_t)&iov) < 0 ? -ESRCH : 0;
}

static int set_mask(struct victim *v, uint64_t mask)
{
	return sys_ptrace(PTRACE_SETSIGMASK, v->tid, sizeof(mask), (uintptr_t)&mask) < 0 ? -ESRCH
											 : 0;
}

static uint64_t where_to_call(const struct victim *v)
{
	return v->frame.at ? v->gadgets.call_and_return : v->gadgets.call;
}

/* From here on, until it is finished, the thread returns to what it was by itself. */
static int begin_call(struct victim *v, long number, long a)
{
	struct user_regs_struct regs = v->before;

	regs.rip = where_to_call(v);
	if (v->frame.at)
		regs.rsp = v->frame.at;
	regs.rax = (uint64_t)number;
	regs.rdi = (uint64_t)a;
	regs.orig_rax = (uint64_t)-1;
	regs.eflags &= ~UINT64_C(0x100);
	return set_registers(v, &regs);
}

/* Runs to the end of the call. What stops it else is SIGSTOP, to it or to all of the process. */
static int finish_call(struct victim *v, uint64_t limit_ns, long *value)
{
	struct user_regs_struct regs;
	uintptr_t signal = 0;
	int stops = 0, r;

	while (stops < 2) {
		int status;

		if (sys_ptrace(PTRACE_SYSCALL, v->tid, 0, signal) < 0)
			return -ESRCH;
		r = wait_stop(v, limit_ns, &status);
		if (r < 0)
			return r;
		signal = 0;
		if (WSTOPSIG(status) == SYSCALL_STOP)
			stops++;
		else if (status >> 16 != PTRACE_EVENT_STOP)
			signal = (uintptr_t)WSTOPSIG(status);
	}
	r = get_registers(v, &regs);
	if (r == 0)
		*value = (long)regs.rax;
	return r;
}

static int make_call(struct victim *v, long number, long a, uint64_t limit_ns, long *value)
{
	int r = begin_call(v, number, a);

	/* Not before the registers: the frame undoes it. */
	if (r == 0)
		r = set_mask(v, UINT64_MAX);
	return r < 0 ? r : finish_call(v, limit_ns, value);
}

int call_make(struct victim *v, long number, long a, long *value)
{
	return make_call(v, number, a, STEP_NS, value);
}

int call_save(struct victim *v, bool of_group)
{
	uint64_t floor;
	int r = get_registers(v, &v->before);

	if (r == -ENOTSUP)
		return call_say(v, r, "it is a 32-bit program");
	if (r < 0 ||
	    sys_ptrace(PTRACE_GETSIGMASK, v->tid, sizeof(v->mask), (uintptr_t)&v->mask) < 0)
		return -ESRCH;
	if (!gadgets_check(v->pid, &v->gadgets))
		return call_say(v, -EAGAIN, "it is replacing its program");
	if (!of_group)
		frame_hide_interruption(&v->before);
	frame_abort_sequence(v->pid, v->tid, &v->before);
	v->frame.at = 0;
	floor = stacks_floor(&v->stacks, v->before.rsp, v->before.fs_base);
	if (v->gadgets.call_and_return && v->gadgets.leave && floor != UINT64_MAX && !v->shadowed)
		frame_build(&v->frame, v->tid, &v->before, v->mask, v->gadgets.leave, floor);
	if (v->frame.at &&
	    (sys_read_memory(v->pid, v->frame.at, v->frame.saved, v->frame.size) < 0 ||
	     sys_write_memory(v->pid, v->frame.at, v->frame.bytes, v->frame.size) < 0))
		v->frame.at = 0;
	/* Untraced, a confined thread may be ended for the call it is about to make. */
	v->result->heals = v->frame.at && !v->confined;
	return 0;
}

/*
 * The last stop has to be one from which the kernel looks for signals and restarts what it had
 * interrupted: that is what the second interruption is for.
 */
int call_restore(struct victim *v)
{
	bool of_group;
	int r = set_mask(v, v->mask);

	if (r == 0 && sys_ptrace(PTRACE_INTERRUPT, v->tid, 0, 0) < 0)
		r = -ESRCH;
	if (r == 0)
		r = set_registers(v, &v->before);
	if (r < 0)
		return r;
	if (v->frame.at)
		sys_write_memory(v->pid, v->frame.at, v->frame.saved, v->frame.size);
	if (sys_ptrace(PTRACE_CONT, v->tid, 0, 0) < 0)
		return -ESRCH;
	r = call_await_interrupted(v, LAST_NS, &of_group);
	/* It needs nobody any more. */
	return r == -ETIMEDOUT ? 0 : r;
}

/* Stops it wherever it is by now, and finds out what it has open there. */
static int reach(struct victim *v)
{
	struct user_regs_struct regs;
	bool of_group;
	int r = sys_ptrace(PTRACE_INTERRUPT, v->tid, 0, 0) < 0 ? -ESRCH : 0;

	if (r == 0)
		r = call_await_interrupted(v, LAST_NS, &of_group);
	if (r == 0)
		r = get_registers(v, &regs);
	if (r == 0 && regs.rip != where_to_call(v))
		v->opened = v->opened < 0 ? (long)regs.rax : -1;
	return r;
}

void call_give_up(struct victim *v)
{
	long closed;

	if (reach(v) < 0) {
		call_say(v, 0,
			 "the thread that was stopped did not run for a minute: it is "
			 "frozen, or starved of its processor");
		return;
	}
	call_say(v, 0,
		 "the thread that was stopped did not run: it is frozen, or starved of its "
		 "processor");
	/* With a frame it closes it by itself, whenever it runs. */
	if (v->opened >= 0 && v->result->heals) {
		begin_call(v, SYS_close, v->opened);
		return;
	}
	if (v->opened >= 0 && make_call(v, SYS_close, v->opened, LAST_NS, &closed) == -ETIMEDOUT &&
	    reach(v) < 0)
		return;
	call_restore(v);
}

#endif
