/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launch.h"

/* Runs a test program as another user, with less than the machine has, and not for ever. */

#define OWN_ERROR 125
#define TIMED_OUT 124
#define USERFAULTFD_DEVICE "/dev/userfaultfd"

struct settings {
	unsigned uid; /* 0: stay who we are */
	bool deny_userfaultfd;
	bool no_huge_pages;
	unsigned cpus; /* 0: all of them */
	const char *cgroup;
	long seconds;	   /* for the program */
	long test_seconds; /* for each of its children */
};

static void fail(const char *what)
{
	fprintf(stderr, "launch: %s: %s\n", what, strerror(errno));
	_exit(OWN_ERROR);
}

/* As where a container has no such device: on a mount that allows no devices, root cannot open it.
 */
static void hide_device(void)
{
	const char *device = USERFAULTFD_DEVICE;

	if (access(device, R_OK | W_OK) != 0)
		return;
	if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount(device, device, NULL, MS_BIND, NULL) != 0 ||
	    mount(NULL, device, NULL, MS_REMOUNT | MS_BIND | MS_NODEV, NULL) != 0)
		fail("cannot hide " USERFAULTFD_DEVICE);
}

static void filter_userfaultfd(void)
{
	struct sock_filter code[] = {
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_userfaultfd, 0, 1),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};
	int device;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
		fail("cannot filter userfaultfd");
	device = open(USERFAULTFD_DEVICE, O_RDWR | O_CLOEXEC);
	if (device >= 0 || syscall(SYS_userfaultfd, O_CLOEXEC) >= 0 || errno != EPERM) {
		fprintf(stderr, "launch: userfaultfd is still to be had\n");
		_exit(OWN_ERROR);
	}
}

static void enter_cgroup(const char *directory)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/cgroup.procs", directory);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0", 1) != 1)
		fail(path);
	close(fd);
}

static void use_cpus(unsigned n)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	while (n-- > 0)
		CPU_SET(n, &set);
	if (sched_setaffinity(0, sizeof(set), &set) != 0)
		fail("cannot choose the processors");
}

static void become(const struct settings *s, char **command)
{
	setpgid(0, 0);
	if (s->cgroup)
		enter_cgroup(s->cgroup);
	if (s->cpus)
		use_cpus(s->cpus);
	if (s->no_huge_pages && prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) != 0)
		fail("cannot do without huge pages");
	if (s->deny_userfaultfd)
		hide_device();
	if (s->uid && (setgroups(0, NULL) != 0 || setgid(s->uid) != 0 || setuid(s->uid) != 0))
		fail("cannot change the user");
	if (s->deny_userfaultfd)
		filter_userfaultfd();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	execv(command[0], command);
	fail(command[0]);
}

/* Returns the status of @program once it ended, or -1; orphans are taken along. */
static int reap(pid_t program)
{
	int status, result = -1;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == program)
			result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	return result;
}

static int watch(const struct settings *s, pid_t program, const sigset_t *signals)
{
	const struct timespec second = {.tv_sec = 1};
	long passed = 0;
	int status;

	while ((status = reap(program)) < 0) {
		if (sigtimedwait(signals, NULL, &second) >= 0)
			continue;
		if (errno != EAGAIN)
			continue;
		if (s->test_seconds)
			kill_old_children(program, s->test_seconds);
		if (s->seconds && ++passed >= s->seconds) {
			fprintf(stderr, "\nlaunch: timed out after %ld s\n", s->seconds);
			status = TIMED_OUT;
			break;
		}
	}
	kill_tree(program);
	kill(-program, SIGKILL);
	return status;
}

static void usage(void)
{
	fprintf(stderr, "usage: launch [--uid N] [--deny-userfaultfd] [--no-huge-pages] "
			"[--cpus N] [--cgroup DIR] [--seconds N] [--test-seconds N] "
			"PROGRAM [ARGUMENT...]\n");
	_exit(OWN_ERROR);
}

static char **read_options(char **argv, struct settings *s)
{
	for (argv++; *argv && strncmp(*argv, "--", 2) == 0; argv++) {
		if (strcmp(*argv, "--deny-userfaultfd") == 0)
			s->deny_userfaultfd = true;
		else if (strcmp(*argv, "--no-huge-pages") == 0)
			s->no_huge_pages = true;
		else if (!argv[1])
			usage();
		else if (strcmp(*argv, "--cgroup") == 0)
			s->cgroup = *++argv;
		else if (strcmp(*argv, "--uid") == 0)
			s->uid = (unsigned)strtoul(*++argv, NULL, 10);
		else if (strcmp(*argv, "--cpus") == 0)
			s->cpus = (unsigned)strtoul(*++argv, NULL, 10);
		else if (strcmp(*argv, "--seconds") == 0)
			s->seconds = strtol(*++argv, NULL, 10);
		else if (strcmp(*argv, "--test-seconds") == 0)
			s->test_seconds = strtol(*++argv, NULL, 10);
		else
			usage();
	}
	if (!*argv)
		usage();
	return argv;
}

int main(int argc, char **argv)
{
	struct settings settings = {0};
	char **command = argc > 0 ? read_options(argv, &settings) : NULL;
	sigset_t signals, before;
	pid_t program;

	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, &signals, &before);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	program = fork();
	if (program < 0)
		fail("cannot fork");
	if (program == 0) {
		sigprocmask(SIG_SETMASK, &before, NULL);
		become(&settings, command);
	}
	return watch(&settings, program, &signals);
}
