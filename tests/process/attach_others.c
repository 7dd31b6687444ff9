/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "attached.h"
#include "child.h"
#include "leaks.h"
#include "pages.h"
#include "watch.h"

/* Memory that belongs to another userfaultfd, where there was memory of ours before. */

#define PAGES 16
#define WRITTEN 3

static char *memory;
static size_t bytes;
static int ends[2];

enum order { MAP_ANEW = 'm', WRITE = 'w', WATCH = 'W' };

static void watch(void)
{
	int uffd = watch_open();

	memory[0] = 1;
	if (uffd < 0 || !watch_attach(uffd, memory, bytes) || !watch_protect(uffd, memory, bytes))
		_exit(1);
}

static void obey(void *arg)
{
	char order;

	(void)arg;
	while (read(ends[1], &order, 1) == 1) {
		if (order == MAP_ANEW)
			munmap(memory, bytes);
		if (order == MAP_ANEW &&
		    mmap(memory, bytes, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != memory)
			_exit(1);
		if (order == WATCH)
			watch();
		if (order == WRITE)
			memory[WRITTEN * page_bytes()]++;
		if (write(ends[1], "", 1) != 1)
			_exit(1);
	}
	_exit(0);
}

static void tell(char order)
{
	cr_assert_eq(write(ends[0], &order, 1), 1);
	cr_assert_eq(read(ends[0], &order, 1), 1);
}

static void begin(void)
{
	attach_begin();
	leaks_begin();
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	bytes = PAGES * page_bytes();
	memory = map_private(bytes);
	madvise(memory, bytes, MADV_NOHUGEPAGE);
}

static void end(void)
{
	close(ends[0]);
	close(ends[1]);
	unmap(memory, bytes);
	leaks_end();
}

TestSuite(others, .init = begin, .fini = end);

Test(others, watchers_keep_what_they_took)
{
	pid_t pid = child_start_then(NULL, obey, NULL);
	struct ww_process *first = attach_to(pid), *second = attach_to(pid);

	cr_assert_eq(take_written(first, memory, bytes), 0);
	tell(MAP_ANEW);
	cr_assert_eq(ww_process_refresh(second), 0);
	cr_assert_eq(ww_process_refresh(first), 0);
	tell(WRITE);
	cr_assert_eq(take_written(first, memory, bytes), 0, "it is the other's");
	cr_assert_eq(take_written(second, memory, bytes), 1);
	ww_process_close(first);
	tell(WRITE);
	cr_assert_eq(take_written(second, memory, bytes), 1);
	ww_process_close(second);
	child_end(pid);
}

Test(others, are_not_ended_by_who_was_there_before)
{
	pid_t pid = child_start_then(NULL, obey, NULL);
	struct ww_process *first = attach_to(pid), *second = attach_to(pid);

	tell(MAP_ANEW);
	cr_assert_eq(ww_process_refresh(second), 0);
	/* Which has not looked since. */
	ww_process_close(first);
	cr_assert_eq(ww_process_refresh(second), 0);
	tell(WRITE);
	cr_assert_eq(take_written(second, memory, bytes), 1);
	ww_process_close(second);
	child_end(pid);
}

Test(others, the_process_itself_keeps_what_it_watches)
{
	struct ww_page_range range = {0};
	struct ww_process_query q = {.size = sizeof(q)};
	pid_t pid = child_start_then(NULL, obey, NULL);
	struct ww_process *p = attach_to(pid);
	size_t count = 1;

	tell(MAP_ANEW);
	tell(WATCH);
	cr_assert_eq(ww_process_refresh(p), 0);
	tell(WRITE);
	cr_assert_eq(take_written(p, memory, bytes), 0);
	q.start = (uintptr_t)memory;
	q.end = q.start + bytes;
	q.required = WW_PAGE_WATCHED | WW_PAGE_WRITTEN;
	q.any_of = WW_PAGE_PRESENT;
	cr_assert_eq(ww_process_scan(p, &q, &range, &count), 0);
	cr_assert_eq(count, 1, "it is still to be found by itself");
	cr_assert_eq(range.start, q.start + WRITTEN * page_bytes());
	ww_process_close(p);
	child_end(pid);
}
