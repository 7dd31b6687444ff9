/* SPDX-License-Identifier: MIT */
/* What was done meanwhile. Where it is next to nothing, that no store was lost tells nothing. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

#include "backends.h"
#include "stress.h"

/* Of each variation; emulated processors take some seconds for it. */
static const struct {
	const char *what;
	size_t offset;
	uint64_t least;
} minima[] = {
	{"stores", offsetof(struct stress, stores), 500},
	{"stores by the kernel", offsetof(struct stress, kernel_stores), 8},
	{"signals", offsetof(struct stress, signals), 10},
	{"gets", offsetof(struct stress, gets), 20},
	{"pages reported", offsetof(struct stress, reports), 250},
	{"forks", offsetof(struct stress, forks), 4},
	{"neighbours", offsetof(struct stress, neighbours), 8},
};

static uint64_t missing(const struct stress *s, size_t i)
{
	uint64_t done = *(const uint64_t *)((const char *)s + minima[i].offset);

	if (minima[i].offset == offsetof(struct stress, forks) && !can_fork())
		return 0;
	return done < minima[i].least ? minima[i].least - done : 0;
}

bool done_enough(const struct stress *s)
{
	for (size_t i = 0; i < sizeof(minima) / sizeof(*minima); i++)
		if (missing(s, i))
			return false;
	return true;
}

void done_check(const struct stress *s)
{
	for (size_t i = 0; i < sizeof(minima) / sizeof(*minima); i++) {
		cr_expect(missing(s, i) == 0, "%" PRIu64 " %s are too few, %" PRIu64 " are missing",
			  minima[i].least - missing(s, i), minima[i].what, missing(s, i));
	}
}

void done_print(const struct stress *s, size_t rounds, size_t stale)
{
	struct ww_info info = {.size = sizeof(info)};

	cr_assert_eq(ww_info(s->w, &info), 0);
	fprintf(stderr,
		"# %s on %s: %zu rounds, %" PRIu64 " stores and %" PRIu64 " by the kernel (%" PRIu64
		" tried again), %" PRIu64 " signals (%" PRIu64 " in a get), %" PRIu64
		" forks%s, %" PRIu64 " neighbours, %" PRIu64 " gets, %" PRIu64
		" pages reported, %" PRIu64 " widened, %zu stale, %" PRIu64 " wrong\n",
		s->variation->name, backend()->name, rounds, s->stores, s->kernel_stores,
		s->repeated, s->signals, signals_handled_inside(), s->forks,
		can_fork() ? "" : " (a sanitizer's locks are not made for them)", s->neighbours,
		s->gets, s->reports, info.widened, stale, s->wrong);
}
