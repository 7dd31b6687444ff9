/* SPDX-License-Identifier: MIT */
#include "layout.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../src/uapi/madvise.h"
#include "pages.h"
#include "watch.h"

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif

static char *place(char *at, size_t len, int flags, int fd)
{
	char *p = mmap(at, len, PROT_READ | PROT_WRITE, flags | MAP_FIXED, fd, 0);

	cr_assert_eq(p, at, "mmap");
	return p;
}

/* Some pages are written, some read, some left alone. */
static void touch(struct rng *rng, char *p, size_t pages, bool only_read)
{
	for (size_t i = 0; i < pages; i++)
		switch (rng_below(rng, 3)) {
		case 0:
			if (!only_read)
				p[i * page_bytes()] = 1;
			break;
		case 1:
			(void)*(volatile char *)(p + i * page_bytes());
			break;
		}
}

static bool hole(struct layout *l, struct rng *rng, char *at, size_t len)
{
	(void)l, (void)rng;
	return munmap(at, len) == 0;
}

static bool private(struct layout *l, struct rng *rng, char *at, size_t len)
{
	(void)l;
	touch(rng, place(at, len, MAP_PRIVATE | MAP_ANONYMOUS, -1), len / page_bytes(), false);
	return true;
}

static bool no_access(struct layout *l, struct rng *rng, char *at, size_t len)
{
	return private(l, rng, at, len) && mprotect(at, len, PROT_NONE) == 0;
}

static bool dropped(struct layout *l, struct rng *rng, char *at, size_t len)
{
	return private(l, rng, at, len) && madvise(at, len / 2, MADV_DONTNEED) == 0;
}

static bool shared(struct layout *l, struct rng *rng, char *at, size_t len)
{
	(void)l;
	touch(rng, place(at, len, MAP_SHARED | MAP_ANONYMOUS, -1), len / page_bytes(), false);
	return true;
}

static bool memfd(struct layout *l, struct rng *rng, char *at, size_t len)
{
	int fd = memfd_of(len);

	(void)l;
	touch(rng, place(at, len, rng_one_in(rng, 2) ? MAP_SHARED : MAP_PRIVATE, fd),
	      len / page_bytes(), false);
	close(fd);
	return true;
}

static bool on_disk(struct layout *l, struct rng *rng, char *at, size_t len)
{
	bool is_shared = rng_one_in(rng, 2);

	touch(rng, place(at, len, is_shared ? MAP_SHARED : MAP_PRIVATE, l->file),
	      len / page_bytes(), is_shared);
	return true;
}

static bool guarded(struct layout *l, struct rng *rng, char *at, size_t len)
{
	size_t page = page_bytes(), n = rng_below(rng, len / page) + 1;

	return private(l, rng, at, len) && madvise(at, n * page, MADV_GUARD_INSTALL) == 0;
}

static bool paged_out(struct layout *l, struct rng *rng, char *at, size_t len)
{
	return private(l, rng, at, len) && madvise(at, len, MADV_PAGEOUT) == 0;
}

/* A huge page, of which a part may be dropped; the kernel does not mend that later. */
static bool huge(struct layout *l, struct rng *rng, char *at, size_t len)
{
	char *first = (char *)(((uintptr_t)at + HUGE_BYTES - 1) & ~(HUGE_BYTES - 1));

	(void)l;
	place(at, len, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	if (first + HUGE_BYTES > at + len || madvise(at, len, MADV_HUGEPAGE))
		return false;
	if (rng_one_in(rng, 4))
		(void)*(volatile char *)first;
	else
		*first = 1;
	if (rng_one_in(rng, 2))
		madvise(first + page_bytes() * rng_below(rng, 500), page_bytes() * 7,
			MADV_DONTNEED);
	return madvise(at, len, MADV_NOHUGEPAGE) == 0;
}

/*
 * Watched: full, or all write-protected while it was empty, and then written here and there. What
 * else is empty in watched memory pagemap cannot tell from what is empty elsewhere.
 */
static bool watched(struct layout *l, struct rng *rng, char *at, size_t len)
{
	size_t pages = len / page_bytes();

	place(at, len, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	if (rng_one_in(rng, 2))
		for (size_t i = 0; i < pages; i++)
			at[i * page_bytes()] = 1;
	if (!watch_attach(l->uffd, at, len) || !watch_protect(l->uffd, at, len))
		return false;
	touch(rng, at, pages, false);
	return true;
}

static const struct kind {
	const char *name;
	bool (*make)(struct layout *l, struct rng *rng, char *at, size_t len);
} kinds[] = {
	{"hole", hole}, {"private", private}, {"no access", no_access}, {"dropped", dropped},
	{"shared", shared}, {"memfd", memfd}, {"file", on_disk}, {"guarded", guarded},
	{"paged out", paged_out}, {"huge", huge}, {"watched", watched},
};

#define KINDS (sizeof(kinds) / sizeof(*kinds))

size_t layout_made[KINDS];
const size_t layout_kind_count = KINDS;

const char *layout_kind(size_t i)
{
	return kinds[i].name;
}

void layout_make(struct layout *l, struct rng *rng)
{
	const size_t page = page_bytes();
	char name[] = "./layout-XXXXXX";

	l->uffd = watch_open();
	l->file = mkstemp(name);
	cr_assert_geq(l->file, 0);
	unlink(name);
	cr_assert_eq(ftruncate(l->file, (off_t)(LAYOUT_PAGES * page)), 0);
	l->base = map_reserve(LAYOUT_PAGES * page, HUGE_BYTES);
	for (size_t at = 0, n; at < LAYOUT_PAGES; at += n) {
		size_t kind = rng_below(rng, KINDS);

		n = kinds[kind].make == huge ? 512 + rng_below(rng, 600)
					     : rng_below(rng, rng_one_in(rng, 4) ? 200 : 20) + 1;
		if (n > LAYOUT_PAGES - at)
			n = LAYOUT_PAGES - at;
		/* What it leaves where it could not be done is as good. */
		layout_made[kind] += kinds[kind].make(l, rng, l->base + at * page, n * page);
	}
}

void layout_free(struct layout *l)
{
	unmap(l->base, LAYOUT_PAGES * page_bytes());
	close(l->file);
	if (l->uffd >= 0)
		close(l->uffd);
}
