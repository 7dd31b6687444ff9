/* SPDX-License-Identifier: MIT */
#include "calls.h"

#include <string.h>

/* In the order of tests/support/backends.c. */
enum {
	ON_SCAN = 1,
	ON_THREAD = 2,
	ON_SIGBUS = 4,
	ON_MPROTECT = 8,
	ON_SOFT_DIRTY = 16,
	/* Those that register memory with a userfaultfd, and whose faults somebody resolves. */
	ON_SYNC = ON_THREAD | ON_SIGBUS,
	/* With or without. */
	ON_UFFD = ON_SCAN | ON_SYNC,
	/* Those that handle a signal. */
	ON_SIGNAL = ON_SIGBUS | ON_MPROTECT,
	/* Those whose kernel keeps bits that huge pages and merged pages would blur. */
	ON_BITS = ON_SCAN | ON_SOFT_DIRTY,
	ON_ALL = ON_UFFD | ON_MPROTECT | ON_SOFT_DIRTY,
};

/*
 * What a backend is not named for it never makes: it has no userfaultfd, handler or thread, or asks
 * the kernel in another way.
 */
const struct reach reaches[] = {
	{USUAL, CALL_OPEN, .by = ON_ALL},
	{USUAL, CALL_USERFAULTFD, .by = ON_UFFD},
	{USUAL, CALL_PIPE, .by = ON_THREAD},
	/* Of shared memory the handler looks whether the page is protected. */
	{USUAL, CALL_PREAD, .by = ON_ALL, .in_handler = ON_SIGBUS},
	/* The thread is told to end, and what nobody came to any more is done for it. */
	{USUAL, CALL_READ, .by = ON_THREAD, .in_handler = ON_THREAD},
	{USUAL, CALL_WRITE, .by = ON_THREAD | ON_SOFT_DIRTY},
	/* To what may not be written to. */
	{USUAL, CALL_PWRITE, .by = ON_MPROTECT},
	{USUAL, CALL_POLL, .in_handler = ON_THREAD},
	{USUAL, CALL_MMAP, .by = ON_ALL},
	{USUAL, CALL_MUNMAP, .by = ON_ALL},
	/* ww_protect() makes it on all. */
	{USUAL, CALL_MPROTECT, .by = ON_ALL, .in_handler = ON_MPROTECT},
	/* ww_protect() asks by it which shared memory may be written to. */
	{USUAL, CALL_MREMAP, .by = ON_SYNC | ON_MPROTECT},
	{USUAL, CALL_SIGACTION, .by = ON_SIGNAL},
	{USUAL, CALL_THREAD_START, .by = ON_THREAD},
	/* One kernel's fault cannot be seen by trying. */
	{USUAL, CALL_KERNEL_RELEASE, .by = ON_SCAN},
	{USUAL, CALL_MALLOC, .by = ON_ALL},
	{USUAL, CALL_UFFD_API, .by = ON_UFFD},
	{USUAL, CALL_UFFD_REGISTER, .by = ON_UFFD},
	{USUAL, CALL_UFFD_UNREGISTER, .by = ON_UFFD},
	{USUAL, CALL_UFFD_PROTECT, .by = ON_UFFD, .in_handler = ON_SYNC},
	{USUAL, CALL_SCAN, .by = ON_SCAN},
	{USUAL, CALL_QUERY_MAP, .by = ON_ALL},
	{USUAL, CALL_WIPEONFORK, .by = ON_ALL},
	{USUAL, CALL_DONTNEED, .by = ON_ALL},
	{USUAL, CALL_DONTNEED_LOCKED, .by = ON_ALL},
	/* Of shared memory, which soft-dirty refuses. */
	{USUAL, CALL_REMOVE, .by = ON_ALL & ~ON_SOFT_DIRTY},
	/* Before holes are armed, where the kernel reports them; and where it does not. */
	{USUAL, CALL_UFFD_ZEROPAGE, .perhaps = ON_SCAN},
	{USUAL, CALL_POPULATE_READ, .perhaps = ON_SCAN},
	{USUAL, CALL_POPULATE_WRITE, .by = ON_SCAN | ON_MPROTECT},
	/* By what a fork is seen by. */
	{USUAL, CALL_NOHUGEPAGE, .by = ON_BITS | ON_SYNC},
	{USUAL, CALL_UNMERGEABLE, .by = ON_BITS},
	{USUAL, CALL_COLD, .by = ON_SOFT_DIRTY},
	{NO_USERFAULTFD_CALL, CALL_OPEN, .by = ON_ALL},
	{NO_USERFAULTFD_CALL, CALL_ADOPT, .by = ON_UFFD},
	{NO_USERFAULTFD_CALL, CALL_UFFD_NEW, .by = ON_UFFD},
	{NO_USERFAULTFD_CALL, CALL_UFFD_API, .by = ON_UFFD},
	{NO_QUERY_MAP, CALL_PREAD, .by = ON_ALL, .in_handler = ON_SIGBUS},
	{NO_MARKERS, CALL_POPULATE_READ, .by = ON_SYNC},
	{NO_MARKERS, CALL_NOHUGEPAGE, .by = ON_SYNC},
	{NO_MARKERS, CALL_MPROTECT, .by = ON_SYNC},
	{NO_MARKERS, CALL_UFFD_PROTECT, .by = ON_SYNC, .in_handler = ON_SYNC},
	/* Of what may not be read. */
	{NO_MARKERS, CALL_UFFD_ZEROPAGE, .by = ON_SYNC},
	{NO_ZERO_PAGE, CALL_UFFD_COPY, .by = ON_SYNC},
	{STALE_BITS, CALL_UFFD_ASK, .by = ON_SYNC},
	{EVERY_FAULT_TWICE, CALL_UFFD_WAKE, .in_handler = ON_THREAD},
};

const size_t reach_count = sizeof(reaches) / sizeof(*reaches);

const struct reach *reach_find(enum setting setting, enum call_id call)
{
	for (size_t i = 0; i < reach_count; i++)
		if (reaches[i].setting == setting && reaches[i].call == call)
			return &reaches[i];
	return NULL;
}
