/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <writewatch/writewatch.h>

#include "backends.h"

#define PAGE ((size_t)4096)
#define HUGE ((size_t)2 << 20)
#define FEW ((size_t)64)

/* Private anonymous memory at @at, or anywhere. */
static char *map(char *at, size_t pages)
{
	char *p = mmap(at, pages * PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | (at ? MAP_FIXED : 0), -1, 0);

	if (p == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	return p;
}

static void write_page(char *memory, size_t n)
{
	__atomic_fetch_add((uint64_t *)(memory + n * PAGE), 1, __ATOMIC_RELAXED);
}

static void read_pages(const char *memory, size_t pages)
{
	for (size_t i = 0; i < pages; i++)
		(void)*(const volatile char *)(memory + i * PAGE);
}

/* Watches memory in which every page has content. */
static int watch_full(struct ww *w, char *memory, size_t pages)
{
	for (size_t i = 0; i < pages; i++)
		write_page(memory, i);
	return ww_watch(w, memory, pages * PAGE, 0);
}

static bool bit(const uint64_t *bits, size_t n)
{
	return bits[n / 64] >> n % 64 & 1;
}

/* Compares what is reported with pages @first, @first + @step, ... having been written. */
static int compare(struct ww *w, char *memory, size_t pages, size_t first, size_t step,
		   struct outcome *o)
{
	size_t words = (pages + 63) / 64;
	uint64_t *bits = calloc(words, sizeof(*bits));
	int r = bits ? ww_get_bitmap(w, memory, pages * PAGE, WW_RESET, bits, &words) : -ENOMEM;

	for (size_t i = 0; r == 0 && i < pages; i++) {
		bool wrote = i >= first && (i - first) % step == 0;

		o->over += bit(bits, i) && !wrote;
		o->lost += !bit(bits, i) && wrote;
	}
	o->pages = pages;
	free(bits);
	return r;
}

static int finish(struct ww *w, char *memory, size_t pages, int r)
{
	ww_unwatch(w, memory, pages * PAGE);
	munmap(memory, pages * PAGE);
	return r;
}

static int left_alone(struct ww *w, struct outcome *o)
{
	char *memory = map(NULL, FEW);
	int r = ww_watch(w, memory, FEW * PAGE, 0);

	if (r == 0)
		r = compare(w, memory, FEW, FEW, 1, o);
	return finish(w, memory, FEW, r);
}

static int first_read(struct ww *w, struct outcome *o)
{
	char *memory = map(NULL, FEW);
	int r = ww_watch(w, memory, FEW * PAGE, 0);

	read_pages(memory, FEW);
	if (r == 0)
		r = compare(w, memory, FEW, FEW, 1, o);
	return finish(w, memory, FEW, r);
}

static int some_written(struct ww *w, struct outcome *o)
{
	char *memory = map(NULL, FEW);
	int r = watch_full(w, memory, FEW);

	for (size_t i = 1; r == 0 && i < FEW; i += 7)
		write_page(memory, i);
	if (r == 0)
		r = compare(w, memory, FEW, 1, 7, o);
	return finish(w, memory, FEW, r);
}

static int huge_page(struct ww *w, struct outcome *o)
{
	const size_t pages = HUGE / PAGE;
	char *memory = map(NULL, 2 * pages), *huge;
	int r;

	huge = (char *)(((uintptr_t)memory + HUGE - 1) & ~(HUGE - 1));
	if (madvise(huge, HUGE, MADV_HUGEPAGE) != 0)
		return finish(w, memory, 2 * pages, -ENOTSUP);
	r = watch_full(w, huge, pages);
	if (r == 0) {
		write_page(huge, 7);
		r = compare(w, huge, pages, 7, pages, o);
	}
	return finish(w, memory, 2 * pages, r);
}

static int neighbour(struct ww *w, struct outcome *o)
{
	char *memory = map(NULL, 2 * FEW);
	int r;

	/* Not a hole: the library would put memory of its own there. */
	mprotect(memory + FEW * PAGE, FEW * PAGE, PROT_NONE);
	r = watch_full(w, memory, FEW);
	if (r == 0)
		r = ww_reset(w, memory, FEW * PAGE);
	map(memory + FEW * PAGE, FEW);
	write_page(memory, FEW + 1);
	if (r == 0)
		r = compare(w, memory, FEW, FEW, 1, o);
	return finish(w, memory, 2 * FEW, r);
}

/* What one range holds must outlive a reset of another. */
static int other_reset(struct ww *w, struct outcome *o)
{
	char *memory = map(NULL, FEW), *other = map(NULL, FEW);
	int r = watch_full(w, memory, FEW);

	if (r == 0)
		r = watch_full(w, other, FEW);
	write_page(memory, 3);
	write_page(other, 3);
	if (r == 0)
		r = ww_reset(w, other, FEW * PAGE);
	if (r == 0)
		r = compare(w, memory, FEW, 3, FEW, o);
	finish(w, other, FEW, 0);
	return finish(w, memory, FEW, r);
}

static int locked(struct ww *w, struct outcome *o)
{
	char *memory = map(NULL, FEW);
	int r = watch_full(w, memory, FEW);

	if (mlock(memory, FEW * PAGE) != 0)
		return finish(w, memory, FEW, -ENOTSUP);
	if (r == 0)
		r = compare(w, memory, FEW, FEW, 1, o);
	return finish(w, memory, FEW, r);
}

static int dropped(struct ww *w, struct outcome *o)
{
	char *memory = map(NULL, FEW);
	int r = watch_full(w, memory, FEW);

	madvise(memory, FEW * PAGE, MADV_DONTNEED);
	if (r == 0)
		r = compare(w, memory, FEW, FEW, 1, o);
	return finish(w, memory, FEW, r);
}

static int forked(struct ww *w, struct outcome *o)
{
	char *memory = map(NULL, FEW);
	int r = watch_full(w, memory, FEW);
	pid_t child = fork();

	if (child == 0)
		_exit(0);
	if (child < 0 || waitpid(child, NULL, 0) != child)
		r = -ECHILD;
	read_pages(memory, FEW);
	if (r == 0)
		r = compare(w, memory, FEW, FEW, 1, o);
	return finish(w, memory, FEW, r);
}

static bool has_swap(void)
{
	FILE *file = fopen("/proc/swaps", "re");
	char line[256];
	int lines = 0;

	while (file && fgets(line, sizeof(line), file))
		lines++;
	if (file)
		fclose(file);
	return lines > 1;
}

static int swapped(struct ww *w, struct outcome *o)
{
	char *memory;
	int r;

	if (!has_swap())
		return -ENOTSUP;
	memory = map(NULL, FEW);
	r = watch_full(w, memory, FEW);
	write_page(memory, 3);
	madvise(memory, FEW * PAGE, MADV_PAGEOUT);
	read_pages(memory, FEW);
	if (r == 0)
		r = compare(w, memory, FEW, 3, FEW, o);
	return finish(w, memory, FEW, r);
}

/* True where each fault wakes a thread, which takes milliseconds on an emulated processor. */
static bool faults_are_slow(struct ww *w)
{
	struct ww_info info = {.size = sizeof(info)};

	return ww_info(w, &info) == 0 && !(info.guarantees & WW_NO_THREAD);
}

/* More separate runs of written pages than a process may have mappings. */
static int many_runs(struct ww *w, struct outcome *o)
{
	FILE *file = fopen("/proc/sys/vm/max_map_count", "re");
	unsigned long limit = 0;
	size_t pages;
	char *memory;
	int r;

	if (!file || fscanf(file, "%lu", &limit) != 1 || limit > 1 << 18)
		limit = 0;
	if (file)
		fclose(file);
	if (!limit || has_swap() || faults_are_slow(w))
		return -ENOTSUP;
	pages = 2 * limit + 8192;
	memory = map(NULL, pages);
	r = ww_watch(w, memory, pages * PAGE, 0);
	for (size_t i = 0; r == 0 && i < pages; i += 2)
		write_page(memory, i);
	if (r == 0)
		r = compare(w, memory, pages, 0, 2, o);
	return finish(w, memory, pages, r);
}

const struct situation situations[] = {
    {"fresh memory, untouched", left_alone},
    {"fresh memory, read", first_read},
    {"some pages of many written", some_written},
    {"one page of a huge page written", huge_page},
    {"a new mapping right behind", neighbour},
    {"another range reset", other_reset},
    {"locked by mlock", locked},
    {"dropped by MADV_DONTNEED", dropped},
    {"fork", forked},
    {"swapped out and read", swapped},
    {"every other page written, past vm.max_map_count", many_runs},
    {NULL, NULL},
};
