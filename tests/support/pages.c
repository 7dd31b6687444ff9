/* SPDX-License-Identifier: MIT */
#include "pages.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

size_t page_bytes(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static void *checked(void *memory)
{
	if (memory == MAP_FAILED)
		cr_fatal("mmap: %s", strerror(errno));
	return memory;
}

void *map_private(size_t bytes)
{
	return checked(mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

void *map_reserve(size_t bytes, size_t align)
{
	char *raw = checked(mmap(NULL, bytes + align, PROT_NONE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
	size_t front = (size_t)(-(uintptr_t)raw & (align - 1));

	if (front != 0)
		unmap(raw, front);
	if (front != align)
		unmap(raw + front + bytes, align - front);
	return raw + front;
}

int memfd_of(size_t bytes)
{
	int fd = memfd_create("writewatch-test", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, (off_t)bytes) != 0)
		cr_fatal("memfd: %s", strerror(errno));
	return fd;
}

void *map_fd(void *at, size_t bytes, int flags, int fd, size_t offset)
{
	return checked(mmap(at, bytes, PROT_READ | PROT_WRITE, flags | (at ? MAP_FIXED : 0), fd,
			    (off_t)offset));
}

void unmap(void *at, size_t bytes)
{
	if (munmap(at, bytes) != 0)
		cr_fatal("munmap: %s", strerror(errno));
}

bool has_zero_page(void)
{
	const uint64_t page_of_its_own = UINT64_C(1) << 63 | UINT64_C(1) << 56;
	size_t page = page_bytes();
	volatile char *p = map_private(page);
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t word = 0;

	(void)*p;
	if (fd < 0 || pread(fd, &word, 8, (off_t)((uintptr_t)p / page * 8)) != 8)
		cr_fatal("pagemap: %s", strerror(errno));
	close(fd);
	unmap((void *)p, page);
	return (word & page_of_its_own) != page_of_its_own;
}
