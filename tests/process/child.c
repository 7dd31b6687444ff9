/* SPDX-License-Identifier: MIT */
#include "child.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t fork_off(void)
{
	pid_t parent = getpid(), pid = fork();

	cr_assert_geq(pid, 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(255);
	}
	return pid;
}

pid_t child_start_then(void (*body)(void *arg), void (*then)(void *arg), void *arg)
{
	int ready[2];
	pid_t pid;
	char c;

	cr_assert_eq(pipe(ready), 0);
	pid = fork_off();
	if (pid == 0) {
		if (body)
			body(arg);
		if (write(ready[1], "", 1) != 1)
			_exit(255);
		if (then)
			then(arg);
		for (;;)
			pause();
	}
	close(ready[1]);
	cr_assert_eq(read(ready[0], &c, 1), 1, "the child did not get ready");
	close(ready[0]);
	return pid;
}

pid_t child_start(void (*body)(void *arg), void *arg)
{
	return child_start_then(body, NULL, arg);
}

void child_end(pid_t pid)
{
	kill(pid, SIGKILL);
	cr_assert_eq(waitpid(pid, NULL, 0), pid);
}

int child_result(int (*body)(void *arg), void *arg)
{
	pid_t pid = fork_off();
	int status;

	if (pid == 0)
		_exit(body(arg));
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFEXITED(status), "the child ended by a signal");
	return WEXITSTATUS(status);
}

int pidfd_of(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}
