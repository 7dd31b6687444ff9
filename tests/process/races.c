/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <writewatch/process.h>

#include "child.h"
#include "leaks.h"
#include "pages.h"
#include "random.h"
#include "watch.h"

/*
 * A child writes, and its memory is copied page by page as pages are reported. When it has ended, the
 * copy is its memory: no write was lost. It writes to a few pages at a time and does not come back to
 * them soon, so that a write that is lost stays lost.
 */

#define PAGES ((size_t)4096)
#define WINDOW ((size_t)16)
#define WRITES (8 * WINDOW) /* before the window moves on by a page */
#define LITTLE ((size_t)10)
#define BOTH (WW_MEMWATCH_GET | WW_MEMWATCH_CLEAR)

/* Fewer calls while there are writes would mean nothing. */
#define CALLS 10

struct shared {
	int calls;
	int done;
	int watched;
};

static char *memory;
static uint64_t copy[PAGES];
static struct shared *shared;
static size_t page;
static struct ww_process *p;
static int mem;
static pid_t pid;

TestSuite(races, .init = leaks_begin, .fini = leaks_end);

static void fill(void *watched)
{
	int uffd = watched ? watch_open() : -1;

	for (size_t i = 0; i < PAGES; i++)
		page_write(memory + i * page, 0);
	shared->watched = watch_attach(uffd, memory, PAGES * page) &&
			  watch_protect(uffd, memory, PAGES * page);
}

static void write_once(struct rng *rng, uint64_t *writes)
{
	for (size_t first = 0; first <= PAGES - WINDOW; first++) {
		for (size_t i = 0; i < WRITES; i++)
			page_write(memory + (first + rng_below(rng, WINDOW)) * page, ++*writes);
		if (rng_one_in(rng, 8))
			usleep(100);
	}
}

static void write_all(void *watched)
{
	struct rng rng = {random_seed("process-races")};
	uint64_t writes = 0;

	(void)watched;
	while (__atomic_load_n(&shared->calls, __ATOMIC_ACQUIRE) < CALLS)
		write_once(&rng, &writes);
	__atomic_store_n(&shared->done, 1, __ATOMIC_RELEASE);
}

static void begin(bool watched, unsigned flags)
{
	char path[64];

	page = page_bytes();
	memory = map_private(PAGES * page);
	madvise(memory, PAGES * page, MADV_NOHUGEPAGE);
	shared = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	memset(copy, 0xff, sizeof(copy));
	pid = child_start_then(fill, write_all, watched ? shared : NULL);
	cr_assert_eq(ww_process_open(&p, pid, flags), 0);
	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	mem = open(path, O_RDONLY | O_CLOEXEC);
	cr_assert_geq(mem, 0);
}

static void end(void)
{
	ww_process_close(p);
	child_end(pid);
	close(mem);
	unmap(memory, PAGES * page);
	unmap(shared, page);
}

static void copy_page(size_t i)
{
	cr_assert_eq(pread(mem, &copy[i], sizeof(copy[i]), (off_t)((uintptr_t)memory + i * page)),
		     (ssize_t)sizeof(copy[i]));
}

/* The rule: what was reported is read after the call. */
static size_t copy_reported(size_t room)
{
	static uint64_t vec[PAGES];
	unsigned limits;
	ssize_t n = ww_process_memwatch(p, (uintptr_t)memory, PAGES * page, BOTH, vec, room,
					&limits);

	cr_assert_geq(n, 0);
	for (ssize_t i = 0; i < n; i++)
		copy_page(vec[i]);
	return (size_t)n;
}

static void halt(bool on)
{
	kill(pid, on ? SIGSTOP : SIGCONT);
	cr_assert_eq(waitpid(pid, NULL, on ? WUNTRACED : WCONTINUED), pid);
}

static void run(bool stops)
{
	uint64_t lost = 0, value;

	for (size_t i = 0; i < PAGES; i++)
		copy_page(i);
	while (!__atomic_load_n(&shared->done, __ATOMIC_ACQUIRE)) {
		if (stops)
			halt(true);
		copy_reported(shared->calls % 2 ? PAGES : LITTLE);
		__atomic_add_fetch(&shared->calls, 1, __ATOMIC_ACQ_REL);
		if (stops) {
			halt(false);
			/* Or it hardly ever runs. */
			usleep(1000);
		}
	}
	while (copy_reported(PAGES))
		;
	for (size_t i = 0; i < PAGES; i++) {
		value = copy[i];
		copy_page(i);
		lost += copy[i] != value;
	}
	cr_assert_eq(lost, 0, "%lu of %zu pages were lost", lost, PAGES);
}

Test(races, watched_memory, .timeout = 60)
{
	bool usable;

	begin(true, 0);
	usable = shared->watched && ww_process_categories(p) & WW_PAGE_WATCHED;
	if (usable)
		run(false);
	end();
	if (!usable)
		cr_skip_test("no PAGEMAP_SCAN, or userfaultfd is denied");
}

/* By soft-dirty bits nothing is lost of a process that is stopped for each call. */
static void by_soft_dirty(unsigned flags)
{
	bool usable;

	begin(false, flags);
	usable = ww_process_categories(p) & WW_PAGE_SOFT_DIRTY;
	if (usable)
		run(true);
	end();
	if (!usable)
		cr_skip_test("the kernel has no soft-dirty bits (CONFIG_MEM_SOFT_DIRTY)");
}

Test(races, soft_dirty, .timeout = 60)
{
	by_soft_dirty(0);
}

Test(races, soft_dirty_read_from_pagemap, .timeout = 60)
{
	by_soft_dirty(WW_PROCESS_READ_PAGEMAP);
}
