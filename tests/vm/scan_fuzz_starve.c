/* SPDX-License-Identifier: MIT */
#include "scan_fuzz.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

/*
 * Memory that runs out, by the kernel's fault injection: it lets allocations fail of those threads
 * only that ask for it. That is for one call at a time; a page fault should not be what fails.
 */

static _Thread_local int switch_fd = -1;
static _Thread_local pid_t switch_owner;
static _Thread_local bool wanted;
static _Thread_local int last_error;

/* A child has its parent's descriptor, which is about the parent. */
static bool open_switch(void)
{
	if (switch_owner != gettid()) {
		if (switch_fd >= 0)
			close(switch_fd);
		switch_fd = open("/proc/thread-self/make-it-fail", O_WRONLY | O_CLOEXEC);
		switch_owner = gettid();
	}
	return switch_fd >= 0;
}

static bool turn(const char *state)
{
	return write(switch_fd, state, 1) == 1;
}

void fuzz_starve(struct actor *actor, unsigned int one_in)
{
	wanted = fuzz_chance(actor, one_in);
}

int fuzz_ioctl(int fd, unsigned long request, void *arg)
{
	bool scans = request == WWK_PAGEMAP_SCAN, starved = wanted && open_switch() && turn("1");
	int ret, error;

	wanted = false;
	last_error = 0;
	ret = ioctl(fd, request, arg);
	error = errno;
	if (!starved)
		return ret;
	/* Reading what to write is an access to memory as well. */
	while (!turn("0"))
		;
	atomic_fetch_add(&fuzz->starved[scans], 1);
	if (ret < 0 && error == ENOMEM)
		atomic_fetch_add(&fuzz->no_memory[scans], 1);
	/* What it cannot read or write may just not be there while there is no memory. */
	if (ret < 0 && (error == ENOMEM || error == EFAULT))
		last_error = error;
	errno = error;
	return ret;
}

int fuzz_starved(void)
{
	return last_error;
}
