/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "leaks.h"
#include "maps.h"
#include "pages.h"

TestSuite(maps, .init = leaks_begin, .fini = leaks_end);

/* Two ways to ask, which have to agree: the first the kernel has since 6.11. */
static void expect(uintptr_t addr, uintptr_t start, enum mapping_kind kind)
{
	struct mapping m;
	struct maps maps;

	cr_assert_eq(maps_open(&maps), 0);
	for (int text = maps.text_only; text <= 1; text++) {
		maps.text_only = text;
		cr_assert_eq(maps_find(&maps, addr, &m), 0, "text %d", text);
		cr_assert_eq(m.start, start, "text %d", text);
		cr_assert_eq(m.kind, kind, "text %d", text);
	}
	maps_close(&maps);
}

Test(maps, tells_the_kinds_of_mappings_apart)
{
	char *p = map_reserve(8 * page_bytes(), page_bytes());
	size_t page = page_bytes();
	int fd = memfd_of(page);

	mmap(p, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	mmap(p + 2 * page, page, PROT_READ, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	map_fd(p + 4 * page, page, MAP_SHARED, fd, 0);
	map_fd(p + 6 * page, page, MAP_PRIVATE, fd, 0);
	close(fd);
	expect((uintptr_t)p, (uintptr_t)p, MAPPING_PRIVATE_ANON);
	expect((uintptr_t)p + 2 * page, (uintptr_t)p + 2 * page, MAPPING_SHARED);
	expect((uintptr_t)p + 5 * page - 1, (uintptr_t)p + 4 * page, MAPPING_SHARED);
	expect((uintptr_t)p + 6 * page, (uintptr_t)p + 6 * page, MAPPING_PRIVATE_FILE);
	unmap(p, 8 * page);
}

Test(maps, finds_the_next_mapping_above_a_hole)
{
	char *p = map_reserve(4 * page_bytes(), page_bytes());
	size_t page = page_bytes();

	unmap(p + page, 2 * page);
	expect((uintptr_t)p + page, (uintptr_t)p + 3 * page, MAPPING_PRIVATE_ANON);
	unmap(p, page);
	unmap(p + 3 * page, page);
}

Test(maps, reads_long_lists)
{
	size_t page = page_bytes(), n = 2000;
	char *p = map_reserve(2 * n * page, page);

	for (size_t i = 0; i < n; i++)
		mprotect(p + 2 * i * page, page, PROT_READ);
	for (size_t i = 0; i < n; i += 333)
		expect((uintptr_t)p + 2 * i * page, (uintptr_t)p + 2 * i * page,
		       MAPPING_PRIVATE_ANON);
	unmap(p, 2 * n * page);
}

Test(maps, says_when_nothing_is_above)
{
	struct mapping m;
	struct maps maps;

	cr_assert_eq(maps_open(&maps), 0);
	for (int text = maps.text_only; text <= 1; text++) {
		maps.text_only = text;
		cr_assert_eq(maps_find(&maps, ~(uintptr_t)0 - 0xfff, &m), -ENOENT);
	}
	maps_close(&maps);
}
