/* SPDX-License-Identifier: MIT */
/*
 * writer MODE: writes known pages of 256, of a memfd named "known" and of a private mapping, whose
 * addresses it prints. SIGUSR1 starts it.
 *   rate   every 4th page of the memfd, again and again, until SIGTERM
 *   once   page after page, every 3rd one of both, 5 ms apart, then "done", until SIGTERM
 *   exit   as once, without waiting for anything; exits with status 7
 *   fork   as rate, in a child; the parent waits for it
 *   jit    every 4th page of the private mapping, again and again, read-only in between
 *   own    nothing; watches the private mapping by a userfaultfd of its own
 *   exec   calls execve(2) 300 times, one after the other, without waiting for anything
 */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGES 256

/* It is attached to at any moment, also where LeakSanitizer would attach to it. */
int __lsan_is_turned_off(void);

int __lsan_is_turned_off(void)
{
	return 1;
}

static const struct timespec five_ms = {0, 5000000};

static volatile unsigned char *map_shared(int fd, size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		exit(1);
	return p;
}

/* Apart from what the C library, or a checker, maps: the kernel would make one mapping of both. */
static volatile unsigned char *map_private(size_t size, size_t page)
{
	char *p = mmap(NULL, size + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED || mprotect(p + page, size, PROT_READ | PROT_WRITE) != 0)
		exit(1);
	return (volatile unsigned char *)p + page;
}

static void wait_for(int number)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, number);
	sigwait(&set, &number);
}

static void write_rate(volatile unsigned char *shared, size_t page)
{
	for (unsigned char round = 1;; round++) {
		for (size_t i = 0; i < PAGES; i += 4)
			shared[i * page] = round;
		nanosleep(&five_ms, NULL);
	}
}

static void write_jit(volatile unsigned char *private, size_t page)
{
	void *memory = (void *)(uintptr_t) private;

	for (unsigned char round = 1;; round++) {
		mprotect(memory, PAGES * page, PROT_READ | PROT_WRITE);
		for (size_t i = 0; i < PAGES; i += 4)
		private[i * page] = round;
		mprotect(memory, PAGES * page, PROT_READ);
		nanosleep(&five_ms, NULL);
	}
}

static void watch_itself(volatile unsigned char *private, size_t page)
{
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register range = {
	    .range = {(uintptr_t) private, PAGES * page},
	    .mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | 1 /* UFFD_USER_MODE_ONLY */);

	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) < 0 || ioctl(fd, UFFDIO_REGISTER, &range) < 0)
		exit(1);
}

static void write_once(volatile unsigned char *shared, volatile unsigned char *private, size_t page)
{
	for (size_t i = 0; i < PAGES; i += 3) {
		shared[i * page] = 1;
		private[i * page] = 1;
		nanosleep(&five_ms, NULL);
	}
}

/* Each program does something first, so that it is met as often as one that is about to change. */
static int exec_again(char **argv, int left)
{
	char count[16];
	char *args[] = {argv[0], argv[1], count, NULL};

	if (left == 0)
		return 7;
	snprintf(count, sizeof(count), "%d", left - 1);
	nanosleep(&(struct timespec){0, 1000000}, NULL);
	execv("/proc/self/exe", args);
	return 1;
}

int main(int argc, char **argv)
{
	const char *mode = argc >= 2 ? argv[1] : "";
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	int fd = memfd_create("known", MFD_CLOEXEC);
	volatile unsigned char *shared, *private;
	sigset_t set;
	pid_t child = 0;

	if (strcmp(mode, "exec") == 0)
		return exec_again(argv, argc == 3 ? atoi(argv[2]) : 300);
	if (fd < 0 || ftruncate(fd, (off_t)(PAGES * page)) < 0)
		return 1;
	shared = map_shared(fd, PAGES * page);
	private = map_private(PAGES * page, page);
	if (strcmp(mode, "own") == 0)
		watch_itself(private, page);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	printf("%lx %lx\n", (unsigned long)shared, (unsigned long)private);
	fflush(stdout);
	if (strcmp(mode, "exit") != 0)
		wait_for(SIGUSR1);
	if (strcmp(mode, "fork") == 0)
		child = fork();
	if (child > 0) {
		waitpid(child, NULL, 0);
		return 0;
	}
	/* Nothing is left of it when the test is killed. */
	if (strcmp(mode, "fork") == 0)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (strcmp(mode, "rate") == 0 || strcmp(mode, "fork") == 0)
		write_rate(shared, page);
	if (strcmp(mode, "jit") == 0)
		write_jit(private, page);
	write_once(shared, private, page);
	if (strcmp(mode, "exit") == 0) {
		/* What is written last, nobody sees. */
		nanosleep(&(struct timespec){0, 500000000}, NULL);
		return 7;
	}
	puts("done");
	fflush(stdout);
	pause();
	return 0;
}
