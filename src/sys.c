/* SPDX-License-Identifier: MIT */
#include "sys.h"
#include "sys_errno.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

static void raw_close(int fd)
{
	syscall(SYS_close, fd);
}

/* Takes over fd: moves it above the standard descriptors and remembers what it is. */
int sys_adopt(struct sys_file *file, int fd)
{
	struct stat st;

	*file = SYS_NO_FILE;
	if (fd < 0)
		return fd;
	if (fd <= STDERR_FILENO) {
		long moved = negative_errno(syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 3));

		raw_close(fd);
		if (moved < 0)
			return (int)moved;
		fd = (int)moved;
	}
	if (fstat(fd, &st) == -1) {
		int error = -errno;

		raw_close(fd);
		return error;
	}
	*file = (struct sys_file){.fd = fd, .dev = st.st_dev, .ino = st.st_ino};
	return 0;
}

int sys_open(struct sys_file *file, const char *path, int flags)
{
	return sys_adopt(file, (int)negative_errno(syscall(SYS_openat, AT_FDCWD, path,
							   flags | O_CLOEXEC, 0)));
}

int sys_userfaultfd(struct sys_file *file, int flags)
{
	return sys_adopt(file, (int)negative_errno(syscall(SYS_userfaultfd,
							   flags | O_CLOEXEC | O_NONBLOCK)));
}

int sys_pidfd_open(struct sys_file *file, pid_t pid)
{
	return sys_adopt(file, (int)negative_errno(syscall(SYS_pidfd_open, pid, 0)));
}

int sys_dup(struct sys_file *file, int fd)
{
	return sys_adopt(file, (int)negative_errno(syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 3)));
}

bool sys_is_open(const struct sys_file *file)
{
	struct stat st;

	if (file->fd < 0)
		return false;
	/* Where a filter of system calls denies to look, it is taken for granted. */
	if (fstat(file->fd, &st) == -1)
		return errno != EBADF;
	return st.st_dev == file->dev && st.st_ino == file->ino;
}

void sys_identify(struct sys_file *file, const char *path)
{
	struct stat st;

	*file = SYS_NO_FILE;
	if (stat(path, &st) == -1)
		return;
	file->dev = st.st_dev;
	file->ino = st.st_ino;
}

/* Leaves a descriptor alone that the host closed and reused for a file of its own. */
void sys_close(struct sys_file *file)
{
	if (sys_is_open(file))
		raw_close(file->fd);
	*file = SYS_NO_FILE;
}

long sys_ioctl(int fd, unsigned long request, void *arg)
{
	return negative_errno(syscall(SYS_ioctl, fd, request, arg));
}

ssize_t sys_pread(int fd, void *buffer, size_t size, off_t offset)
{
	return negative_errno(syscall(SYS_pread64, fd, buffer, size, offset));
}

ssize_t sys_read(int fd, void *buffer, size_t size)
{
	return negative_errno(syscall(SYS_read, fd, buffer, size));
}

/* What the write to a pipe without reader sends, it sends to this thread. */
ssize_t sys_write(int fd, const void *buffer, size_t size)
{
	const struct timespec now = {0, 0};
	sigset_t pending, pipe, old;
	ssize_t r;

	sys_block_signals(&old);
	sigemptyset(&pending);
	sigpending(&pending);
	r = negative_errno(syscall(SYS_write, fd, buffer, size));
	if (r == -EPIPE && sigismember(&pending, SIGPIPE) == 0) {
		sigemptyset(&pipe);
		sigaddset(&pipe, SIGPIPE);
		syscall(SYS_rt_sigtimedwait, &pipe, NULL, &now, sizeof(uint64_t));
	}
	sys_restore_signals(&old);
	return r;
}

ssize_t sys_pwrite(int fd, const void *buffer, size_t size, off_t offset)
{
	return negative_errno(syscall(SYS_pwrite64, fd, buffer, size, offset));
}

int sys_pipe(struct sys_file *readable, struct sys_file *writable)
{
	int fds[2], r = (int)negative_errno(syscall(SYS_pipe2, fds, O_CLOEXEC | O_NONBLOCK));

	*readable = *writable = SYS_NO_FILE;
	if (r < 0)
		return r;
	r = sys_adopt(readable, fds[0]);
	if (r < 0)
		raw_close(fds[1]);
	else
		r = sys_adopt(writable, fds[1]);
	if (r < 0)
		sys_close(readable);
	return r;
}

int sys_poll(int a, int b, int timeout_ms)
{
	struct pollfd fds[] = {{.fd = a, .events = POLLIN}, {.fd = b, .events = POLLIN}};
	struct timespec timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000000L};

	return (int)negative_errno(syscall(SYS_ppoll, fds, 2, &timeout, NULL, 0));
}

void sys_yield(void)
{
	syscall(SYS_sched_yield);
}

void sys_sleep_ms(int ms)
{
	struct timespec time = {ms / 1000, ms % 1000 * 1000000L};

	syscall(SYS_nanosleep, &time, NULL);
}

int sys_sigaction(int number, const struct sigaction *action, struct sigaction *old)
{
	return (int)negative_errno(sigaction(number, action, old));
}

void sys_block_signals(sigset_t *old)
{
	const uint64_t all = ~UINT64_C(0);

	sigemptyset(old);
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, old, sizeof(all));
}

void sys_restore_signals(const sigset_t *old)
{
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, old, NULL, sizeof(uint64_t));
}

/* A directory has two links, and one more for each directory in it: here, for each thread. */
bool sys_is_alone(void)
{
	struct stat st;

	return stat("/proc/self/task", &st) == 0 && st.st_nlink == 3;
}

int sys_thread_start(pthread_t *thread, void *stack, size_t size, void *(*run)(void *),
		     void *arg)
{
	pthread_attr_t attr;
	sigset_t all, old;
	int error;

	sigfillset(&all);
	/* The C library allocates, and a context may watch the heap by these. */
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGBUS);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_attr_init(&attr);
	error = pthread_attr_setstack(&attr, stack, size);
	if (!error)
		error = pthread_create(thread, &attr, run, arg);
	if (error == EINVAL)
		error = pthread_create(thread, NULL, run, arg);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -error;
}

/* But not those by which setuid(2) reaches every thread, and waits for it. */
void sys_thread_begin(void)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
}

void sys_thread_join(pthread_t thread)
{
	int before;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
	pthread_join(thread, NULL);
	pthread_setcancelstate(before, &before);
}

void sys_futex_wait(uint32_t *word, uint32_t value)
{
	syscall(SYS_futex, word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

void sys_futex_wake(uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 0);
}

int sys_kernel_release(char *release, size_t size)
{
	struct utsname names;

	if (uname(&names) == -1)
		return -errno;
	snprintf(release, size, "%s", names.release);
	return 0;
}

size_t sys_page_size(void)
{
	static size_t size;
	size_t known = __atomic_load_n(&size, __ATOMIC_RELAXED);

	if (!known) {
		known = (size_t)sysconf(_SC_PAGESIZE);
		__atomic_store_n(&size, known, __ATOMIC_RELAXED);
	}
	return known;
}
