/* SPDX-License-Identifier: MIT */
#include "record.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Who is stopped without a tracer stays so when this process is killed: somebody else has to look.
 */

static pid_t guard;
static int held = -1;

static _Noreturn void run(int pidfd, int from)
{
	sigset_t all;
	char byte;
	ssize_t n;

	/* Signals are for those of whom the user knows. */
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	close(held);
	do
		n = read(from, &byte, 1);
	while (n < 0 && errno == EINTR);
	if (n == 0)
		syscall(SYS_pidfd_send_signal, pidfd, SIGCONT, NULL, 0);
	_exit(0);
}

int guard_start(pid_t pid)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	int ends[2];
	int r = 0;

	if (pidfd < 0)
		return -errno;
	if (pipe2(ends, O_CLOEXEC) < 0) {
		r = -errno;
		close(pidfd);
		return r;
	}
	held = ends[1];
	guard = fork();
	if (guard == 0)
		run(pidfd, ends[0]);
	if (guard < 0) {
		r = -errno;
		close(held);
	}
	close(ends[0]);
	close(pidfd);
	return r;
}

void guard_end(void)
{
	ssize_t n = 0;

	if (guard <= 0)
		return;
	/* Else it would wake up who may have stopped again for reasons of its own. */
	do
		n = write(held, "", 1);
	while (n < 0 && errno == EINTR);
	close(held);
	while (waitpid(guard, NULL, 0) < 0 && errno == EINTR)
		continue;
	guard = 0;
}
