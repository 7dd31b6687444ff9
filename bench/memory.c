/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench.h"

#define HUGE ((size_t)2 << 20)

/*
 * Page tables cover 2 MiB each: both sides begin at such a boundary, so that they have equally many
 * of them. A guard at each end keeps neighbouring mappings from being merged.
 */
char *map_memory(size_t len, int flags)
{
	size_t room = len + 2 * HUGE;
	char *base, *start;

	base = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	start = (char *)(((uintptr_t)base + 2 * HUGE - 1) & ~(HUGE - 1));
	munmap(base, (size_t)(start - base) - 4096);
	munmap(start + len + 4096, room - (size_t)(start - base) - len - 4096);
	if (mmap(start, len, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | flags, -1, 0) == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	if (madvise(start, len, MADV_NOHUGEPAGE) && errno != EINVAL)
		die("madvise: %s", strerror(errno));
	return start;
}

void unmap_memory(char *base, size_t len)
{
	munmap(base - 4096, len + 8192);
}

void populate(char *base, size_t len)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	for (size_t i = 0; i < len; i += page)
		*(volatile char *)(base + i) = 1;
}

void picks_init(struct bench *b, struct picks *picks, size_t pages, double pool_percent)
{
	picks->pool = malloc(pages * sizeof(*picks->pool));
	if (!picks->pool)
		die("no memory");
	for (size_t i = 0; i < pages; i++)
		picks->pool[i] = (uint32_t)i;
	picks->pool_size = (size_t)((double)pages * pool_percent / 100);
	picks->count = 0;
	picks->value = 1;
	shuffle(b, picks->pool, pages, pages);
}

void picks_next(struct bench *b, struct picks *picks)
{
	shuffle(b, picks->pool, picks->pool_size, picks->count);
	picks->value++;
}

void picks_write(const struct picks *picks, char *base, size_t page)
{
	for (size_t i = 0; i < picks->count; i++)
		*(volatile unsigned char *)(base + picks->pool[i] * page) = picks->value;
}

void picks_free(struct picks *picks)
{
	free(picks->pool);
}
