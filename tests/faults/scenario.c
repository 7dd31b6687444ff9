/* SPDX-License-Identifier: MIT */
#include "scenario.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "checkers.h"
#include "leaks.h"
#include "pages.h"
#include "recover.h"

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif

/*
 * Of the pages of the model: empty private memory; a gap with memory that is not watched; private
 * memory with content; a gap with none; shared memory; memory watched for discards; some that may
 * not be touched at first; and so much that its way of being watched can change. Of those watched
 * for discards two are locked.
 */
static const struct part fresh = {0, 24}, gap = {24, 4}, filled = {28, 16}, hole = {44, 4},
			 shared = {48, 16}, dropped = {64, 8}, secret = {72, 4}, large = {512, 512},
			 small = {0, 76}, locked = {64, 2};

static char *block;
static int memfd;

void scenario_prepare(void)
{
	block = map_reserve(PAGES * PAGE, HUGE_BYTES);
	memfd = memfd_of(shared.count * PAGE);
}

static void map(struct model *m, struct part part, int fd)
{
	int flags = MAP_FIXED | (fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED);

	if (mmap(m->base + part.first * PAGE, part.count * PAGE, PROT_READ | PROT_WRITE, flags, fd,
		 0) == MAP_FAILED)
		fail("no memory for the test");
	for (size_t i = part.first; i < part.first + part.count; i++) {
		struct page *p = &m->pages[i];

		p->mapped = true;
		p->stale = p->watched != NOT_WATCHED;
		p->word = fd < 0 ? 0 : page_read(m->base + i * PAGE);
	}
}

static void hide(struct model *m, struct part part)
{
	if (mprotect(m->base + part.first * PAGE, part.count * PAGE, PROT_NONE) < 0)
		fail("memory cannot be hidden");
	for (size_t i = part.first; i < part.first + part.count; i++)
		m->pages[i].locked = true;
}

/*
 * What is locked is dropped in a way of its own, which Linux before 5.18 lacks. Sanitizers only say
 * that they lock it.
 */
static void lock(const struct model *m, struct part part)
{
	char *at = m->base + part.first * PAGE;

	result->locked = syscall(SYS_mlock, at, part.count * PAGE) == 0;
	if (result->locked && madvise(at, part.count * PAGE, MADV_DONTNEED_LOCKED) < 0) {
		syscall(SYS_munlock, at, part.count * PAGE);
		result->locked = false;
	}
}

/* As it was before the case. */
static void fill_hole(const struct model *m)
{
	mmap(m->base + hole.first * PAGE, hole.count * PAGE, PROT_NONE,
	     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
}

static void map_all(struct model *m)
{
	m->fill_hole = fill_hole;
	m->base = block;
	m->fd = memfd;
	map(m, fresh, -1);
	map(m, gap, -1);
	map(m, filled, -1);
	map(m, shared, m->fd);
	map(m, dropped, -1);
	map(m, secret, -1);
	hide(m, secret);
	lock(m, locked);
	unmap(m->base + hole.first * PAGE, hole.count * PAGE);
	store_all(m, gap);
	store_all(m, filled);
	store_all(m, (struct part){dropped.first, 4});
}

static const struct backend_row *row_of(const struct ww_info *info)
{
	const uint64_t kinds = WW_NO_THREAD | WW_NO_SIGNAL_HANDLER;

	for (size_t i = 0; i < backend_row_count; i++)
		if (strcmp(backend_rows[i].reported, info->backend) == 0 &&
		    (backend_rows[i].guarantees & kinds) == (info->guarantees & kinds))
			return &backend_rows[i];
	fail("the backend %s is not in the table", info->backend);
}

static int make_context(struct model *m, bool brief)
{
	struct ww_info info = {.size = sizeof(info)};
	int r;

	if (brief) {
		result->at = "ww_probe";
		checked(m, API_PROBE, ww_probe(NULL, &info));
	}
	result->at = "ww_new";
	m->w = (struct ww *)&info;
	r = checked(m, API_NEW, ww_new(&m->w, NULL));
	if (r < 0 && m->w)
		fail("ww_new fails and does not clear the pointer");
	if (r < 0)
		return r;
	info.size = sizeof(info);
	if (ww_info(m->w, &info) < 0)
		fail("ww_info fails");
	m->row = row_of(&info);
	snprintf(result->backend, sizeof(result->backend), "%s", m->row->name);
	return 0;
}

static void watch_and_write(struct model *m)
{
	result->at = "watching";
	/* Then it is more of the other kind. */
	if (lacks(m, NO_SHARED))
		map(m, shared, -1);
	do_watch(m, fresh, 0);
	do_watch(m, filled, 0);
	do_watch(m, shared, 0);
	do_watch(m, dropped, lacks(m, NO_DISCARDS) ? 0 : WW_DISCARDS);
	do_watch(m, secret, 0);
	do_protect(m, secret, PROT_READ | PROT_WRITE);
	result->at = "queries";
	store(m, secret.first + 2);
	store(m, fresh.first + 1);
	store_all(m, (struct part){fresh.first + 5, 3});
	store(m, filled.first);
	store(m, filled.first + 3);
	store(m, shared.first + 2);
	store(m, shared.first + 9);
	store(m, dropped.first + 1);
	store(m, dropped.first + 6);
	do_get(m, fresh, 0, 0);
	do_get_ranges(m, filled, 0, 0);
	do_get_bitmap(m, shared, 0);
	do_count(m, dropped, 0);
	do_get(m, fresh, WW_RESET, 0);
	do_get_ranges(m, filled, WW_RESET, 0);
	do_get_bitmap(m, shared, WW_RESET);
	do_get_ranges(m, dropped, WW_RESET, 0);
}

static void query_across(struct model *m)
{
	result->at = "queries across gaps";
	for (int i = 0; i < 2; i++) {
		store_all(m, (struct part){fresh.first + 20, 4});
		store(m, gap.first + 1);
		store(m, filled.first + 1);
		store(m, filled.first + 15);
		store(m, shared.first);
		store(m, dropped.first + 7);
		do_count(m, small, WW_ACROSS);
		if (i == 0)
			do_get(m, small, WW_ACROSS | WW_RESET, 0);
		else
			do_get_ranges(m, small, WW_ACROSS | WW_RESET, 0);
		do_get_bitmap(m, small, WW_ACROSS);
	}
	result->at = "queries with little room";
	store_all(m, (struct part){filled.first + 2, 5});
	store(m, filled.first + 9);
	do_get(m, filled, WW_RESET, 3);
	do_get_ranges(m, filled, WW_RESET, 1);
	do_get(m, filled, WW_RESET, 0);
	store(m, filled.first + 2);
	do_reset(m, (struct part){filled.first, 8});
	do_get(m, filled, 0, 0);
}

static void mark_and_discard(struct model *m)
{
	result->at = "marks";
	do_mark(m, (struct part){fresh.first + 2, 2});
	do_mark(m, (struct part){filled.first + 8, 8});
	do_mark(m, (struct part){shared.first + 15, 1});
	do_get(m, small, WW_ACROSS | WW_RESET, 0);
	result->at = "discards";
	store_all(m, (struct part){filled.first + 4, 4});
	store(m, shared.first + 5);
	store(m, fresh.first + 9);
	do_discard(m, (struct part){filled.first + 4, 6});
	do_discard(m, (struct part){shared.first + 4, 4});
	do_discard(m, (struct part){fresh.first + 8, 4});
	do_discard(m, locked);
	store(m, filled.first + 5);
	do_get(m, small, WW_ACROSS, 0);
	do_get_ranges(m, small, WW_ACROSS | WW_RESET, 0);
}

static void write_by_kernel_and_protect(struct model *m)
{
	result->at = "writes by the kernel";
	do_kernel_write(m, fresh.first + 3);
	do_kernel_write(m, filled.first + 12);
	do_kernel_write(m, shared.first + 12);
	do_get(m, filled, WW_RESET, 0);
	result->at = "protection";
	store(m, filled.first + 7);
	do_protect(m, (struct part){filled.first + 6, 6}, PROT_READ);
	do_get(m, filled, WW_RESET, 0);
	do_protect(m, (struct part){filled.first + 6, 6}, PROT_READ | PROT_WRITE);
	do_protect(m, (struct part){shared.first, 2}, PROT_READ);
	do_protect(m, (struct part){shared.first, 2}, PROT_READ | PROT_WRITE);
	store(m, filled.first + 8);
	do_get_ranges(m, filled, WW_RESET, 0);
}

/* Where queries do not say that there is something to repair. */
static void repair_at_last(struct model *m)
{
	inject->on = false;
	if (do_watch(m, fresh, 0) < 0)
		fail("ww_watch fails with nothing failing any more");
	inject->on = true;
}

static void remap_and_unwatch(struct model *m)
{
	const struct part remapped = {fresh.first + 12, 6}, middle = {filled.first + 5, 4};

	result->at = "a mapping in the place of another";
	store(m, fresh.first + 14);
	store(m, fresh.first + 20);
	map(m, remapped, -1);
	do_get(m, fresh, 0, 0);
	if (do_watch(m, fresh, 0) < 0 && lacks(m, NO_STALE))
		repair_at_last(m);
	store(m, fresh.first + 13);
	do_get(m, fresh, WW_RESET, 0);
	result->at = "unwatching";
	store(m, filled.first + 2);
	store(m, filled.first + 12);
	do_unwatch(m, middle);
	store(m, middle.first + 1);
	do_get(m, small, WW_ACROSS | WW_RESET, 0);
	if (!lacks(m, NO_DISCARDS)) {
		result->at = "discards on a second thought";
		store(m, fresh.first + 4);
		do_watch(m, fresh, WW_DISCARDS);
		do_get(m, fresh, WW_RESET, 0);
	}
}

/* Where a first write costs little, a range of which most is written gets another mode. */
static void grow_dense(struct model *m)
{
	const uint64_t cheap = WW_NO_THREAD | WW_NO_SIGNAL_HANDLER;

	if ((m->row->guarantees & cheap) != cheap)
		return;
	result->at = "a range that becomes dense";
	map(m, large, -1);
	do_watch(m, large, 0);
	store_all(m, (struct part){large.first + 100, 300});
	do_get_ranges(m, large, WW_RESET, 0);
	store(m, large.first);
	store(m, large.first + 200);
	do_get(m, large, WW_RESET, 0);
}

static void run_child(struct model *m)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	m->child = true;
	for (size_t i = 0; i < PAGES; i++) {
		struct page *p = &m->pages[i];

		if (p->watched == WATCHED)
			p->must = p->may = true;
		p->stale = false;
	}
	result->at = "the first query of a child";
	store(m, fresh.first + 6);
	do_get(m, fresh, WW_RESET, 0);
	result->at = "a child";
	store(m, filled.first + 1);
	do_get_ranges(m, small, WW_ACROSS | WW_RESET, 0);
	store(m, fresh.first + 6);
	do_get_bitmap(m, fresh, WW_RESET);
	do_mark(m, (struct part){filled.first, 2});
	recover(m);
	finish_with(m);
	_exit(0);
}

static void fork_and_go_on(struct model *m)
{
	int status;
	pid_t pid;

	store(m, fresh.first + 5);
	store(m, shared.first + 5);
	result->at = "fork";
	pid = fork();
	if (pid == 0)
		run_child(m);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		fail("no child");
	if (WIFSIGNALED(status)) {
		signal(WTERMSIG(status), SIG_DFL);
		raise(WTERMSIG(status));
	}
	if (status)
		_exit(1);
	/* The child may have written to what is shared, and turned the failures off. */
	inject->on = true;
	for (size_t i = shared.first; i < shared.first + shared.count; i++)
		m->pages[i].word = page_read(m->base + i * PAGE);
	result->at = "after fork";
	store(m, filled.first + 14);
	do_get(m, small, WW_ACROSS, 0);
	do_get(m, fresh, WW_RESET, 0);
}

const char *scenario_no_fork(const struct backend_row *row)
{
	if (!(address_sanitizer || thread_sanitizer) || row->guarantees & WW_NO_THREAD)
		return NULL;
	return "the sanitizers' locks are not made for the fork of a process with threads";
}

void scenario_run(bool brief)
{
	static struct model m;

	memset(&m, 0, sizeof(m));
	signal(SIGSEGV, SIG_DFL);
	signal(SIGBUS, SIG_DFL);
	map_all(&m);
	m.mapped_before = mapped_pages();
	inject->on = true;
	if (make_context(&m, brief) == 0) {
		watch_and_write(&m);
		query_across(&m);
		if (!brief) {
			mark_and_discard(&m);
			write_by_kernel_and_protect(&m);
			remap_and_unwatch(&m);
			grow_dense(&m);
			if (!scenario_no_fork(m.row))
				fork_and_go_on(&m);
		}
		recover(&m);
	} else {
		recover_none(&m);
	}
	finish_with(&m);
	_exit(0);
}
