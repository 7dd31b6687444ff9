/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attached.h"
#include "child.h"
#include "random.h"
#include "selfcheck.h"

/* The watcher is killed while it attaches, and the process must not notice. */

static struct selfcheck *self;

static void begin(void)
{
	attach_begin();
	if (!selfcheck_possible())
		cr_skip("the registers that are checked are those of x86-64 with AVX2");
	self = map_common(sizeof(*self));
}

TestSuite(death, .init = begin, .timeout = 120);

static pid_t start(enum selfcheck_way way)
{
	pid_t pid;

	*self = (struct selfcheck){.way = way};
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		selfcheck_run(self);
	}
	selfcheck_await(self);
	return pid;
}

static void attach_forever(pid_t pid, unsigned *turns)
{
	struct ww_process *p;

	if (ww_process_open(&p, pid, 0) < 0)
		_exit(1);
	while (ww_process_attach(p, 0) == 0) {
		__atomic_add_fetch(turns, 1, __ATOMIC_SEQ_CST);
		ww_process_detach(p);
	}
	_exit(2);
}

/* Waits, not for ever, until the watcher has begun. */
static void await_tracer(pid_t pid)
{
	char path[64], text[4096];

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	for (int i = 0; i < 10000; i++) {
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		ssize_t n = read(fd, text, sizeof(text) - 1);

		close(fd);
		text[n < 0 ? 0 : n] = '\0';
		if (!strstr(text, "TracerPid:\t0"))
			return;
	}
}

static size_t leaked_descriptors(pid_t pid)
{
	char path[64], target[64];
	struct dirent *entry;
	size_t found = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	while ((entry = readdir(dir))) {
		ssize_t n = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);

		target[n < 0 ? 0 : n] = '\0';
		found += strstr(target, "userfaultfd") != NULL;
	}
	closedir(dir);
	return found;
}

/* Nothing registered, nothing mapped: only descriptors may stay. */
static void check_and_end(pid_t pid, const char *before)
{
	char *after;

	selfcheck_await(self);
	after = look_of(pid);
	cr_assert_not(strstr(after, " uw"), "it is registered still");
	/* The list of mappings comes first. */
	cr_assert_eq(strncmp(before, after, strcspn(before, "V")), 0, "%s\n%s", before, after);
	free(after);
	child_end(pid);
}

Test(death, leaves_the_process_as_it_was_at_any_moment)
{
	struct rng rng = {random_seed("death")};
	const size_t kills = env_number("WW_KILLS", in_a_hurry() ? 50 : 200);
	unsigned *turns = map_common(sizeof(*turns));
	size_t leaked = 0, interrupted = 0, done = 0;

	for (int way = 0; way < SELFCHECK_WAYS; way++) {
		pid_t pid = start(way);
		char *before = look_of(pid);

		for (size_t i = 0; i < (kills + SELFCHECK_WAYS - 1) / SELFCHECK_WAYS; i++, done++) {
			unsigned first = *turns + 1;
			pid_t watcher = fork();
			int status;

			if (watcher == 0)
				attach_forever(pid, turns);
			while (__atomic_load_n(turns, __ATOMIC_SEQ_CST) < first)
				if (waitpid(watcher, &status, WNOHANG))
					cr_assert_fail("the watcher ended: %x", status);
			if (rng_one_in(&rng, 4)) {
				usleep((useconds_t)rng_below(&rng, 1500));
			} else {
				size_t spins = rng_below(&rng, 60000);

				await_tracer(pid);
				while (spins--)
					__asm__ volatile("" ::: "memory");
			}
			child_end(watcher);
			selfcheck_await(self);
		}
		leaked += leaked_descriptors(pid);
		interrupted += self->eintr;
		check_and_end(pid, before);
		free(before);
	}
	fprintf(stderr, "# %zu kills: %zu descriptors were left, %zu calls interrupted\n", done,
		leaked, interrupted);
	munmap(turns, sizeof(*turns));
}

/**
 * struct moment - when the watcher is killed
 * @number, @request: a system call, and its first argument if that is not negative
 * @leaks:  a descriptor stays
 * @eintr:  the thread is only stopped by then, and some calls are interrupted by that
 */
struct moment {
	long number;
	long request;
	bool leaks;
	bool eintr;
};

/* The first time that it makes this call, this process is killed instead. */
static void die_at(const struct moment *m)
{
	const unsigned request = m->request < 0 ? 0 : (unsigned)m->request;
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)m->number, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | (m->request < 0 ? BPF_JGE : BPF_JEQ) | BPF_K, request, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof(code) / sizeof(*code), code};

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		_exit(1);
}

Test(death, leaves_the_process_as_it_was_at_each_step)
{
	static const struct moment moments[] = {
		{SYS_ptrace, PTRACE_SEIZE, false, false},
		{SYS_ptrace, PTRACE_INTERRUPT, false, false},
		{SYS_ptrace, PTRACE_GETREGSET, false, true},
		{SYS_ptrace, PTRACE_GETSIGMASK, false, true},
		{SYS_process_vm_writev, -1, false, true},
		{SYS_ptrace, PTRACE_SETREGSET, false, true},
		{SYS_ptrace, PTRACE_SETSIGMASK, true, false},
		{SYS_ptrace, PTRACE_SYSCALL, true, false},
		{SYS_pidfd_getfd, -1, true, false},
		{SYS_ptrace, PTRACE_CONT, false, false},
		{SYS_ptrace, PTRACE_DETACH, false, false},
		{SYS_ioctl, -1, false, false},
	};

	for (int way = 0; way < SELFCHECK_WAYS; way++) {
		for (size_t i = 0; i < sizeof(moments) / sizeof(*moments); i++) {
			pid_t watcher, pid = start(way);
			char *before = look_of(pid);
			struct ww_process *p;
			int status;

			watcher = fork();
			if (watcher == 0) {
				if (ww_process_open(&p, pid, 0) < 0)
					_exit(1);
				die_at(&moments[i]);
				/* A busy machine may not stop a thread in time. */
				for (int tries = 0; tries < MOST_TRIES; tries++)
					ww_process_attach(p, 0);
				_exit(2);
			}
			cr_assert_eq(waitpid(watcher, &status, 0), watcher);
			cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS,
				  "moment %zu: %x", i, status);
			selfcheck_await(self);
			cr_assert_eq(leaked_descriptors(pid), moments[i].leaks, "moment %zu", i);
			cr_assert(self->eintr == 0 || moments[i].eintr, "moment %zu", i);
			check_and_end(pid, before);
			free(before);
		}
	}
}
