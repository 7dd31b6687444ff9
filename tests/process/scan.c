/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <writewatch/process.h>

#include "child.h"
#include "leaks.h"
#include "pages.h"
#include "watch.h"

#include "../../src/uapi/procmap_query.h"

/* What a scan lists and what it resets, in memory of which that is known. */

#define PAGES ((size_t)1024)
#define ROOM PAGES

static struct ww_process *p;
static char *memory;
static size_t page;
static int uffd = -1;
static struct ww_page_range ranges[ROOM];

static void begin(void)
{
	leaks_begin();
	page = page_bytes();
	memory = map_reserve(PAGES * page, HUGE_BYTES);
	mprotect(memory, PAGES * page, PROT_READ | PROT_WRITE);
	madvise(memory, PAGES * page, MADV_NOHUGEPAGE);
	cr_assert_eq(ww_process_open(&p, 0, 0), 0);
}

static void end(void)
{
	ww_process_close(p);
	unmap(memory, PAGES * page);
	if (uffd >= 0)
		close(uffd);
	leaks_end();
}

TestSuite(scan, .init = begin, .fini = end);

/* Memory that holds something, of which nothing counts as written. */
static void watch_memory(void)
{
	if (!(ww_process_categories(p) & WW_PAGE_WATCHED))
		cr_skip_test("the kernel has no PAGEMAP_SCAN");
	uffd = watch_open();
	if (uffd < 0)
		cr_skip_test("userfaultfd is denied, or does not protect asynchronously");
	for (size_t i = 0; i < PAGES; i++)
		memory[i * page] = 1;
	cr_assert(watch_attach(uffd, memory, PAGES * page));
	cr_assert(watch_protect(uffd, memory, PAGES * page));
}

static struct ww_process_query of_memory(uint64_t required, uint64_t flags)
{
	return (struct ww_process_query){
		.size = sizeof(struct ww_process_query),
		.start = (uintptr_t)memory,
		.end = (uintptr_t)memory + PAGES * page,
		.required = required,
		.returned = required,
		.flags = flags,
	};
}

static size_t scan(struct ww_process_query *q, size_t room)
{
	cr_assert_eq(ww_process_scan(p, q, ranges, &room), 0);
	return room;
}

static size_t written(void)
{
	struct ww_process_query q = of_memory(WW_PAGE_WRITTEN, 0);

	scan(&q, ROOM);
	return q.pages;
}

static void expect_range(size_t i, size_t first, size_t last, uint64_t categories)
{
	cr_assert_eq(ranges[i].start, (uintptr_t)memory + first * page, "range %zu", i);
	cr_assert_eq(ranges[i].end, (uintptr_t)memory + (last + 1) * page, "range %zu", i);
	cr_assert_eq(ranges[i].categories, categories, "range %zu", i);
}

static void write_every_second(size_t count)
{
	for (size_t i = 0; i < count; i++)
		memory[2 * i * page]++;
}

Test(scan, what_is_there_and_what_is_not)
{
	struct ww_process_query q = of_memory(WW_PAGE_PRESENT, 0);

	memory[0] = memory[3 * page] = memory[4 * page] = memory[(PAGES - 1) * page] = 1;
	cr_assert_eq(scan(&q, ROOM), 3);
	expect_range(0, 0, 0, WW_PAGE_PRESENT);
	expect_range(1, 3, 4, WW_PAGE_PRESENT);
	expect_range(2, PAGES - 1, PAGES - 1, WW_PAGE_PRESENT);
	cr_assert(q.pages == 4 && q.next == q.end);
	q = of_memory(0, 0);
	q.excluded = WW_PAGE_PRESENT;
	cr_assert_eq(scan(&q, ROOM), 2);
	expect_range(0, 1, 2, 0);
	expect_range(1, 5, PAGES - 2, 0);
	/* A hole is not listed, whatever is asked. */
	munmap(memory + 6 * page, 2 * page);
	q = of_memory(0, 0);
	cr_assert_eq(scan(&q, ROOM), 2);
	expect_range(0, 0, 5, 0);
	expect_range(1, 8, PAGES - 1, 0);
}

Test(scan, kinds_of_pages)
{
	uint64_t told = ww_process_categories(p);
	struct ww_process_query q = of_memory(0, 0);
	int fd = memfd_of(page);

	memory[0] = 1;
	(void)*(volatile char *)(memory + page);
	map_fd(memory + 2 * page, page, MAP_SHARED, fd, 0);
	close(fd);
	memory[2 * page] = 1;
	q.returned = told & (WW_PAGE_PRESENT | WW_PAGE_FILE | WW_PAGE_ZERO | WW_PAGE_WATCHED);
	cr_assert_geq(scan(&q, ROOM), 3);
	if (told & WW_PAGE_ZERO && has_zero_page()) {
		expect_range(0, 0, 0, WW_PAGE_PRESENT);
		expect_range(1, 1, 1, WW_PAGE_PRESENT | WW_PAGE_ZERO);
		expect_range(2, 2, 2, WW_PAGE_PRESENT | WW_PAGE_FILE);
		expect_range(3, 3, PAGES - 1, 0);
	} else {
		expect_range(0, 0, 1, WW_PAGE_PRESENT);
		expect_range(1, 2, 2, WW_PAGE_PRESENT | WW_PAGE_FILE);
		expect_range(2, 3, PAGES - 1, 0);
	}
}

Test(scan, guard_pages)
{
	struct ww_process_query q = of_memory(WW_PAGE_GUARD, 0);

	if (!(ww_process_categories(p) & WW_PAGE_GUARD))
		cr_skip_test("the kernel tells no guard pages");
	cr_assert_eq(madvise(memory + 7 * page, 2 * page, 102 /* MADV_GUARD_INSTALL */), 0);
	cr_assert_eq(scan(&q, ROOM), 1);
	expect_range(0, 7, 8, WW_PAGE_GUARD);
}

Test(scan, huge_pages)
{
	struct ww_process_query q = of_memory(WW_PAGE_HUGE, 0);

	if (!(ww_process_categories(p) & WW_PAGE_HUGE))
		cr_skip_test("the kernel tells no huge pages");
	madvise(memory, PAGES * page, MADV_HUGEPAGE);
	memory[HUGE_BYTES] = 1;
	if (scan(&q, ROOM) == 0)
		cr_skip_test("the kernel gives no huge pages");
	expect_range(0, HUGE_BYTES / page, 2 * HUGE_BYTES / page - 1, WW_PAGE_HUGE);
}

Test(scan, the_room_counts_ranges_and_the_limit_counts_pages)
{
	struct ww_process_query q = of_memory(WW_PAGE_PRESENT, 0);
	const uint64_t start = q.start;

	for (size_t i = 0; i < 20; i++)
		memory[(i % 10 + i / 10 * 50) * page] = 1;
	q.max_pages = 15;
	cr_assert_eq(scan(&q, 1), 1);
	expect_range(0, 0, 9, WW_PAGE_PRESENT);
	cr_assert_eq(q.pages, 10);
	cr_assert(q.next >= start + 10 * page && q.next <= start + 50 * page);
	q.start = start;
	cr_assert_eq(scan(&q, 2), 2);
	expect_range(1, 50, 54, WW_PAGE_PRESENT);
	cr_assert(q.pages == 15 && q.next == start + 55 * page);
	q.max_pages = 3;
	for (size_t i = 0; i < 2; i++) {
		q.start = q.next;
		cr_assert_eq(scan(&q, ROOM), 1);
		expect_range(0, i ? 58 : 55, i ? 59 : 57, WW_PAGE_PRESENT);
	}
	cr_assert(q.pages == 2 && q.next == q.end);
}

Test(scan, a_reset_resets_what_it_lists_and_nothing_else)
{
	struct ww_process_query q = of_memory(WW_PAGE_WRITTEN, WW_SCAN_RESET);

	watch_memory();
	cr_assert_eq(written(), 0);
	write_every_second(100);
	q.max_pages = 10;
	cr_assert_eq(scan(&q, ROOM), 10);
	expect_range(9, 18, 18, WW_PAGE_WRITTEN);
	cr_assert_eq(written(), 90, "the limit");
	q.start = (uintptr_t)memory;
	q.max_pages = 0;
	cr_assert_eq(scan(&q, 7), 7);
	expect_range(0, 20, 20, WW_PAGE_WRITTEN);
	cr_assert_eq(written(), 83, "the room");
	q.start = q.next;
	q.end = (uintptr_t)memory + 100 * page;
	cr_assert_eq(scan(&q, ROOM), 33);
	cr_assert_eq(written(), 50, "the range");
	q = of_memory(WW_PAGE_WRITTEN, WW_SCAN_RESET);
	q.required |= WW_PAGE_SWAPPED;
	cr_assert_eq(scan(&q, ROOM), 0);
	cr_assert_eq(written(), 50, "the categories");
}

/* The kernel gathers 512 regions at a time, and does not always know where it stopped. */
Test(scan, more_ranges_than_the_kernel_returns_at_once)
{
	struct ww_process_query q = of_memory(WW_PAGE_WRITTEN, WW_SCAN_RESET);

	watch_memory();
	write_every_second(PAGES / 2);
	memory[page]++;
	cr_assert_eq(scan(&q, ROOM), PAGES / 2 - 1);
	expect_range(0, 0, 2, WW_PAGE_WRITTEN);
	for (size_t i = 1; i < PAGES / 2 - 1; i++)
		expect_range(i, 2 * i + 2, 2 * i + 2, WW_PAGE_WRITTEN);
	cr_assert_eq(written(), 0);
}

Test(scan, memory_that_is_not_watched_is_an_error_only_if_asked_to)
{
	const uint64_t both = WW_SCAN_RESET | WW_SCAN_WATCHED_ONLY;
	struct ww_process_query q = of_memory(WW_PAGE_WRITTEN, both);
	size_t count = ROOM;

	watch_memory();
	mmap(memory + 50 * page, page, PROT_READ | PROT_WRITE,
	     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	memory[50 * page] = 1;
	write_every_second(10);
	cr_assert_eq(ww_process_scan(p, &q, ranges, &count), -EPERM);
	cr_assert_eq(count, 0);
	cr_assert_eq(written(), 11, "nothing was reset");
	q.flags = WW_SCAN_RESET;
	cr_assert_eq(scan(&q, ROOM), 10, "what is not watched is passed over");
	cr_assert_eq(written(), 1);
	q = of_memory(WW_PAGE_WRITTEN, WW_SCAN_WATCHED_ONLY);
	munmap(memory + 50 * page, page);
	cr_assert_eq(scan(&q, ROOM), 0, "a hole is no error");
}

static void run_watched(void *arg)
{
	volatile bool *ready = arg;

	uffd = watch_open();
	for (size_t i = 0; i < PAGES; i++)
		memory[i * page] = 1;
	*ready = watch_attach(uffd, memory, PAGES * page) &&
		 watch_protect(uffd, memory, PAGES * page);
	write_every_second(20);
}

Test(scan, another_process)
{
	volatile bool *shared = mmap(NULL, page, PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct ww_process_query q = of_memory(WW_PAGE_WRITTEN | WW_PAGE_WATCHED, WW_SCAN_RESET);
	pid_t pid = child_start(run_watched, (void *)shared);
	bool ready = *shared && ww_process_categories(p) & WW_PAGE_WATCHED;

	unmap((void *)shared, page);
	ww_process_close(p);
	cr_assert_eq(ww_process_open(&p, pid, 0), 0);
	if (ready) {
		cr_assert_eq(scan(&q, ROOM), 20);
		expect_range(19, 38, 38, WW_PAGE_WRITTEN | WW_PAGE_WATCHED);
		q.start = (uintptr_t)memory;
		cr_assert_eq(scan(&q, ROOM), 0);
	}
	child_end(pid);
	if (!ready)
		cr_skip_test("no PAGEMAP_SCAN, or userfaultfd is denied");
}

/* Of empty watched memory both ways say what kernels say since they say it of all of it. */
Test(scan, empty_memory_that_is_watched_counts_as_written)
{
	struct ww_process_query q = of_memory(WW_PAGE_WRITTEN, 0);
	struct ww_process *reading;
	size_t count = ROOM;

	watch_memory();
	madvise(memory, PAGES * page, MADV_DONTNEED);
	scan(&q, ROOM);
	if (q.pages != PAGES)
		cr_skip_test("the kernel does not report memory as written that was dropped");
	cr_assert(watch_protect(uffd, memory, 100 * page));
	memory[5 * page] = 1;
	cr_assert_eq(scan(&q, ROOM), 2);
	expect_range(0, 5, 5, WW_PAGE_WRITTEN);
	expect_range(1, 100, PAGES - 1, WW_PAGE_WRITTEN);
	cr_assert_eq(ww_process_open(&reading, 0, WW_PROCESS_READ_PAGEMAP), 0);
	q = of_memory(WW_PAGE_WRITTEN, 0);
	cr_assert_eq(ww_process_scan(reading, &q, ranges, &count), 0);
	ww_process_close(reading);
	cr_assert_eq(count, 2);
	expect_range(0, 5, 5, WW_PAGE_WRITTEN);
	expect_range(1, 100, PAGES - 1, WW_PAGE_WRITTEN);
}

/* By PROCMAP_QUERY: the text of /proc/PID/maps does not. */
static bool mappings_are_told(void)
{
	struct wwk_procmap_query q = {
		.size = sizeof(q),
		.query_addr = (uintptr_t)memory,
	};
	int maps = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	int r = ioctl(maps, WWK_PROCMAP_QUERY, &q);

	close(maps);
	return r == 0;
}

Test(scan, huge_pages_of_hugetlbfs_are_not_reset)
{
	struct ww_process_query q = of_memory(WW_PAGE_WRITTEN, WW_SCAN_RESET);
	size_t count = ROOM;
	void *huge;

	watch_memory();
	huge = mmap(memory + HUGE_BYTES, HUGE_BYTES, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_HUGETLB | MAP_NORESERVE, -1, 0);
	if (huge == MAP_FAILED)
		cr_skip_test("no mapping of hugetlbfs could be made");
	if (!mappings_are_told())
		cr_skip_test("the kernel does not tell which mappings are of hugetlbfs");
	write_every_second(10);
	cr_assert_eq(ww_process_scan(p, &q, ranges, &count), -ENOTSUP);
	cr_assert(count == 0 && q.refused == 0);
	cr_assert_eq(written(), 10);
}
