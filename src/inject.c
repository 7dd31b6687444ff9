/* SPDX-License-Identifier: MIT */
#include "inject.h"

#include <errno.h>

#ifdef __x86_64__

#include <elf.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "inject_threads.h"
#include "sys_process.h"
#include "uapi/userfaultfd.h"

#define MS 1000000u
/* One thread that does not stop is left, another is tried. */
#define STOP_NS (200 * (uint64_t)MS)
#define STEP_NS (1000 * (uint64_t)MS)
#define SPIN_NS MS
#define THREADS_TRIED 4
/* The sanitizers' runtimes want most of it. */
#define STACK ((size_t)1 << 20)

#define SYSCALL_STOP (SIGTRAP | 0x80)

/**
 * struct victim - the thread that is stopped
 * @before: its registers as they are to be again
 * @mask:   its signal mask, likewise
 * @shadowed: it has a shadow stack, which knows no return to the frame
 */
struct victim {
	struct ww_process *p;
	struct inject_result *result;
	pid_t pid, tid;
	struct user_regs_struct before;
	uint64_t mask;
	bool shadowed;
	struct gadgets gadgets;
	struct stacks stacks;
	struct frame frame;
	struct sys_file *uffd;
	int outcome;
};

static int say(struct victim *v, int error, const char *why)
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
			sys_sleep_ns(50000);
	}
}

/* Lets it run until it is where the interruption has led it; signals before that are delivered. */
static int wait_interrupted(struct victim *v, uint64_t limit_ns, bool *of_group)
{
	int status, r;

	while ((r = wait_stop(v, limit_ns, &status)) == 0) {
		int signal = WSTOPSIG(status);

		if (status >> 16 == PTRACE_EVENT_STOP) {
			*of_group = signal != SIGTRAP;
			return 0;
		}
		if (sys_ptrace(PTRACE_CONT, v->tid, 0, (uintptr_t)signal) < 0)
			return -ESRCH;
	}
	return r;
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

/* From here on, until it is finished, the thread returns to what it was by itself. */
static int begin_call(struct victim *v, long number, long a)
{
	struct user_regs_struct regs = v->before;

	regs.rip = v->frame.at ? v->gadgets.call_and_return : v->gadgets.call;
	if (v->frame.at)
		regs.rsp = v->frame.at;
	regs.rax = (uint64_t)number;
	regs.rdi = (uint64_t)a;
	regs.orig_rax = (uint64_t)-1;
	regs.eflags &= ~UINT64_C(0x100);
	return set_registers(v, &regs);
}

/* Runs to the end of the call. What stops it else is SIGSTOP, to it or to all of the process. */
static int finish_call(struct victim *v, long *value)
{
	struct user_regs_struct regs;
	struct iovec iov = {&regs, sizeof(regs)};
	uintptr_t signal = 0;
	int stops = 0;

	while (stops < 2) {
		int status, r;

		if (sys_ptrace(PTRACE_SYSCALL, v->tid, 0, signal) < 0)
			return -ESRCH;
		r = wait_stop(v, STEP_NS, &status);
		if (r < 0)
			return r;
		signal = 0;
		if (WSTOPSIG(status) == SYSCALL_STOP)
			stops++;
		else if (status >> 16 != PTRACE_EVENT_STOP)
			signal = (uintptr_t)WSTOPSIG(status);
	}
	if (sys_ptrace(PTRACE_GETREGSET, v->tid, NT_PRSTATUS, (uintptr_t)&iov) < 0)
		return -ESRCH;
	*value = (long)regs.rax;
	return 0;
}

/* Reads what is to be restored, and prepares the frame. */
static int save(struct victim *v, bool of_group)
{
	struct iovec iov = {&v->before, sizeof(v->before)};
	uint64_t floor;

	if (sys_ptrace(PTRACE_GETREGSET, v->tid, NT_PRSTATUS, (uintptr_t)&iov) < 0 ||
	    sys_ptrace(PTRACE_GETSIGMASK, v->tid, sizeof(v->mask), (uintptr_t)&v->mask) < 0)
		return -ESRCH;
	if (iov.iov_len != sizeof(v->before))
		return say(v, -ENOTSUP, "it is a 32-bit program");
	if (!gadgets_check(v->pid, &v->gadgets))
		return say(v, -EAGAIN, "it is replacing its program");
	if (!of_group)
		frame_hide_interruption(&v->before);
	frame_abort_sequence(v->pid, v->tid, &v->before);
	v->frame.at = 0;
	floor = stacks_floor(&v->stacks, v->before.rsp);
	if (v->gadgets.call_and_return && v->gadgets.leave && floor != UINT64_MAX && !v->shadowed)
		frame_build(&v->frame, v->tid, &v->before, v->mask, v->gadgets.leave, floor);
	if (v->frame.at &&
	    (sys_read_memory(v->pid, v->frame.at, v->frame.saved, v->frame.size) < 0 ||
	     sys_write_memory(v->pid, v->frame.at, v->frame.bytes, v->frame.size) < 0))
		v->frame.at = 0;
	v->result->heals = v->frame.at != 0;
	return 0;
}

/*
 * The last stop has to be one from which the kernel looks for signals and restarts what it had
 * interrupted: that is what the second interruption is for.
 */
static int restore(struct victim *v)
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
	return wait_interrupted(v, STEP_NS, &of_group);
}

static int open_failed(struct victim *v, long error)
{
	if (error == -EMFILE || error == -ENFILE)
		return say(v, (int)error, "it has no file descriptor left");
	return error == -ENOMEM ? -ENOMEM : say(v, -ENOTSUP, "userfaultfd is denied to it");
}

/* Its descriptor becomes ours. The number means something else where descriptors are not shared. */
static int take(struct victim *v, long fd)
{
	struct sys_file thread = SYS_NO_FILE;
	int pidfd = v->p->pidfd.fd, r;

	if (v->tid != v->pid) {
		r = sys_pidfd_of_thread(&thread, v->tid);
		pidfd = thread.fd;
		if (r < 0 && sys_compare_files(v->pid, v->tid) == 0) {
			pidfd = v->p->pidfd.fd;
			r = 0;
		}
		if (r < 0)
			return say(v, -ENOTSUP, "its first thread has ended, or has descriptors of "
						"its own");
	}
	r = sys_pidfd_getfd(v->uffd, pidfd, (int)fd);
	sys_close(&thread);
	if (r == -EPERM)
		return say(v, r, "pidfd_getfd(2) is denied");
	return r == -EMFILE || r == -ENFILE || r == -ENOMEM ? r : r < 0 ? -ESRCH : 0;
}

static int run_calls(struct victim *v)
{
	long fd, closed;
	int taken, r = begin_call(v, SYS_userfaultfd,
				  O_CLOEXEC | O_NONBLOCK | WWK_UFFD_USER_MODE_ONLY);

	/* Not before the registers: the frame undoes it. */
	if (r == 0)
		r = set_mask(v, UINT64_MAX);
	if (r == 0)
		r = finish_call(v, &fd);
	if (r < 0)
		return r;
	if (fd < 0)
		return open_failed(v, fd);
	taken = take(v, fd);
	r = begin_call(v, SYS_close, fd);
	if (r == 0)
		r = finish_call(v, &closed);
	return r < 0 ? r : taken;
}

/* What has ended, or is traced by now, is denied as well. 1: try another thread. */
static int denied(struct victim *v, const struct thread_state *thread)
{
	struct thread_state now;
	int r = threads_look(v->p, thread->tid, &now, &v->result->why);

	if (r <= 0)
		return r < 0 ? r : 1;
	if (!thread->confined)
		return say(v, -EPERM, NULL);
	return say(v, -EPERM, "it is confined by seccomp, which may end it for a call that it does "
			      "not expect: suspending that takes CAP_SYS_ADMIN, and a kernel with "
			      "CONFIG_CHECKPOINT_RESTORE");
}

/* The same. */
static int try_thread(struct victim *v, const struct thread_state *thread)
{
	uintptr_t options = PTRACE_O_TRACESYSGOOD;
	uint64_t begin;
	bool of_group;
	int r, restored;

	v->tid = thread->tid;
	v->shadowed = thread->shadowed;
	if (thread->confined)
		options |= PTRACE_O_SUSPEND_SECCOMP;
	r = (int)sys_ptrace(PTRACE_SEIZE, v->tid, 0, options);
	if (r == -ESRCH)
		return 1;
	if (r < 0)
		return denied(v, thread);
	if (!threads_belongs(v->p, v->pid, v->tid))
		return -ESRCH;
	begin = sys_now_ns();
	if (sys_ptrace(PTRACE_INTERRUPT, v->tid, 0, 0) < 0)
		return 1;
	r = wait_interrupted(v, STOP_NS, &of_group);
	if (r < 0)
		return 1;
	r = save(v, of_group);
	if (r == 0) {
		r = run_calls(v);
		if (r != -ETIMEDOUT) {
			restored = restore(v);
			r = r < 0 ? r : restored;
		}
	}
	sys_ptrace(PTRACE_DETACH, v->tid, 0, 0);
	v->result->stopped_ns = sys_now_ns() - begin;
	return r;
}

static int inject(struct victim *v)
{
	struct thread_state threads[THREADS_TRIED];
	int count, r;

	r = threads_find(v->p, v->pid, threads, THREADS_TRIED, &v->result->why);
	if (r < 0)
		return r;
	count = r;
	for (int i = 0; i < count; i++) {
		r = try_thread(v, &threads[i]);
		if (r <= 0)
			return r;
	}
	r = process_gone(v->p);
	return r < 0 ? r
		     : say(v, -ETIMEDOUT, "none of its threads could be stopped: they wait in the "
					  "kernel, or have ended");
}

/*
 * On a thread of its own, which handles no signals, and with whose end the kernel lets go of what
 * did not stop in time.
 */
static void *inject_thread(void *arg)
{
	struct victim *v = arg;

	v->outcome = inject(v);
	return NULL;
}

static int run(struct victim *v)
{
	pthread_t thread;
	void *stack;
	int r = sys_mmap(&stack, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);

	if (r < 0)
		return r;
	r = sys_thread_start(&thread, stack, STACK, inject_thread, v);
	if (r == 0) {
		sys_thread_join(thread);
		r = v->outcome;
	}
	sys_munmap(stack, STACK);
	return r == -EAGAIN && !v->result->why ? -ENOMEM : r;
}

int inject_userfaultfd(struct ww_process *p, struct sys_file *uffd, struct inject_result *result)
{
	struct victim *v = calloc(1, sizeof(*v));
	int number, r;

	*result = (struct inject_result){0};
	*uffd = SYS_NO_FILE;
	if (!v)
		return -ENOMEM;
	v->p = p;
	v->result = result;
	v->uffd = uffd;
	r = process_number(p, &number);
	v->pid = number;
	if (r == 0)
		r = stacks_find(p, &v->stacks);
	if (r == 0)
		r = gadgets_find(p, v->pid, &v->gadgets);
	if (r == -ENOENT)
		r = say(v, -EAGAIN, "no instruction for a system call was found in it: it is just "
				    "beginning with its program, or has none");
	if (r == 0)
		r = run(v);
	if (r < 0)
		sys_close(uffd);
	free(v);
	return r;
}

#else

int inject_userfaultfd(struct ww_process *p, struct sys_file *uffd, struct inject_result *result)
{
	(void)p;
	*uffd = SYS_NO_FILE;
	*result = (struct inject_result){.why = "attaching is implemented for x86-64 only"};
	return -ENOTSUP;
}

#endif
