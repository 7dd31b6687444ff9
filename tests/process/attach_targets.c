/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attached.h"
#include "child.h"
#include "leaks.h"
#include "pages.h"
#include "watch.h"

/* Processes of every kind: attaching works, or it refuses and says why. */

#define NOBODY 65534

static void begin(void)
{
	attach_begin();
	leaks_begin();
}

TestSuite(targets, .init = begin, .fini = leaks_end_threads);

static void expect_refusal(pid_t pid, int error, const char *words)
{
	struct ww_attachment info;

	cr_assert_eq(attach_result(pid, &info), error);
	cr_assert_not_null(info.reason);
	cr_assert(strstr(info.reason, words), "%s", info.reason);
}

Test(targets, stopped_ones_stay_stopped)
{
	struct ww_attachment info;
	pid_t pid = child_start(NULL, NULL);
	int status;

	kill(pid, SIGSTOP);
	wait_for_state(pid, 'T');
	cr_assert_eq(waitpid(pid, &status, WUNTRACED), pid);
	for (int i = 0; i < 5; i++) {
		char *before = look_of(pid), *after;

		cr_assert_eq(attach_result(pid, &info), 0);
		wait_for_state(pid, 'T');
		after = look_of(pid);
		cr_assert_str_eq(before, after);
		free(before);
		free(after);
	}
	kill(pid, SIGCONT);
	wait_for_state(pid, 'S');
	child_end(pid);
}

Test(targets, traced_ones_are_refused)
{
	pid_t pid = child_start(NULL, NULL), tracer;
	int ready[2];
	char c;

	cr_assert_eq(pipe(ready), 0);
	tracer = fork();
	if (tracer == 0) {
		long r = ptrace(PTRACE_SEIZE, pid, NULL, NULL);

		_exit(write(ready[1], "", r == 0) == 1 ? pause() : 1);
	}
	close(ready[1]);
	cr_assert_eq(read(ready[0], &c, 1), 1);
	expect_refusal(pid, -EBUSY, "traced");
	child_end(tracer);
	close(ready[0]);
	child_end(pid);
}

static void use_up_descriptors(void *arg)
{
	struct rlimit limit;

	(void)arg;
	limit.rlim_cur = limit.rlim_max = (rlim_t)(dup(0) + 1);
	setrlimit(RLIMIT_NOFILE, &limit);
}

Test(targets, without_descriptors_are_refused)
{
	pid_t pid = child_start(use_up_descriptors, NULL);
	char *before, *after;

	wait_for_state(pid, 'S');
	before = look_of(pid);
	expect_refusal(pid, -EMFILE, "descriptor");
	wait_for_state(pid, 'S');
	after = look_of(pid);
	cr_assert_str_eq(before, after);
	free(before);
	free(after);
	child_end(pid);
}

/* userfaultfd(2) gets this action of seccomp. */
static void filter_userfaultfd(void *arg)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_userfaultfd, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, *(unsigned *)arg),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof(code) / sizeof(*code), code};

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		_exit(1);
}

static int attach_as_nobody(void *arg)
{
	struct ww_attachment info;
	pid_t pid;
	int r;

	if (setgid(NOBODY) < 0 || setuid(NOBODY) < 0)
		return 2;
	prctl(PR_SET_DUMPABLE, 1);
	pid = child_start(arg ? filter_userfaultfd : NULL, arg);
	r = attach_result(pid, &info);
	child_end(pid);
	if (!arg)
		return r != 0;
	return r != -EPERM || !info.reason || !strstr(info.reason, "seccomp");
}

Test(targets, confined_ones_are_not_ended)
{
	unsigned action = SECCOMP_RET_KILL_PROCESS;
	struct ww_attachment info;
	pid_t pid = child_start(filter_userfaultfd, &action);
	int r = attach_result(pid, &info);

	cr_assert_eq(kill(pid, 0), 0);
	if (r == 0) {
		cr_assert_not(info.self_healing, "it is confined again when its tracer dies");
		wait_for_state(pid, 'S');
	} else {
		cr_assert_eq(r, -EPERM);
		cr_assert(strstr(info.reason, "seccomp"), "%s", info.reason);
	}
	child_end(pid);
	if (geteuid() == 0)
		cr_assert_eq(child_result(attach_as_nobody, &action), 0);
}

#define MANY_GROUPS 2000

static int try_to_join(void *arg)
{
	gid_t groups[MANY_GROUPS];

	(void)arg;
	for (gid_t i = 0; i < MANY_GROUPS; i++)
		groups[i] = 4000000000u + i;
	return setgroups(MANY_GROUPS, groups) < 0;
}

/* As far as it may; and confines itself, if it gets an action of seccomp. */
static void join_many_groups(void *arg)
{
	try_to_join(NULL);
	if (arg)
		filter_userfaultfd(arg);
}

Test(targets, confined_ones_of_many_groups_are_not_ended)
{
	unsigned action = SECCOMP_RET_KILL_PROCESS;
	struct ww_attachment info;
	pid_t pid;
	int r;

	if (child_result(try_to_join, NULL) != 0)
		cr_skip("takes root, of all groups, to join them");
	pid = child_start(join_many_groups, &action);
	r = attach_result(pid, &info);
	cr_assert_eq(kill(pid, 0), 0);
	wait_for_state(pid, 'S');
	cr_assert(r == 0 || (r == -EPERM && strstr(info.reason, "seccomp")), "%d", r);
	child_end(pid);
}

Test(targets, of_the_same_user_need_no_privilege)
{
	if (geteuid() != 0)
		cr_skip("takes root to become another user; all tests are of the same one now");
	cr_assert_eq(child_result(attach_as_nobody, NULL), 0);
}

static int hint_of_root(void *arg)
{
	struct ww_process *p;
	pid_t pid = *(pid_t *)arg;

	if (setgid(NOBODY) < 0 || setuid(NOBODY) < 0)
		return 2;
	if (ww_process_open(&p, pid, 0) != -EACCES)
		return 3;
	return !strstr(ww_process_hint(pid), "another user");
}

static void become_opaque(void *arg)
{
	(void)arg;
	prctl(PR_SET_DUMPABLE, 0);
}

static int hint_of_opaque(void *arg)
{
	pid_t pid;
	int wrong;

	(void)arg;
	if (setgid(NOBODY) < 0 || setuid(NOBODY) < 0)
		return 2;
	prctl(PR_SET_DUMPABLE, 1);
	pid = child_start(become_opaque, NULL);
	wrong = !strstr(ww_process_hint(pid), "not dumpable");
	child_end(pid);
	return wrong;
}

Test(targets, that_may_not_be_looked_at_come_with_a_hint)
{
	pid_t pid;

	if (geteuid() != 0)
		cr_skip("takes root to become another user");
	pid = child_start(join_many_groups, NULL);
	cr_assert_eq(child_result(hint_of_root, &pid), 0);
	cr_assert_eq(child_result(hint_of_opaque, NULL), 0);
	child_end(pid);
	cr_assert(strstr(ww_process_hint(pid), "no such process"));
}

/* Waits for ever; in 32 bits: mov $29, %eax; int $0x80; jmp. */
static int i386_program(void)
{
	static const unsigned char code[] = {0xb8, 29, 0, 0, 0, 0xcd, 0x80, 0xeb, 0xf7};
	const uint32_t base = 0x08048000, begin = sizeof(Elf32_Ehdr) + sizeof(Elf32_Phdr);
	Elf32_Ehdr header = {
		.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS32, ELFDATA2LSB,
			    EV_CURRENT},
		.e_type = ET_EXEC, .e_machine = EM_386, .e_version = EV_CURRENT,
		.e_entry = base + begin, .e_phoff = sizeof(header), .e_ehsize = sizeof(header),
		.e_phentsize = sizeof(Elf32_Phdr), .e_phnum = 1,
	};
	Elf32_Phdr segment = {
		.p_type = PT_LOAD, .p_vaddr = base, .p_paddr = base, .p_align = 4096,
		.p_filesz = begin + sizeof(code), .p_memsz = begin + sizeof(code),
		.p_flags = PF_R | PF_X,
	};
	int fd = (int)syscall(SYS_memfd_create, "i386", 1 /* close-on-exec */);

	cr_assert_eq(write(fd, &header, sizeof(header)), (ssize_t)sizeof(header));
	cr_assert_eq(write(fd, &segment, sizeof(segment)), (ssize_t)sizeof(segment));
	cr_assert_eq(write(fd, code, sizeof(code)), (ssize_t)sizeof(code));
	return fd;
}

Test(targets, of_32_bits_are_refused)
{
	int fd = i386_program(), failed[2];
	char byte = 1;
	pid_t pid;

	/* Closed by the new program, or told that there is none. */
	cr_assert_eq(pipe2(failed, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		char name[] = "i386", *argv[] = {name, NULL}, *envp[] = {NULL};

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		fexecve(fd, argv, envp);
		_exit(write(failed[1], &byte, 1) == 1 ? 77 : 78);
	}
	close(fd);
	close(failed[1]);
	if (read(failed[0], &byte, 1) != 0) {
		close(failed[0]);
		waitpid(pid, NULL, 0);
		cr_skip("this kernel does not run programs of 32 bits");
	}
	close(failed[0]);
	/* Files are closed before the new program is all there. */
	wait_for_state(pid, 'S');
	expect_refusal(pid, -ENOTSUP, "32-bit");
	child_end(pid);
}

static _Noreturn void vfork_and_wait(void)
{
	/* The parent waits without being interruptible until the child ends. */
	if (vfork() == 0)
		for (;;)
			pause();
	_exit(0);
}

Test(targets, that_nothing_can_stop_are_given_up)
{
	struct ww_attachment info;
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_CHILD_SUBREAPER, 1);
		setpgid(0, 0);
		vfork_and_wait();
	}
	setpgid(pid, pid);
	wait_for_state(pid, 'D');
	cr_assert_eq(attach_result(pid, &info), -ETIMEDOUT);
	cr_assert_not_null(info.reason);
	kill(-pid, SIGKILL);
	cr_assert_eq(waitpid(pid, NULL, 0), pid);
}

static void *wait_idly(void *arg)
{
	for (;;)
		pause();
	return arg;
}

/* Another thread is there to be stopped, with a number of its own. */
Test(targets, another_thread_will_do)
{
	struct ww_attachment info;
	pid_t pid = fork();

	if (pid == 0) {
		pthread_t thread;

		setpgid(0, 0);
		pthread_create(&thread, NULL, wait_idly, NULL);
		vfork_and_wait();
	}
	setpgid(pid, pid);
	wait_for_state(pid, 'D');
	for (int i = 0; i < 5; i++) {
		cr_assert_eq(attach_result(pid, &info), 0, "%s", info.reason);
		cr_assert(info.self_healing, "the stack of a thread has a guard below");
	}
	kill(-pid, SIGKILL);
	cr_assert_eq(waitpid(pid, NULL, 0), pid);
}

static char *watched_by_itself;

static void watch_itself(void *arg)
{
	int uffd = watch_open();

	(void)arg;
	watched_by_itself[0] = 1;
	if (uffd < 0 || !watch_attach(uffd, watched_by_itself, 16 * page_bytes()) ||
	    !watch_protect(uffd, watched_by_itself, 16 * page_bytes()))
		_exit(1);
	watched_by_itself[page_bytes()] = 1;
}

Test(targets, that_watch_themselves_go_on_doing_so)
{
	struct ww_page_range range = {0};
	struct ww_process_query q = {.size = sizeof(q)};
	struct ww_attachment info = {.size = sizeof(info)};
	struct ww_process *p;
	size_t count = 1;
	pid_t pid;

	watched_by_itself = map_private(16 * page_bytes());
	pid = child_start(watch_itself, NULL);
	p = attach_to(pid);
	cr_assert_eq(ww_process_attachment(p, &info), 0);
	cr_assert_geq(info.skipped_busy, 1);
	cr_assert_eq(take_written(p, watched_by_itself, 16 * page_bytes()), 0);
	ww_process_close(p);
	/* What it wrote to is still there for itself to be found. */
	cr_assert_eq(ww_process_open(&p, pid, 0), 0);
	q.start = (uintptr_t)watched_by_itself;
	q.end = q.start + 16 * page_bytes();
	q.required = WW_PAGE_WATCHED | WW_PAGE_WRITTEN;
	cr_assert_eq(ww_process_scan(p, &q, &range, &count), 0);
	cr_assert_eq(count, 1);
	cr_assert_eq(range.start, q.start + page_bytes());
	cr_assert_eq(range.end, q.start + 2 * page_bytes());
	ww_process_close(p);
	child_end(pid);
	unmap(watched_by_itself, 16 * page_bytes());
}
