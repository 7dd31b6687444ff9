/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "leaks.h"
#include "maps.h"
#include "pages.h"

TestSuite(maps, .init = leaks_begin, .fini = leaks_end);

struct expected {
	size_t start, end; /* pages */
	enum mapping_kind kind;
	int prot;
};

/* Two ways to ask, which have to agree: the first the kernel has since 6.11. */
static void expect(const char *p, size_t from, size_t to, const struct expected *list, size_t count)
{
	const uintptr_t base = (uintptr_t)p, page = page_bytes();
	struct maps maps;

	cr_assert_eq(maps_open(&maps), 0);
	for (int text = maps.text_only; text <= 1; text++) {
		struct maps_walk walk;
		struct mapping m;

		maps.text_only = text;
		maps_walk(&walk, base + from * page, base + to * page);
		for (size_t i = 0; i < count; i++) {
			cr_assert_eq(maps_next(&maps, &walk, &m), 0, "text %d, %zu", text, i);
			cr_assert_eq(m.start, base + list[i].start * page, "text %d, %zu", text, i);
			cr_assert_eq(m.end, base + list[i].end * page, "text %d, %zu", text, i);
			cr_assert_eq(m.kind, list[i].kind, "text %d, %zu", text, i);
			cr_assert_eq(m.prot, list[i].prot, "text %d, %zu", text, i);
		}
		cr_assert_eq(maps_next(&maps, &walk, &m), -ENOENT, "text %d", text);
	}
	maps_close(&maps);
}

#define EXPECT(p, from, to, ...) \
	expect(p, from, to, (const struct expected[]){__VA_ARGS__}, \
	       sizeof((const struct expected[]){__VA_ARGS__}) / sizeof(struct expected))

Test(maps, tells_the_kinds_of_mappings_apart)
{
	const int rw = PROT_READ | PROT_WRITE;
	char *p = map_reserve(8 * page_bytes(), page_bytes());
	size_t page = page_bytes();
	int fd = memfd_of(page);

	mmap(p, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	mmap(p + 2 * page, page, PROT_READ, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	map_fd(p + 4 * page, page, MAP_SHARED, fd, 0);
	map_fd(p + 6 * page, page, MAP_PRIVATE, fd, 0);
	close(fd);
	fd = open("/dev/zero", O_RDWR | O_CLOEXEC);
	map_fd(p + 7 * page, page, MAP_PRIVATE, fd, 0);
	close(fd);
	EXPECT(p, 0, 8, {0, 1, MAPPING_PRIVATE_ANON, PROT_READ}, {1, 2, MAPPING_PRIVATE_ANON, 0},
	       {2, 3, MAPPING_SHARED, PROT_READ}, {3, 4, MAPPING_PRIVATE_ANON, 0},
	       {4, 5, MAPPING_SHARED, rw}, {5, 6, MAPPING_PRIVATE_ANON, 0},
	       {6, 7, MAPPING_PRIVATE_FILE, rw}, {7, 8, MAPPING_PRIVATE_ZERO, rw});
	unmap(p, 8 * page);
}

Test(maps, passes_over_holes_and_cuts_to_the_range)
{
	char *p = map_reserve(8 * page_bytes(), page_bytes());
	size_t page = page_bytes();

	unmap(p + 3 * page, 2 * page);
	EXPECT(p, 1, 7, {1, 3, MAPPING_PRIVATE_ANON, 0}, {5, 7, MAPPING_PRIVATE_ANON, 0});
	EXPECT(p, 4, 6, {5, 6, MAPPING_PRIVATE_ANON, 0});
	EXPECT(p, 2, 5, {2, 3, MAPPING_PRIVATE_ANON, 0});
	expect(p, 3, 5, NULL, 0);
	unmap(p, 3 * page);
	unmap(p + 5 * page, 3 * page);
}

Test(maps, reads_long_lists)
{
	enum { N = 2000 };
	static struct expected list[2 * N];
	size_t page = page_bytes();
	char *p = map_reserve(2 * N * page, page);

	for (size_t i = 0; i < 2 * N; i++) {
		list[i] = (struct expected){i, i + 1, MAPPING_PRIVATE_ANON, i % 2 ? 0 : PROT_READ};
		if (i % 2 == 0)
			mprotect(p + i * page, page, PROT_READ);
	}
	expect(p, 0, 2 * N, list, 2 * N);
	expect(p, 777, 1999, list + 777, 1999 - 777);
	unmap(p, 2 * N * page);
}

/* A walk within a walk, and the list being shorter afterwards, as when mappings were joined. */
Test(maps, walks_do_not_disturb_each_other)
{
	enum { N = 1000 };
	size_t page = page_bytes();
	struct maps maps;

	cr_assert_eq(maps_open(&maps), 0);
	for (int text = maps.text_only; text <= 1; text++) {
		char *p = map_reserve(2 * N * page, page);
		uintptr_t base = (uintptr_t)p, end = base + 2 * N * page;
		struct maps_walk outer, inner;
		struct mapping m;

		for (size_t i = 0; i < N; i++)
			mprotect(p + 2 * i * page, page, PROT_READ);
		maps.text_only = text;
		maps_walk(&outer, base, end);
		for (size_t i = 0; i < N; i++)
			cr_assert_eq(maps_next(&maps, &outer, &m), 0);
		maps_walk(&inner, base, base + page);
		cr_assert_eq(maps_next(&maps, &inner, &m), 0);
		mprotect(p, N * page, PROT_NONE);
		for (size_t i = N; i < 2 * N; i++) {
			cr_assert_eq(maps_next(&maps, &outer, &m), 0, "text %d, %zu", text, i);
			cr_assert_eq(m.start, base + i * page, "text %d, %zu", text, i);
		}
		unmap(p, 2 * N * page);
	}
	maps_close(&maps);
}

Test(maps, says_when_nothing_is_above)
{
	expect((const char *)(~(uintptr_t)0 << 47), 0, 16, NULL, 0);
}
