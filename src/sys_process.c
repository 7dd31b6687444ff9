/* SPDX-License-Identifier: MIT */
#include "sys_process.h"
#include "sys_errno.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

long sys_ptrace(long request, pid_t tid, uintptr_t addr, uintptr_t data)
{
	return negative_errno(syscall(SYS_ptrace, request, tid, addr, data));
}

/*
 * A stop that nobody waits for is still there to be asked for. Those of system calls and events say
 * what they are in place of the cause of a signal.
 */
static bool has_stopped(pid_t tid, int *status)
{
	siginfo_t info;
	int code;

	if (sys_ptrace(PTRACE_GETSIGINFO, tid, 0, (uintptr_t)&info) < 0)
		return false;
	code = info.si_code == (SIGTRAP | 0x80) ||
			       info.si_code == (PTRACE_EVENT_STOP << 8 | info.si_signo)
		       ? info.si_code
		       : info.si_signo;
	*status = code << 8 | 0x7f;
	return true;
}

int sys_wait_stop(pid_t tid, int *status)
{
	siginfo_t info = {.si_pid = 0};
	long r = syscall(SYS_waitid, P_PID, tid, &info, WSTOPPED | WNOHANG | __WALL, NULL);

	if (r == 0 && info.si_pid == tid) {
		*status = info.si_status << 8 | 0x7f;
		return 1;
	}
	/* A handler of SIGCHLD, on another thread, may have taken it. */
	if (r == 0 && has_stopped(tid, status))
		return 1;
	if (r == 0)
		r = syscall(SYS_waitid, P_PID, tid, &info, WEXITED | WNOWAIT | WNOHANG | __WALL,
			    NULL);
	if (r == -1)
		return -ESRCH;
	/* Stops of what is traced are told whatever is asked for. */
	return info.si_pid == tid && info.si_code != CLD_TRAPPED && info.si_code != CLD_STOPPED
		       ? -ESRCH
		       : 0;
}

int sys_pidfd_of_thread(struct sys_file *file, pid_t tid)
{
	return sys_adopt(file, (int)negative_errno(syscall(SYS_pidfd_open, tid, O_EXCL)));
}

int sys_pidfd_getfd(struct sys_file *file, int pidfd, int fd)
{
	return sys_adopt(file, (int)negative_errno(syscall(SYS_pidfd_getfd, pidfd, fd, 0)));
}

long sys_compare_files(pid_t a, pid_t b)
{
	return negative_errno(syscall(SYS_kcmp, a, b, KCMP_FILES, 0, 0));
}

static int copied(ssize_t n, size_t size)
{
	if (n < 0)
		return -errno;
	return (size_t)n == size ? 0 : -EFAULT;
}

int sys_read_memory(pid_t pid, uint64_t addr, void *buffer, size_t size)
{
	uint64_t local[2] = {(uintptr_t)buffer, size}, remote[2] = {addr, size};

	return copied(syscall(SYS_process_vm_readv, pid, local, 1ul, remote, 1ul, 0ul), size);
}

int sys_write_memory(pid_t pid, uint64_t addr, const void *buffer, size_t size)
{
	uint64_t local[2] = {(uintptr_t)buffer, size}, remote[2] = {addr, size};

	return copied(syscall(SYS_process_vm_writev, pid, local, 1ul, remote, 1ul, 0ul), size);
}

ssize_t sys_sendmsg(int socket, const struct msghdr *message, int flags)
{
	return negative_errno(syscall(SYS_sendmsg, socket, message, flags));
}

ssize_t sys_recvmsg(int socket, struct msghdr *message, int flags)
{
	return negative_errno(syscall(SYS_recvmsg, socket, message, flags));
}

uint64_t sys_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void sys_sleep_ns(long ns)
{
	struct timespec time = {.tv_nsec = ns};

	syscall(SYS_nanosleep, &time, NULL);
}
