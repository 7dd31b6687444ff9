/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "hand.h"

/*
 * Bit 55 of a pagemap entry. A reset is one of the whole process: of the two sides of a row only
 * one may hold written pages at a time.
 */
#define SOFT_DIRTY (UINT64_C(1) << 55)

static struct {
	int pagemap;
	int clear_refs;
	char *base;
	size_t len;
} s;

static const char *open_both(void)
{
	s.clear_refs = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
	if (s.clear_refs < 0)
		return strerror(errno);
	s.pagemap = hand_pagemap_open();
	return NULL;
}

static void close_both(void)
{
	close(s.clear_refs);
	close(s.pagemap);
}

static void clear(void)
{
	if (write(s.clear_refs, "4", 1) != 1)
		die("/proc/self/clear_refs: %s", strerror(errno));
}

static void watch(char *base, size_t len)
{
	s.base = base;
	s.len = len;
	clear();
}

static void nothing(void)
{
}

static size_t get(bool reset, void **pages)
{
	size_t count = hand_pagemap_get(s.pagemap, s.base, s.len, SOFT_DIRTY, SOFT_DIRTY, NULL,
					pages);

	if (reset && count)
		clear();
	return count;
}

const struct hand hand_soft_dirty = {
	.open = open_both, .close = close_both, .watch = watch, .unwatch = nothing,
	.enter = nothing, .leave = nothing, .get = get,
};
