/* SPDX-License-Identifier: MIT */
#include "bench.h"
#include "hand.h"
#include "raw.h"

/* raw.c as one of the references that watch a single range. */
static struct {
	struct raw *raw;
	char *base;
	size_t len;
} a;

static const char *open_raw(void)
{
	a.raw = raw_new();
	return NULL;
}

static void close_raw(void)
{
	raw_free(a.raw);
}

static void watch(char *base, size_t len)
{
	a.base = base;
	a.len = len;
	raw_watch(a.raw, base, len);
}

static void unwatch(void)
{
	raw_unwatch(a.raw, a.base, a.len);
}

static void nothing(void)
{
}

static size_t get(bool reset, void **pages)
{
	return raw_get(a.raw, &raw_watched_only, a.base, a.len, reset, pages, a.len / a.raw->page);
}

const struct hand hand_async = {
	.open = open_raw, .close = close_raw, .watch = watch, .unwatch = unwatch,
	.enter = nothing, .leave = nothing, .get = get,
};
