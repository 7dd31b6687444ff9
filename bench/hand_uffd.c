/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench.h"
#include "hand.h"
#include "raw.h"

/*
 * Synchronous write-protection, and which pages are written is what the page table says: bit 57 of
 * a pagemap entry is set for as long as the page is protected. The handler takes the protection
 * away and notes nothing.
 */
#define PROTECTED (UINT64_C(1) << 57)
#define MESSAGES 16

static struct {
	int uffd;
	int pagemap;
	uintptr_t start;
	size_t len;
	size_t page;
	struct sigaction before;
	pthread_t thread;
} u;

/* Nobody waits for a fault that came as a signal: there is nothing to wake. */
static int unprotect(uintptr_t addr, uint64_t mode)
{
	struct uffdio_writeprotect wp = {
		.range = {.start = addr & ~(uint64_t)(u.page - 1), .len = u.page}, .mode = mode,
	};

	return ioctl(u.uffd, UFFDIO_WRITEPROTECT, &wp);
}

static void protect(uintptr_t start, uintptr_t end)
{
	struct uffdio_writeprotect wp = {
		.range = {.start = start, .len = end - start},
		.mode = UFFDIO_WRITEPROTECT_MODE_WP,
	};

	if (ioctl(u.uffd, UFFDIO_WRITEPROTECT, &wp))
		die("UFFDIO_WRITEPROTECT: %s", strerror(errno));
}

static const char *open_with(int flags, uint64_t features)
{
	struct uffdio_api api = {.api = UFFD_API, .features = features};

	u.page = (size_t)sysconf(_SC_PAGESIZE);
	u.uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | flags);
	if (u.uffd < 0)
		return strerror(errno);
	if (ioctl(u.uffd, UFFDIO_API, &api)) {
		close(u.uffd);
		return "the kernel lacks a feature of userfaultfd";
	}
	u.pagemap = hand_pagemap_open();
	return NULL;
}

static void close_both(void)
{
	close(u.uffd);
	close(u.pagemap);
}

static void watch(char *base, size_t len)
{
	struct uffdio_register reg = {
		.range = {.start = (uintptr_t)base, .len = len},
		.mode = UFFDIO_REGISTER_MODE_WP,
	};

	u.start = (uintptr_t)base;
	u.len = len;
	if (ioctl(u.uffd, UFFDIO_REGISTER, &reg))
		die("UFFDIO_REGISTER: %s", strerror(errno));
	protect(u.start, u.start + len);
}

static void unwatch(void)
{
	struct uffdio_range range = {.start = u.start, .len = u.len};

	if (ioctl(u.uffd, UFFDIO_UNREGISTER, &range))
		die("UFFDIO_UNREGISTER: %s", strerror(errno));
}

static size_t get(bool reset, void **pages)
{
	return hand_pagemap_get(u.pagemap, (const char *)u.start, u.len, PROTECTED, 0,
				reset ? protect : NULL, pages);
}

/* A fault elsewhere is left to the default action: the access is repeated and ends the program. */
static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	uintptr_t addr = (uintptr_t)info->si_addr;
	int saved = errno;

	(void)context;
	if (addr - u.start >= u.len || unprotect(addr, UFFDIO_WRITEPROTECT_MODE_DONTWAKE))
		signal(sig, SIG_DFL);
	errno = saved;
}

static const char *open_sigbus(void)
{
	return open_with(WWK_UFFD_USER_MODE_ONLY,
			 UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_SIGBUS);
}

static void enter_sigbus(void)
{
	struct sigaction action = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO};

	sigfillset(&action.sa_mask);
	sigaction(SIGBUS, &action, &u.before);
}

static void leave_sigbus(void)
{
	sigaction(SIGBUS, &u.before, NULL);
}

/* Ends by being cancelled in read(). */
static void *serve(void *arg)
{
	struct uffd_msg messages[MESSAGES];

	(void)arg;
	for (;;) {
		ssize_t n = read(u.uffd, messages, sizeof(messages));

		if (n < 0 && errno != EINTR && errno != EAGAIN)
			die("userfaultfd: %s", strerror(errno));
		for (ssize_t i = 0; i < n / (ssize_t)sizeof(*messages); i++)
			if (unprotect(messages[i].arg.pagefault.address, 0))
				die("UFFDIO_WRITEPROTECT: %s", strerror(errno));
	}
	return NULL;
}

static const char *open_thread(void)
{
	const char *reason = open_with(0, UFFD_FEATURE_PAGEFAULT_FLAG_WP);

	if (!reason && pthread_create(&u.thread, NULL, serve, NULL))
		die("no thread");
	return reason;
}

static void close_thread(void)
{
	pthread_cancel(u.thread);
	pthread_join(u.thread, NULL);
	close_both();
}

static void nothing(void)
{
}

const struct hand hand_sigbus = {
	.open = open_sigbus, .close = close_both, .watch = watch, .unwatch = unwatch,
	.enter = enter_sigbus, .leave = leave_sigbus, .get = get,
};

const struct hand hand_thread = {
	.open = open_thread, .close = close_thread, .watch = watch, .unwatch = unwatch,
	.enter = nothing, .leave = nothing, .get = get,
};
