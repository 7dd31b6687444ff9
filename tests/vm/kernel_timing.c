/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <x86intrin.h>

/*
 * What the kernel does to memory that nobody watches, in ticks of the processor's counter. Under
 * qemu -icount shift=0 a tick is an instruction, so the numbers of two kernels can be compared; the
 * least of several runs is one that no interrupt got into.
 */

#define PAGE 4096UL
#define HUGE_PAGE (2UL << 20)
#define PAGES 512UL
#define ROUNDS 41
#define MANY_ROUNDS 201

static int failures;

static void *map(size_t len, int flags, int fd)
{
	void *mem = mmap(NULL, len, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (mem == MAP_FAILED) {
		fprintf(stderr, "kernel_timing: mmap: %s\n", strerror(errno));
		exit(1);
	}
	return mem;
}

/* Without huge pages, unless the test is about them. */
static char *map_private(size_t len)
{
	char *mem = map(len, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	madvise(mem, len, MADV_NOHUGEPAGE);
	return mem;
}

static uint64_t touch(char *mem, size_t step, int write)
{
	uint64_t began = __rdtsc();

	for (size_t i = 0; i < PAGES; i++) {
		volatile char *byte = mem + i * step;

		if (write)
			*byte = 1;
		else
			(void)*byte;
	}
	return __rdtsc() - began;
}

static uint64_t first_write(void)
{
	char *mem = map_private(PAGES * PAGE);
	uint64_t ticks = touch(mem, PAGE, 1);

	munmap(mem, PAGES * PAGE);
	return ticks;
}

static uint64_t first_read(void)
{
	char *mem = map_private(PAGES * PAGE);
	uint64_t ticks = touch(mem, PAGE, 0);

	munmap(mem, PAGES * PAGE);
	return ticks;
}

static uint64_t write_after_read(void)
{
	char *mem = map_private(PAGES * PAGE);
	uint64_t ticks;

	touch(mem, PAGE, 0);
	ticks = touch(mem, PAGE, 1);
	munmap(mem, PAGES * PAGE);
	return ticks;
}

/* Copies each page: the parent has them, too. */
static uint64_t write_after_fork(void)
{
	char *mem = map_private(PAGES * PAGE);
	uint64_t *ticks = map(PAGE, MAP_SHARED | MAP_ANONYMOUS, -1), result;
	pid_t child;

	touch(mem, PAGE, 1);
	child = fork();
	if (child == 0) {
		*ticks = touch(mem, PAGE, 1);
		_exit(0);
	}
	waitpid(child, NULL, 0);
	result = *ticks;
	munmap(ticks, PAGE);
	munmap(mem, PAGES * PAGE);
	return result;
}

static uint64_t file_touch(int flags, int write)
{
	int fd = memfd_create("timing", MFD_CLOEXEC);
	uint64_t ticks;
	char *mem;

	if (fd < 0 || ftruncate(fd, PAGES * PAGE) != 0)
		exit(1);
	mem = map(PAGES * PAGE, flags, fd);
	madvise(mem, PAGES * PAGE, MADV_NOHUGEPAGE);
	touch(mem, PAGE, 0);
	munmap(mem, PAGES * PAGE);
	mem = map(PAGES * PAGE, flags, fd);
	madvise(mem, PAGES * PAGE, MADV_RANDOM);
	ticks = touch(mem, PAGE, write);
	munmap(mem, PAGES * PAGE);
	close(fd);
	return ticks;
}

static uint64_t shared_read(void)
{
	return file_touch(MAP_SHARED, 0);
}

static uint64_t shared_write(void)
{
	return file_touch(MAP_SHARED, 1);
}

static uint64_t private_file_write(void)
{
	return file_touch(MAP_PRIVATE, 1);
}

static uint64_t huge_touch(int flags)
{
	size_t len = 4 * HUGE_PAGE;
	char *mem = mmap(NULL, len, PROT_READ | PROT_WRITE, flags, -1, 0), *from;
	uint64_t ticks;

	if (mem == MAP_FAILED)
		return 0;
	from = (char *)(((uintptr_t)mem + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1));
	if (!(flags & MAP_HUGETLB))
		madvise(mem, len, MADV_HUGEPAGE);
	ticks = __rdtsc();
	for (int i = 0; i < 3; i++)
		from[i * HUGE_PAGE] = 1;
	ticks = __rdtsc() - ticks;
	munmap(mem, len);
	return ticks;
}

static uint64_t thp_write(void)
{
	return huge_touch(MAP_PRIVATE | MAP_ANONYMOUS);
}

static uint64_t hugetlb_write(void)
{
	return huge_touch(MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB);
}

static uint64_t protect(size_t len)
{
	char *mem = map_private(PAGES * PAGE);
	uint64_t ticks;

	touch(mem, PAGE, 1);
	ticks = __rdtsc();
	for (size_t i = 0; i < PAGES * PAGE / len; i++)
		mprotect(mem + i * len, len, PROT_READ);
	for (size_t i = 0; i < PAGES * PAGE / len; i++)
		mprotect(mem + i * len, len, PROT_READ | PROT_WRITE);
	ticks = __rdtsc() - ticks;
	munmap(mem, PAGES * PAGE);
	return ticks;
}

static uint64_t protect_one(void)
{
	return protect(PAGE);
}

static uint64_t protect_all(void)
{
	return protect(PAGES * PAGE);
}

static uint64_t fork_only(void)
{
	char *mem = map_private(PAGES * PAGE);
	uint64_t ticks;
	pid_t child;

	touch(mem, PAGE, 1);
	ticks = __rdtsc();
	child = fork();
	if (child == 0)
		_exit(0);
	ticks = __rdtsc() - ticks;
	waitpid(child, NULL, 0);
	munmap(mem, PAGES * PAGE);
	return ticks;
}

static uint64_t fork_exit_wait(void)
{
	char *mem = map_private(PAGES * PAGE);
	uint64_t ticks;
	pid_t child;

	touch(mem, PAGE, 1);
	ticks = __rdtsc();
	child = fork();
	if (child == 0)
		_exit(0);
	waitpid(child, NULL, 0);
	ticks = __rdtsc() - ticks;
	munmap(mem, PAGES * PAGE);
	return ticks;
}

static uint64_t unmap(void)
{
	char *mem = map_private(PAGES * PAGE);
	uint64_t ticks;

	touch(mem, PAGE, 1);
	ticks = __rdtsc();
	munmap(mem, PAGES * PAGE);
	return __rdtsc() - ticks;
}

static uint64_t dontneed(void)
{
	char *mem = map_private(PAGES * PAGE);
	uint64_t ticks;

	touch(mem, PAGE, 1);
	ticks = __rdtsc();
	madvise(mem, PAGES * PAGE, MADV_DONTNEED);
	ticks = __rdtsc() - ticks;
	munmap(mem, PAGES * PAGE);
	return ticks;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Prints the least and the median. */
static void measure_often(const char *name, uint64_t (*once)(void), unsigned per, int rounds)
{
	uint64_t ticks[MANY_ROUNDS];

	once();
	for (int i = 0; i < rounds; i++)
		ticks[i] = once();
	qsort(ticks, rounds, sizeof(ticks[0]), by_value);
	if (ticks[0] == 0) {
		fprintf(stderr, "kernel_timing: %s did not run\n", name);
		failures++;
	}
	printf("%s|%.1f|%.1f\n", name, (double)ticks[0] / per,
	       (double)ticks[rounds / 2] / per);
	fflush(stdout);
}

static void measure(const char *name, uint64_t (*once)(void), unsigned per)
{
	measure_often(name, once, per, ROUNDS);
}

int main(void)
{
	measure("fault: first write", first_write, PAGES);
	measure("fault: first read", first_read, PAGES);
	measure("fault: write after read", write_after_read, PAGES);
	measure("fault: copy after fork", write_after_fork, PAGES);
	measure("fault: shared memory, read", shared_read, PAGES);
	measure("fault: shared memory, write", shared_write, PAGES);
	measure("fault: private file, write", private_file_write, PAGES);
	measure("fault: transparent huge page", thp_write, 3);
	measure("fault: hugetlb page", hugetlb_write, 3);
	measure("mprotect of a page", protect_one, 2 * PAGES);
	measure("mprotect of 512 pages", protect_all, 2);
	/* What a process takes differs from one to the next. */
	measure_often("fork with 512 pages", fork_only, 1, MANY_ROUNDS);
	measure_often("fork, exit and wait", fork_exit_wait, 1, MANY_ROUNDS);
	measure("munmap of 512 pages", unmap, 1);
	measure("MADV_DONTNEED of 512 pages", dontneed, 1);
	return failures != 0;
}
