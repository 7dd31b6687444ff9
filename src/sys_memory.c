/* SPDX-License-Identifier: MIT */
#include "sys.h"
#include "sys_errno.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* System calls about memory, and questions about it. */

/* What is short may be called by either name: locked memory, the count of mappings. */
static int memory_error(int result)
{
	return result == -EAGAIN ? -ENOMEM : result;
}

int sys_mmap(void **out, size_t len, int prot, int flags)
{
	void *p = mmap(NULL, len, prot, flags, -1, 0);

	if (p == MAP_FAILED)
		return memory_error(-errno);
	*out = p;
	return 0;
}

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

int sys_mmap_at(uintptr_t addr, size_t len, int prot, int flags)
{
	void *p = mmap((void *)addr, len, prot, flags | MAP_FIXED_NOREPLACE, -1, 0);

	if (p == MAP_FAILED)
		return memory_error(-errno);
	if ((uintptr_t)p == addr)
		return 0;
	/* Kernels before 4.17 take the address as a hint. */
	munmap(p, len);
	return -EEXIST;
}

int sys_munmap(void *addr, size_t len)
{
	return (int)negative_errno(munmap(addr, len));
}

int sys_mlock(uintptr_t addr, size_t len)
{
	return (int)negative_errno(syscall(SYS_mlock, addr, len));
}

int sys_madvise(uintptr_t addr, size_t len, int advice)
{
	return memory_error((int)negative_errno(madvise((void *)addr, len, advice)));
}

int sys_mprotect(uintptr_t addr, size_t len, int prot)
{
	return (int)negative_errno(mprotect((void *)addr, len, prot));
}

int sys_mremap(uintptr_t addr, size_t len, void **out)
{
	void *p = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return memory_error(-errno);
	if (mremap((void *)addr, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, p) == MAP_FAILED) {
		int error = -errno;

		munmap(p, len);
		return memory_error(error);
	}
	*out = p;
	return 0;
}

int sys_mremap_copy(uintptr_t addr, size_t len, void **out)
{
	void *p = mremap((void *)addr, 0, len, MREMAP_MAYMOVE);

	if (p == MAP_FAILED)
		return memory_error(-errno);
	*out = p;
	return 0;
}

/* That is all that MS_ASYNC does. */
bool sys_is_whole(uintptr_t addr, size_t len)
{
	return syscall(SYS_msync, addr, len, MS_ASYNC) == 0 || errno != ENOMEM;
}

bool sys_is_mapped(uintptr_t page)
{
	unsigned char there;

	return syscall(SYS_mincore, page, 1ul, &there) == 0 || errno != ENOMEM;
}

/* A set of signals is read before what is to be done with it is refused. */
bool sys_can_read(uintptr_t addr)
{
	syscall(SYS_rt_sigprocmask, -1, addr & ~(uintptr_t)7, NULL, sizeof(uint64_t));
	return errno != EFAULT;
}

static bool resize_is_invalid(uintptr_t page, size_t old_size, size_t new_size)
{
	return syscall(SYS_mremap, page, old_size, new_size, 0, 0) == -1 && errno == EINVAL;
}

/*
 * Neither call changes anything, whatever is there. A page is made as large as it is, which of a
 * huge page has to be all: and one that begins at an even page goes on at the next. Linux before
 * 5.16 allows that, but refuses to make huge pages larger before it looks whether as much is mapped
 * at all; later kernels may refuse such sizes of any memory.
 */
bool sys_is_hugetlb(uintptr_t page)
{
	const size_t size = sys_page_size(), much = SIZE_MAX / 4 * 3, more = SIZE_MAX / 8 * 7;
	const uintptr_t own = (uintptr_t)__builtin_frame_address(0) & -size;

	return resize_is_invalid(page | size, size, size) ||
	       (resize_is_invalid(page, much, more) && !resize_is_invalid(own, much, more));
}

/* A sanitizer's own memory faults, too. */
__attribute__((no_sanitize("thread"), no_sanitize("address")))
bool sys_write_faults(volatile char *byte)
{
	struct rusage before, after;
	bool known = syscall(SYS_getrusage, RUSAGE_THREAD, &before) == 0;

	*byte = 1;
	known &= syscall(SYS_getrusage, RUSAGE_THREAD, &after) == 0;
	return !known || before.ru_minflt != after.ru_minflt || before.ru_majflt != after.ru_majflt;
}
