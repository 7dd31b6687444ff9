/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <writewatch/writewatch.h>

#include "backends.h"
#include "leaks.h"
#include "pages.h"

/* What callers get wrong: each has its documented error, and what was written stays reported. */

#define PAGE 4096
#define PAGES 32

static struct ww *w;
static char *memory;
static void *pages[PAGES];
static struct ww_range ranges[PAGES];
static uint64_t bits[1];

static void begin(void)
{
	backend_begin();
	leaks_begin();
	cr_assert_eq(ww_new(&w, NULL), 0);
	memory = map_private(PAGES * PAGE);
	cr_assert_eq(ww_watch(w, memory, PAGES / 2 * PAGE, 0), 0);
	memory[3 * PAGE] = 1;
}

/* Whatever the test did, the one written page is still there. */
static void end(void)
{
	size_t count = PAGES;

	cr_expect_eq(ww_get(w, memory, PAGES / 2 * PAGE, 0, pages, &count), 0);
	cr_expect(count == 1 && pages[0] == memory + 3 * PAGE);
	ww_free(w);
	unmap(memory, PAGES * PAGE);
	leaks_end();
}

TestSuite(arguments, .init = begin, .fini = end);

/* All queries with the same arguments; all have to give the same error and change nothing. */
static void queries(int expected, void *addr, size_t len, unsigned flags)
{
	size_t count = PAGES;

	cr_expect_eq(ww_get(w, addr, len, flags, pages, &count), expected);
	cr_expect_eq(count, PAGES);
	cr_expect_eq(ww_get_ranges(w, addr, len, flags, ranges, &count), expected);
	cr_expect_eq(count, PAGES);
	cr_expect_eq(ww_get_bitmap(w, addr, len, flags, bits, &count), expected);
	cr_expect_eq(count, PAGES);
	if (!(flags & WW_RESET))
		cr_expect_eq(ww_get(w, addr, len, flags, NULL, &count), expected);
	if (!flags) {
		cr_expect_eq(ww_reset(w, addr, len), expected);
		cr_expect_eq(ww_mark(w, addr, len), expected);
	}
}

static void everything(int expected, void *addr, size_t len)
{
	queries(expected, addr, len, 0);
	queries(expected, addr, len, WW_RESET);
	queries(expected, addr, len, WW_RESET | WW_ACROSS);
	cr_expect_eq(ww_watch(w, addr, len, 0), expected);
	cr_expect_eq(ww_unwatch(w, addr, len), expected);
	cr_expect_eq(ww_discard(w, addr, len), expected);
	cr_expect_eq(ww_prepare_write(w, addr, len), expected);
	cr_expect_eq(ww_protect(w, addr, len, PROT_READ), expected);
}

Test(arguments, no_context)
{
	size_t count = PAGES;

	cr_expect_eq(ww_watch(NULL, memory, PAGE, 0), -EINVAL);
	cr_expect_eq(ww_unwatch(NULL, memory, PAGE), -EINVAL);
	cr_expect_eq(ww_get(NULL, memory, PAGE, 0, pages, &count), -EINVAL);
	cr_expect_eq(ww_get_ranges(NULL, memory, PAGE, 0, ranges, &count), -EINVAL);
	cr_expect_eq(ww_get_bitmap(NULL, memory, PAGE, 0, bits, &count), -EINVAL);
	cr_expect_eq(ww_reset(NULL, memory, PAGE), -EINVAL);
	cr_expect_eq(ww_mark(NULL, memory, PAGE), -EINVAL);
	cr_expect_eq(ww_discard(NULL, memory, PAGE), -EINVAL);
	cr_expect_eq(ww_prepare_write(NULL, memory, PAGE), -EINVAL);
	cr_expect_eq(ww_protect(NULL, memory, PAGE, PROT_READ), -EINVAL);
	ww_free(NULL);
}

Test(arguments, no_count_or_no_room)
{
	size_t none = 0;

	cr_expect_eq(ww_get(w, memory, PAGE, 0, pages, NULL), -EINVAL);
	cr_expect_eq(ww_get_ranges(w, memory, PAGE, 0, ranges, NULL), -EINVAL);
	cr_expect_eq(ww_get_bitmap(w, memory, PAGE, 0, bits, NULL), -EINVAL);
	cr_expect_eq(ww_get(w, memory, PAGE, 0, pages, &none), -EINVAL);
	cr_expect_eq(ww_get_ranges(w, memory, PAGE, 0, ranges, &none), -EINVAL);
	cr_expect_eq(ww_get_bitmap(w, memory, PAGE, 0, bits, &none), -EINVAL);
	cr_expect_eq(none, 0);
}

Test(arguments, any_amount_of_room)
{
	for (size_t room = SIZE_MAX; room > PAGES; room /= 2) {
		size_t count = room;

		cr_expect_eq(ww_get(w, memory, PAGE * 16, 0, pages, &count), 0);
		cr_expect(count == 1 && pages[0] == memory + 3 * PAGE, "room %zx", room);
		count = room;
		cr_expect_eq(ww_get_ranges(w, memory, PAGE * 16, 0, ranges, &count), 0);
		cr_expect(count == 1 && ranges[0].start == memory + 3 * PAGE, "room %zx", room);
		count = room;
		cr_expect_eq(ww_get_bitmap(w, memory, PAGE * 16, 0, bits, &count), 0);
		cr_expect(count == 1 && bits[0] == 8, "room %zx", room);
	}
}

Test(arguments, a_reset_without_a_list)
{
	size_t count = PAGES;

	cr_expect_eq(ww_get(w, memory, PAGE, WW_RESET, NULL, &count), -EINVAL);
	cr_expect_eq(ww_get_ranges(w, memory, PAGE, WW_RESET, NULL, &count), -EINVAL);
	cr_expect_eq(ww_get_bitmap(w, memory, PAGE, WW_RESET, NULL, &count), -EINVAL);
}

Test(arguments, no_length)
{
	everything(-EINVAL, memory, 0);
	everything(-EINVAL, NULL, 0);
}

Test(arguments, ranges_that_wrap_or_belong_to_the_kernel)
{
	uintptr_t top = ~(uintptr_t)0;

	everything(-EINVAL, memory, SIZE_MAX);
	everything(-EINVAL, memory, SIZE_MAX - (uintptr_t)memory);
	everything(-EINVAL, memory, SIZE_MAX - (uintptr_t)memory + 1);
	everything(-EINVAL, (void *)top, 1);
	everything(-EINVAL, (void *)(top - PAGE + 1), PAGE);
	everything(-EINVAL, (void *)(top - 2 * PAGE + 1), PAGE);
	everything(-EINVAL, (void *)(top / 2 + 1), PAGE);
	everything(-EINVAL, (void *)(top / 2 - PAGE + 1), 2 * PAGE);
}

Test(arguments, unknown_flags)
{
	queries(-EINVAL, memory, PAGE, 1u << 2);
	queries(-EINVAL, memory, PAGE, 1u << 31 | WW_RESET);
	cr_expect_eq(ww_watch(w, memory, PAGE, 2), -EINVAL);
	cr_expect_eq(ww_watch(w, memory, PAGE, ~0u), -EINVAL);
}

Test(arguments, memory_that_is_not_watched)
{
	char *other = memory + (PAGES / 2 + 1) * PAGE;

	for (unsigned flags = 0; flags <= (WW_RESET | WW_ACROSS); flags++)
		queries(-ENOENT, other, 2 * PAGE, flags);
	cr_expect_eq(ww_unwatch(w, other, 2 * PAGE), -ENOENT);
	cr_expect_eq(ww_discard(w, other, 2 * PAGE), -ENOENT);
	queries(-ENOENT, NULL, PAGE, 0);
}

Test(arguments, memory_that_is_half_watched)
{
	queries(-ENOENT, memory, (PAGES / 2) * PAGE + 1, 0);
	queries(-ENOENT, memory, PAGES * PAGE, WW_RESET);
	queries(-ENOENT, memory - 1, 2, 0);
	cr_expect_eq(ww_discard(w, memory, PAGES * PAGE), -ENOENT);
}

Test(arguments, discards_that_are_not_whole_pages)
{
	cr_expect_eq(ww_discard(w, memory + 1, PAGE), -EINVAL);
	cr_expect_eq(ww_discard(w, memory, PAGE - 1), -EINVAL);
	cr_expect_eq(memory[3 * PAGE], 1);
}

Test(arguments, protections_that_make_no_sense)
{
	char *hole = map_private(3 * PAGE);

	cr_expect_eq(ww_protect(w, memory + 1, PAGE, PROT_READ), -EINVAL);
	cr_expect_eq(ww_protect(w, memory, PAGE, 1 << 30), -EINVAL);
	cr_expect_eq(ww_protect(w, memory, PAGE - 1, PROT_READ | PROT_WRITE), 0, "rounded up");
	unmap(hole + PAGE, PAGE);
	cr_expect_eq(ww_protect(w, hole, 3 * PAGE, PROT_READ), -ENOMEM);
	unmap(hole, PAGE);
	unmap(hole + 2 * PAGE, PAGE);
}

/* Announcing a write, and changing a protection, is not only for what is watched. */
Test(arguments, access_to_memory_that_is_not_watched)
{
	char *other = memory + (PAGES / 2 + 1) * PAGE;

	cr_expect_eq(ww_prepare_write(w, other, 2 * PAGE), 0);
	cr_expect_eq(ww_prepare_write(w, NULL, PAGE), 0);
	cr_expect_eq(ww_prepare_write(w, memory + (PAGES / 2) * PAGE - 1, 1), 0);
	cr_expect_eq(ww_reset(w, memory + (PAGES / 2 - 1) * PAGE, PAGE), 0);
	cr_expect_eq(ww_protect(w, other, 2 * PAGE, PROT_READ), 0);
	cr_expect_eq(ww_protect(w, other, 2 * PAGE, PROT_READ | PROT_WRITE), 0);
	*other = 1;
}

Test(arguments, faults_that_are_not_ours)
{
	cr_expect_eq(ww_handle_fault(NULL), 0);
	cr_expect_eq(ww_handle_fault(memory + (PAGES / 2) * PAGE), 0);
	cr_expect_eq(ww_handle_fault((void *)~(uintptr_t)0), 0);
	cr_expect_eq(ww_handle_fault(w), 0);
}

Test(arguments, watching_what_is_not_mapped_watches_nothing)
{
	struct ww_info before = {.size = sizeof(before)}, after = {.size = sizeof(after)};
	char *p = map_private(8 * PAGE);

	cr_assert_eq(ww_info(w, &before), 0);
	unmap(p + 4 * PAGE, PAGE);
	cr_expect_eq(ww_watch(w, p, 8 * PAGE, 0), -EFAULT);
	cr_expect_eq(ww_watch(w, p + 4 * PAGE, PAGE, 0), -EFAULT);
	cr_expect_eq(ww_watch(w, NULL, PAGE, 0), -EFAULT);
	cr_assert_eq(ww_info(w, &after), 0);
	cr_expect_eq(before.watched, after.watched);
	cr_expect_eq(before.range_count, after.range_count);
	unmap(p, 4 * PAGE);
	unmap(p + 5 * PAGE, 3 * PAGE);
}

Test(arguments, watching_what_another_context_watches_watches_nothing_more)
{
	struct ww *other;
	char *p = map_private(8 * PAGE);

	cr_assert_eq(ww_new(&other, NULL), 0);
	cr_assert_eq(ww_watch(other, p + 4 * PAGE, PAGE, 0), 0);
	cr_expect_eq(ww_watch(w, p, 8 * PAGE, 0), -EBUSY);
	cr_expect_eq(ww_unwatch(w, p, 8 * PAGE), -ENOENT);
	cr_expect_eq(ww_watch(other, p, 8 * PAGE, 0), 0, "the first half was let go");
	ww_free(other);
	unmap(p, 8 * PAGE);
}

Test(arguments, a_shared_mapping_that_can_never_be_written)
{
	char path[64];
	int fd = memfd_of(PAGE), reader, r;
	char *p;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	reader = open(path, O_RDONLY | O_CLOEXEC);
	cr_assert_geq(reader, 0);
	p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, reader, 0);
	cr_assert_neq(p, MAP_FAILED);
	r = ww_watch(w, p, PAGE, 0);
	cr_expect_eq(r, except(NO_SHARED) ? -ENOTSUP : except(ANY_MAPPING) ? 0 : -EACCES, "%d", r);
	unmap(p, PAGE);
	close(fd);
	close(reader);
}

/* The kernel's own page in every process, which newer kernels refuse to track. */
Test(arguments, special_mappings)
{
	char line[256];
	FILE *maps = fopen("/proc/self/maps", "r");
	unsigned long vvar = 0;

	while (fgets(line, sizeof(line), maps))
		if (strstr(line, "[vvar]"))
			sscanf(line, "%lx", &vvar);
	fclose(maps);
	if (!vvar)
		cr_skip_test("no [vvar] mapping here");
	cr_expect_eq(ww_watch(w, (void *)vvar, PAGE, 0), except(ANY_MAPPING) ? 0 : -ENOTSUP);
}

/* Memory without pages behind it, which the kernel never looks at for writes. */
Test(arguments, device_memory)
{
	int fd = open("/dev/mem", O_RDWR | O_CLOEXEC);
	char *p = MAP_FAILED;

	if (fd >= 0)
		p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0xf0000);
	if (fd >= 0)
		close(fd);
	if (p == MAP_FAILED) {
		ww_free(w);
		cr_skip_test("/dev/mem cannot be mapped here");
	}
	cr_expect_eq(ww_watch(w, p, PAGE, 0),
		     except(ANY_MAPPING) && !except(NO_SHARED) ? 0 : -ENOTSUP);
	unmap(p, PAGE);
}

Test(arguments, read_only_and_inaccessible_private_memory_is_fine)
{
	char *p = map_reserve(4 * PAGE, PAGE);
	size_t count = PAGES;

	cr_assert_eq(mprotect(p, PAGE, PROT_READ), 0);
	cr_expect_eq(ww_watch(w, p, 4 * PAGE, 0), 0);
	cr_expect_eq(ww_get(w, p, 4 * PAGE, 0, pages, &count), 0);
	cr_expect_eq(count, 0);
	cr_expect_eq(ww_unwatch(w, p, 4 * PAGE), 0);
	unmap(p, 4 * PAGE);
}

Test(arguments, unmapped_memory_can_be_unwatched)
{
	char *p = map_private(4 * PAGE);

	cr_assert_eq(ww_watch(w, p, 4 * PAGE, 0), 0);
	unmap(p, 4 * PAGE);
	cr_expect_eq(ww_unwatch(w, p, 4 * PAGE), 0);
	cr_expect_eq(ww_unwatch(w, p, 4 * PAGE), -ENOENT);
}
