/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "hand.h"

#define ENTRIES (HAND_PIECE / sizeof(uint64_t))

static uint64_t entries[ENTRIES];

int hand_pagemap_open(void)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		die("/proc/self/pagemap: %s", strerror(errno));
	return fd;
}

static void read_entries(int fd, uintptr_t page_number, size_t n)
{
	size_t size = n * sizeof(uint64_t);

	if (pread(fd, entries, size, (off_t)(page_number * sizeof(uint64_t))) != (ssize_t)size)
		die("/proc/self/pagemap: cannot be read");
}

/* What is to be reset is handed on as runs of pages, which do not end where a piece does. */
size_t hand_pagemap_get(int fd, const char *base, size_t len, uint64_t bit, uint64_t value,
			void (*reset)(uintptr_t start, uintptr_t end), void **pages)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), total = len / page, count = 0, n;
	uintptr_t addr = (uintptr_t)base, run = addr, run_end = addr;

	for (size_t done = 0; done < total; done += n) {
		n = total - done < ENTRIES ? total - done : ENTRIES;
		read_entries(fd, addr / page, n);
		for (size_t i = 0; i < n; i++, addr += page) {
			if ((entries[i] & bit) != value)
				continue;
			pages[count++] = (void *)addr;
			if (addr != run_end) {
				if (reset && run != run_end)
					reset(run, run_end);
				run = addr;
			}
			run_end = addr + page;
		}
	}
	if (reset && run != run_end)
		reset(run, run_end);
	return count;
}

void hand_pagemap_read(int fd, const char *base, size_t len)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), total = len / page, n;

	for (size_t done = 0; done < total; done += n) {
		n = total - done < ENTRIES ? total - done : ENTRIES;
		read_entries(fd, (uintptr_t)base / page + done, n);
	}
}
