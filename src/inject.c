/* SPDX-License-Identifier: MIT */
#include "inject.h"

#include <errno.h>

#ifdef __x86_64__

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#include "inject_call.h"
#include "inject_threads.h"
#include "sys_process.h"
#include "uapi/userfaultfd.h"

/* One thread that does not stop is left, another is tried. */
#define STOP_NS ((uint64_t)NANOSECONDS / 5)
#define THREADS_TRIED 4
/* The sanitizers' runtimes want most of it. */
#define STACK ((size_t)1 << 20)

static int open_failed(struct victim *v, long error)
{
	if (error == -EMFILE || error == -ENFILE)
		return call_say(v, (int)error, "it has no file descriptor left");
	return error == -ENOMEM ? -ENOMEM : call_say(v, -ENOTSUP, "userfaultfd is denied to it");
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
			return call_say(v, -ENOTSUP,
					"its first thread has ended, or has descriptors of "
					"its own");
	}
	r = sys_pidfd_getfd(v->uffd, pidfd, (int)fd);
	sys_close(&thread);
	if (r == -EPERM)
		return call_say(v, r, "pidfd_getfd(2) is denied");
	return r == -EMFILE || r == -ENFILE || r == -ENOMEM ? r : r < 0 ? -ESRCH : 0;
}

static int run_calls(struct victim *v)
{
	long closed;
	int taken, r;

	v->opened = -1;
	r = call_make(v, SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | WWK_UFFD_USER_MODE_ONLY,
		      &v->opened);
	if (r < 0)
		return r;
	if (v->opened < 0)
		return open_failed(v, v->opened);
	taken = take(v, v->opened);
	r = call_make(v, SYS_close, v->opened, &closed);
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
		return call_say(v, -EPERM, NULL);
	return call_say(v, -EPERM,
			"it is confined by seccomp, which may end it for a call that it does "
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
	v->confined = thread->confined;
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
	r = call_await_interrupted(v, STOP_NS, &of_group);
	if (r < 0)
		return 1;
	r = call_save(v, of_group);
	if (r == 0) {
		r = run_calls(v);
		restored = 0;
		if (r == -ETIMEDOUT)
			call_give_up(v);
		else
			restored = call_restore(v);
		r = r < 0 ? r : restored;
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
		     : call_say(v, -ETIMEDOUT,
				"none of its threads could be stopped: they wait in the "
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
		r = call_say(v, -EAGAIN,
			     "no instruction for a system call was found in it: it is just "
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
