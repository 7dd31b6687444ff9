/* SPDX-License-Identifier: MIT */
#include "recover.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "leaks.h"
#include "pages.h"

static void succeed(const char *what, int r)
{
	if (r < 0)
		fail("%s with nothing failing any more: %s", what, error_name(-r));
}

/* Which of the pages that were perhaps unwatched are. */
static void ask_for_watched(struct model *m)
{
	for (size_t i = 0; i < PAGES; i++) {
		struct page *p = &m->pages[i];
		size_t count;
		int r;

		if (p->watched != PERHAPS_WATCHED)
			continue;
		r = ww_get(m->w, m->base + i * PAGE, PAGE, 0, NULL, &count);
		if (r != 0 && r != -ENOENT && r != -ESTALE)
			succeed("ww_get", r);
		p->watched = r == -ENOENT ? NOT_WATCHED : WATCHED;
		if (r == -ENOENT)
			p->must = p->may = p->stale = false;
	}
}

/* The next pages behind @part that are watched; none: its count is 0. */
static struct part next_part(const struct model *m, struct part part)
{
	part.first += part.count;
	part.count = 0;
	while (part.first < PAGES && m->pages[part.first].watched != WATCHED)
		part.first++;
	while (part.first + part.count < PAGES &&
	       m->pages[part.first + part.count].watched == WATCHED)
		part.count++;
	return part;
}

static void unlock(struct model *m)
{
	for (size_t i = 0; i < PAGES; i++)
		if (m->pages[i].locked)
			succeed("ww_protect",
				do_protect(m, (struct part){i, 1}, PROT_READ | PROT_WRITE));
}

/* Exactly what was written, which is @every n-th page. */
static void expect_exactly(struct model *m, struct part part, size_t every)
{
	static void *pages[PAGES + 1];
	size_t count = PAGES + 1, n = 0;

	for (size_t i = 0; i < part.count; i += every)
		store(m, part.first + i);
	succeed("ww_get", ww_get(m->w, m->base + part.first * PAGE, part.count * PAGE, WW_RESET,
				 pages, &count));
	for (size_t i = 0; i < part.count; i += every, n++)
		if (n >= count || pages[n] != m->base + (part.first + i) * PAGE)
			fail("after recovery page %zu is not reported as it should be",
			     part.first + i);
	if (n != count)
		fail("after recovery %zu pages are reported, and %zu were written", count, n);
	for (size_t i = 0; i < part.count; i++)
		m->pages[part.first + i].must = m->pages[part.first + i].may = false;
}

void recover(struct model *m)
{
	struct part part = {0};

	inject->on = false;
	result->at = "recovery";
	ask_for_watched(m);
	unlock(m);
	while ((part = next_part(m, part)).count) {
		succeed("ww_watch", do_watch(m, part, 0));
		succeed("ww_get", do_get(m, part, 0, 0));
		succeed("ww_get", do_get_ranges(m, part, WW_RESET, 0));
		succeed("ww_get", do_get(m, part, WW_RESET, 0));
		if (lacks(m, NOT_EXACT))
			continue;
		expect_exactly(m, part, 5);
		expect_exactly(m, part, part.count < 64 ? 1 : 50);
	}
	compare_content(m);
	inject->on = true;
}

void recover_none(struct model *m)
{
	inject->on = false;
	result->at = "ww_new again";
	succeed("ww_new", ww_new(&m->w, NULL));
	inject->on = true;
}

/* In pages. */
#define MOST_STACK 256

/* Of the threads that there are, the kernel makes a folder each. */
static size_t threads(void)
{
	struct stat st;

	return stat("/proc/self/task", &st) == 0 ? st.st_nlink - 2 : 0;
}

static bool is_default(int number)
{
	struct sigaction now;

	sigaction(number, NULL, &now);
	return !(now.sa_flags & SA_SIGINFO) && now.sa_handler == SIG_DFL;
}

/* The memory is the program's again, unless the kernel would not give it back. */
static void expect_writable(struct model *m)
{
	if (inject->plan.call == CALL_MPROTECT && inject->failed &&
	    (inject->plan.mode == EVER || inject->plan.error != ENOMEM))
		return;
	for (size_t i = 0; i < PAGES; i++) {
		m->pages[i].watched = NOT_WATCHED;
		store(m, i);
	}
}

size_t mapped_pages(void)
{
	char text[64] = "";
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		fail("no /proc/self/statm");
	close(fd);
	return strtoul(text, NULL, 10);
}

/*
 * To compare the mappings one by one costs more than all the rest of a case: most of the time their
 * size has to do. What is registered, is so with a descriptor.
 */
static void expect_no_leaks(const struct model *m)
{
	/* To a child the C library leaves the stacks of all threads, and so does the library. */
	bool stack = m->child && m->row && !(m->row->guarantees & WW_NO_THREAD);

	inject_unmap();
	if (stack && mapped_pages() <= m->mapped_before + MOST_STACK)
		setenv("WW_LEAKS", "fds", 1);
	if (inject->plan.nth > 2 && mapped_pages() == m->mapped_before)
		setenv("WW_LEAKS", "fds", 1);
	m->fill_hole(m);
	if (leaks_found(LEAKS_THREAD_STACKS))
		fail("descriptors, mappings or registrations are left");
}

void finish_with(struct model *m)
{
	sigset_t blocked;

	result->at = "ww_free";
	ww_free(m->w);
	inject->on = false;
	result->at = "after ww_free";
	expect_writable(m);
	if (inject_allocated() != 0)
		fail("%ld blocks of memory were not freed", inject_allocated());
	/* A thread that was joined may take a moment to leave. */
	for (int i = 0; i < 1000 && threads() != 1; i++)
		usleep(10000);
	if (threads() != 1)
		fail("%zu threads are left", threads());
	if (inject->plan.call != CALL_SIGACTION && (!is_default(SIGSEGV) || !is_default(SIGBUS)))
		fail("a signal handler is left");
	sigprocmask(SIG_SETMASK, NULL, &blocked);
	if (sigismember(&blocked, SIGBUS) || sigismember(&blocked, SIGTERM))
		fail("signals are left blocked");
	expect_no_leaks(m);
}
