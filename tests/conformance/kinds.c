/* SPDX-License-Identifier: MIT */
#include "kinds.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "moves.h"
#include "pages.h"

#define BYTES ((size_t)PAGES * PAGE)

static char *fresh(void)
{
	return map_private(BYTES);
}

static char *populated(void)
{
	return memset(map_private(BYTES), 1, BYTES);
}

/* Aligned and advised, so that the first 1024 pages are two huge pages where there are any. */
static char *huge(void)
{
	char *p = map_reserve(BYTES, HUGE_BYTES);

	cr_assert_eq(mprotect(p, BYTES, PROT_READ | PROT_WRITE), 0);
	madvise(p, BYTES, MADV_HUGEPAGE);
	return memset(p, 1, BYTES);
}

/* One page in three is there, one in three is the zero page, one in three is not there. */
static char *mixed(void)
{
	char *p = fresh();

	for (size_t i = 0; i + 1 < PAGES; i += 3) {
		p[i * PAGE] = 1;
		(void)*(volatile char *)(p + (i + 1) * PAGE);
	}
	return p;
}

static char *shared_anonymous(void)
{
	void *p = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	cr_assert_neq(p, MAP_FAILED);
	return p;
}

static char *map_and_close(int fd, int flags)
{
	char *p = map_fd(NULL, BYTES, flags, fd, 0);

	close(fd);
	return p;
}

static char *memfd(void)
{
	return map_and_close(memfd_of(BYTES), MAP_SHARED);
}

static char *memfd_populated(void)
{
	return memset(memfd(), 1, BYTES);
}

static char *memfd_private(void)
{
	return map_and_close(memfd_of(BYTES), MAP_PRIVATE);
}

static char *zero_device(void)
{
	int fd = open("/dev/zero", O_RDWR | O_CLOEXEC);

	cr_assert_geq(fd, 0);
	return map_and_close(fd, MAP_PRIVATE);
}

static int file_in(const char *template)
{
	char path[256];
	int fd;

	strcpy(path, template);
	fd = mkstemp(path);
	cr_assert_geq(fd, 0, "%s", template);
	unlink(path);
	cr_assert_eq(ftruncate(fd, (off_t)BYTES), 0);
	return fd;
}

static char *tmpfs(void)
{
	return map_and_close(file_in("/dev/shm/writewatch-XXXXXX"), MAP_SHARED);
}

static char *file_shared(void)
{
	return map_and_close(file_in("test-file-XXXXXX"), MAP_SHARED);
}

static char *file_private(void)
{
	return map_and_close(file_in("test-file-XXXXXX"), MAP_PRIVATE);
}

const struct kind kinds[] = {
	{"fresh", fresh, 0, true, false, false, false},
	{"fresh, discards", fresh, WW_DISCARDS, true, true, false, false},
	{"populated", populated, 0, true, false, false, false},
	{"populated, discards", populated, WW_DISCARDS, true, true, false, false},
	{"huge pages", huge, 0, true, false, false, false},
	{"huge pages, discards", huge, WW_DISCARDS, true, true, false, false},
	{"mixed", mixed, 0, true, false, false, false},
	{"shared anonymous", shared_anonymous, 0, true, false, false, true},
	{"memfd", memfd, 0, true, false, false, true},
	{"memfd, populated", memfd_populated, 0, true, false, false, true},
	{"memfd, private", memfd_private, 0, false, false, false, false},
	{"/dev/zero, private", zero_device, 0, false, false, false, false},
	{"tmpfs", tmpfs, 0, true, false, false, true},
	{"file, shared", file_shared, 0, false, false, true, true},
	{"file, private", file_private, 0, false, false, true, false},
};

const size_t kind_count = sizeof(kinds) / sizeof(*kinds);

static bool is_excepted(const struct kind *kind, enum exception *which)
{
	if (kind->on_disk && except(NO_DISK_FILES))
		*which = NO_DISK_FILES;
	else if (kind->shared && except(NO_SHARED))
		*which = NO_SHARED;
	else if (kind->flags & WW_DISCARDS && except(NO_DISCARDS))
		*which = NO_DISCARDS;
	else
		return false;
	return true;
}

struct watched *start(const struct kind *kind)
{
	static struct watched t;
	enum exception which = EXCEPTIONS;
	bool excepted = is_excepted(kind, &which);
	int r;

	t = (struct watched){
		.kind = kind,
		.memory = kind->map(),
		.moved_before = pages_moved(),
	};
	r = ww_new(&t.w, NULL);
	cr_assert_eq(r, 0, "%s: ww_new: %d", kind->name, r);
	r = ww_watch(t.w, t.memory, BYTES, kind->flags);
	cr_assert_eq(r, excepted ? -ENOTSUP : 0, "%s: %d", kind->name, r);
	if (!excepted)
		return &t;
	left_out(kind->name, which);
	stop(&t);
	return NULL;
}

void stop(struct watched *t)
{
	ww_free(t->w);
	unmap(t->memory, BYTES);
}

void get(struct watched *t, unsigned flags)
{
	t->count = PAGES;
	cr_assert_eq(ww_get(t->w, t->memory, BYTES, flags, t->pages, &t->count), 0, "%s",
		     t->kind->name);
}

/* Whether more than n pages may be reported: on this backend, or as the kernel moved pages. */
static bool more_is_right(const struct watched *t, size_t n)
{
	return except(NOT_EXACT) ||
	       (t->count > n && moves_explain(t->count - n, t->moved_before));
}

bool no_more_than(struct watched *t, size_t n)
{
	get(t, WW_ACROSS);
	if (t->count <= n)
		return true;
	cr_assert(more_is_right(t, n), "%s: %zu pages instead of %zu", t->kind->name, t->count, n);
	left_out(t->kind->name, except(NOT_EXACT) ? NOT_EXACT : REPEATS_MOVED);
	return false;
}

/* Where others may be reported, these are among them. */
static void expect_among(struct watched *t, const char *file, int line, const int *numbers)
{
	for (size_t i = 0; *numbers >= 0; numbers++) {
		while (i < t->count && t->pages[i] != t->memory + (size_t)*numbers * PAGE)
			i++;
		cr_assert(i < t->count, "%s:%d: %s: page %d is missing", file, line, t->kind->name,
			  *numbers);
	}
}

void expect_pages(struct watched *t, const char *file, int line, const int *numbers)
{
	size_t n = 0;

	while (numbers[n] >= 0)
		n++;
	if (more_is_right(t, n)) {
		expect_among(t, file, line, numbers);
		return;
	}
	for (n = 0; numbers[n] >= 0; n++) {
		size_t got = n < t->count ? (size_t)((char *)t->pages[n] - t->memory) / PAGE : 0;

		cr_assert(n < t->count, "%s:%d: %s: %zu pages, page %d is missing", file, line,
			  t->kind->name, t->count, numbers[n]);
		cr_assert_eq(got, (size_t)numbers[n], "%s:%d: %s: page %zu instead of %d", file,
			     line, t->kind->name, got, numbers[n]);
	}
	cr_assert_eq(t->count, n, "%s:%d: %s: %zu pages instead of %zu", file, line, t->kind->name,
		     t->count, n);
}
