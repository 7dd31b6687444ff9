/* SPDX-License-Identifier: MIT */
#include "record.h"
#include "signals.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

/* Who has lost its parent before it is traced would be traced by another, which does not know. */
static bool is_traced(pid_t parent)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent ||
	    ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
		return false;
	/* The command would inherit it. */
	return prctl(PR_SET_PDEATHSIG, 0) == 0;
}

static _Noreturn void run(char **command, pid_t parent, int failure)
{
	ssize_t n;
	int error;

	signals_restore();
	if (is_traced(parent))
		execvp(command[0], command);
	error = errno;
	n = write(failure, &error, sizeof(error));
	_exit(n == sizeof(error) ? START_NOT_RUNNABLE : START_NOT_FOUND);
}

static int wait_for_stop(pid_t pid, int *status)
{
	while (waitpid(pid, status, WUNTRACED) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return WIFSTOPPED(*status) ? 0 : -ECHILD;
}

/* The stop at its execve(2), which ptrace(2) gives, becomes one that needs no tracer. */
static int stop_untraced(pid_t pid)
{
	int status;
	int r = wait_for_stop(pid, &status);

	if (r == 0)
		r = guard_start(pid);
	if (r == 0 && ptrace(PTRACE_DETACH, pid, NULL, SIGSTOP) < 0)
		r = -errno;
	return r < 0 ? r : wait_for_stop(pid, &status);
}

int start_stopped(char **command, pid_t *pid)
{
	int failure[2], error = 0;
	pid_t parent = getpid();
	ssize_t n;
	int r;

	if (pipe2(failure, O_CLOEXEC) < 0)
		return -errno;
	*pid = fork();
	if (*pid == 0)
		run(command, parent, failure[1]);
	r = *pid < 0 ? -errno : 0;
	close(failure[1]);
	/* Nothing comes once the program runs. */
	while (r == 0 && (n = read(failure[0], &error, sizeof(error))) < 0 && errno == EINTR)
		continue;
	close(failure[0]);
	if (r < 0)
		return r;
	if (error) {
		waitpid(*pid, NULL, 0);
		return -error;
	}
	r = stop_untraced(*pid);
	if (r < 0)
		start_kill(*pid);
	return r;
}

void start_continue(pid_t pid)
{
	kill(pid, SIGCONT);
	guard_end();
}

void start_kill(pid_t pid)
{
	kill(pid, SIGKILL);
	guard_end();
	waitpid(pid, NULL, 0);
}

int start_wait(pid_t pid, int *status)
{
	pid_t r;

	do
		r = waitpid(pid, status, 0);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}
