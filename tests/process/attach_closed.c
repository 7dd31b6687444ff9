/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "attached.h"
#include "child.h"
#include "leaks.h"
#include "pages.h"

/* The calling program closes the userfaultfd of a process that it watches. */

#define PAGES 16
#define TRIES 10000

/* What a child and the test tell each other. */
struct talk {
	volatile int go, done;
};

static char *memory;
static size_t bytes;
static struct talk *talks;

static void write_when_told(void *arg)
{
	struct talk *t = arg;

	while (!t->go)
		usleep(1000);
	memory[0]++;
	t->done = 1;
	pause();
}

static void begin(void)
{
	attach_begin();
	leaks_begin();
	bytes = PAGES * page_bytes();
	memory = map_private(bytes);
	memory[0] = 1;
	talks = map_common(page_bytes());
}

static void end(void)
{
	unmap(memory, bytes);
	unmap(talks, page_bytes());
	leaks_end_threads();
}

TestSuite(closed, .init = begin, .fini = end);

static pid_t start(struct talk *t)
{
	return child_start_then(NULL, write_when_told, t);
}

static void tell(struct talk *t)
{
	t->go = 1;
	for (int i = 0; i < TRIES && !t->done; i++)
		usleep(1000);
	cr_assert(t->done);
}

/* The highest descriptor that is a userfaultfd. */
static int find_userfaultfd(void)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;
	int found = -1;

	cr_assert_not_null(dir);
	while ((entry = readdir(dir))) {
		char target[64] = "";
		int fd = atoi(entry->d_name);

		if (readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1) > 0 &&
		    strstr(target, "userfaultfd") && fd > found)
			found = fd;
	}
	closedir(dir);
	cr_assert_geq(found, 0);
	return found;
}

static int get(struct ww_process *p, unsigned flags)
{
	uint64_t from = (uintptr_t)memory;
	struct ww_page_range range;
	size_t count = 1;

	return ww_process_get(p, &from, from + bytes, flags, &range, &count);
}

Test(closed, is_told)
{
	pid_t pid = start(&talks[0]);
	struct ww_process *p = attach_to(pid);

	close(find_userfaultfd());
	tell(&talks[0]);
	cr_assert_eq(get(p, 0), -EBADF);
	cr_assert_eq(get(p, WW_RESET), -EBADF);
	cr_assert_eq(ww_process_refresh(p), -EBADF);
	ww_process_close(p);
	child_end(pid);
}

/* A process of the same layout, as its addresses are what the kernel is asked about. */
Test(closed, and_another_by_its_number_is_left_alone)
{
	pid_t first = start(&talks[0]), second = start(&talks[1]);
	struct ww_process *p = attach_to(first), *other;
	int number = find_userfaultfd();

	other = attach_to(second);
	cr_assert_eq(dup2(find_userfaultfd(), number), number);
	cr_assert_eq(get(p, WW_RESET), -EBADF);
	cr_assert_eq(ww_process_refresh(p), -EBADF);
	ww_process_close(p);
	tell(&talks[1]);
	cr_assert(is_written(other, memory, WW_RESET));
	ww_process_close(other);
	close(number);
	child_end(first);
	child_end(second);
}
