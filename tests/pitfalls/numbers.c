/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <writewatch/writewatch.h>

#include "backends.h"
#include "context.h"
#include "pages.h"
#include "sys.h"

/* The program closed descriptors of the library, and their numbers are other files' of the same kind. */

#define PAGE ((size_t)4096)
#define PAGES 16
#define ALL (PAGES * PAGE)

static struct ww *w;
static char *memory;
/* What a child says to its parent, and the other way round. */
static atomic_int *stage;

static void begin(void)
{
	backend_begin();
	stage = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	memory = map_private(ALL);
	memset(memory, 1, ALL);
	cr_assert_eq(ww_new(&w, NULL), 0);
	cr_assert_eq(ww_watch(w, memory, ALL, 0), 0);
}

static void end(void)
{
	ww_free(w);
	unmap(memory, ALL);
	unmap(stage, PAGE);
}

TestSuite(numbers, .init = begin, .fini = end, .timeout = 60);

/* Once it finds out that something is gone, a query says so, and the next one is right. */
static size_t get(void)
{
	void *pages[PAGES];
	size_t count = PAGES;
	int r = ww_get(w, memory, ALL, WW_RESET, pages, &count);

	if (r == -ESTALE) {
		count = PAGES;
		r = ww_get(w, memory, ALL, WW_RESET, pages, &count);
	}
	cr_assert_eq(r, 0, "%d", r);
	return count;
}

static pid_t idle_child(void)
{
	pid_t child = fork();

	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	cr_assert_gt(child, 0);
	return child;
}

static void put_in_place(int fd, const struct sys_file *file)
{
	cr_assert_geq(fd, 0);
	cr_assert_eq(dup2(fd, file->fd), file->fd);
	close(fd);
}

Test(numbers, of_the_pagemap_of_another_process)
{
	pid_t other = idle_child();
	char path[40];

	cr_assert_eq(get(), 0);
	if (sys_is_open(&w->pagemap)) {
		snprintf(path, sizeof(path), "/proc/%d/pagemap", (int)other);
		put_in_place(open(path, O_RDONLY), &w->pagemap);
	}
	memory[3 * PAGE]++;
	cr_assert_geq(get(), 1);
	memory[5 * PAGE]++;
	cr_assert_eq(get(), 1);
	kill(other, SIGKILL);
	waitpid(other, NULL, 0);
}

static void await(int value)
{
	while (*stage < value)
		usleep(100);
}

/* Its first call takes the place of what it has in common with its parent. */
static void use_common_descriptors(void)
{
	void *pages[PAGES];
	size_t count = PAGES;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (ww_get(w, memory, ALL, WW_RESET, pages, &count) != 0 || count != PAGES)
		_exit(1);
	*stage = 1;
	await(2);
	memory[4 * PAGE]++;
	count = PAGES;
	*stage = 3;
	await(4);
	/* -ESTALE: the parent took it from us in turn. */
	if (ww_get(w, memory, ALL, WW_RESET, pages, &count) == -ESTALE) {
		count = PAGES;
		if (ww_get(w, memory, ALL, WW_RESET, pages, &count) != 0)
			_exit(2);
	}
	for (size_t i = 0; i < count; i++)
		if (pages[i] == memory + 4 * PAGE)
			_exit(0);
	_exit(3);
}

static void share_descriptors(bool reset)
{
	int status;
	pid_t child;

	cr_assert_eq(get(), 0);
	child = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
	if (child == 0)
		use_common_descriptors();
	cr_assert_gt(child, 0);
	await(1);
	memory[3 * PAGE]++;
	*stage = 2;
	await(3);
	/* The child's pages are none of the parent's business. */
	if (reset)
		ww_reset(w, memory + 4 * PAGE, PAGE);
	cr_assert_geq(get(), 1);
	*stage = 4;
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert_eq(status, 0, "%#x", (unsigned)status);
	memory[5 * PAGE]++;
	cr_assert_geq(get(), 1);
}

Test(numbers, of_a_child_that_shares_descriptors)
{
	share_descriptors(false);
}

Test(numbers, of_a_child_that_shares_descriptors_in_a_reset)
{
	share_descriptors(true);
}

Test(numbers, of_the_userfaultfd_of_another_context)
{
	struct ww *other;
	void *pages[PAGES];
	size_t count = PAGES;

	if (!sys_is_open(&w->uffd)) {
		end();
		cr_skip_test("%s has no userfaultfd", backend()->name);
	}
	cr_assert_eq(ww_new(&other, NULL), 0);
	put_in_place(dup(w->uffd.fd), &other->uffd);
	cr_assert_eq(ww_watch(other, memory, ALL, 0), -EBUSY);
	cr_assert_eq(get(), 0);
	memory[3 * PAGE]++;
	cr_assert_eq(ww_get(other, memory, ALL, WW_RESET, pages, &count), -ENOENT);
	cr_assert_eq(get(), 1);
	ww_free(other);
}
