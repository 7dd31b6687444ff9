/* SPDX-License-Identifier: MIT */
/* What else goes on in a process: children, and mappings that come and go beside watched memory. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "backends.h"
#include "checkers.h"
#include "moves.h"
#include "pages.h"
#include "stress.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

#define FORK_MS 20

static void pause_ms(long ms)
{
	struct timespec t = {0, ms * 1000000L};

	while (nanosleep(&t, &t) != 0 && errno == EINTR)
		;
}

/* In the child all pages count as written, and only its own stores from then on. */
static int child(struct stress *s)
{
	size_t count = PAGES, moved_before = pages_moved();

	alarm(60);
	signal(SIGALRM, SIG_DFL);
	if (ww_get(s->w, s->memory, PAGES * s->page_size, WW_RESET, s->child_list, &count) != 0)
		return 1;
	if (count != PAGES)
		return 2;
	page_write(word(s, 8, WORDS), 1);
	count = PAGES;
	if (ww_get(s->w, s->memory, PAGES * s->page_size, 0, s->child_list, &count) != 0)
		return 3;
	/* A shared page is the parent's too, who goes on writing, but not through this mapping. */
	if (count < 1 || (!moves_explain(count - 1, moved_before) && !except(NOT_EXACT)))
		return 4;
	return 0;
}

bool can_fork(void)
{
	return !thread_sanitizer && !address_sanitizer;
}

void *forker(void *arg)
{
	struct job *job = arg;
	struct stress *s = job->s;

	while (can_fork() && !told_to(&s->stop_writers)) {
		int status = -1;
		pid_t pid = fork();

		if (pid == 0)
			_exit(child(s));
		while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		if (status != 0) {
			fprintf(stderr, "# a child ended with status 0x%x\n", (unsigned)status);
			add(&s->wrong, 1);
		}
		add(&s->forks, 1);
		pause_ms(FORK_MS);
	}
	return NULL;
}

/* Maps memory like the watched one beside it, uses it, and takes it away. Returns if it is ours. */
static bool disturb(struct stress *s, char *at)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS;
	const size_t bytes = NEIGHBOURS * s->page_size;
	bool ours;

	if (mmap(at, bytes, PROT_READ | PROT_WRITE, flags | MAP_FIXED, -1, 0) != at)
		return true;
	for (size_t i = 0; i < NEIGHBOURS; i++)
		page_write(at + i * s->page_size, i);
	if (munmap(at, bytes) != 0)
		return true;
	/* Another thread's mapping may have come here. */
	ours = mmap(at, bytes, PROT_NONE, flags | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0) == at;
	add(&s->neighbours, 1);
	return ours;
}

void *neighbour(void *arg)
{
	struct job *job = arg;
	struct stress *s = job->s;

	while (!told_to(&s->stop_writers)) {
		if (s->has_below)
			s->has_below = disturb(s, s->memory - NEIGHBOURS * s->page_size);
		if (s->has_above)
			s->has_above = disturb(s, s->memory + PAGES * s->page_size);
		pause_ms(1);
	}
	return NULL;
}

char *map_between(struct stress *s, size_t bytes)
{
	char *place = map_reserve(bytes + 2 * HUGE_BYTES, HUGE_BYTES);
	const size_t aside = HUGE_BYTES - NEIGHBOURS * s->page_size;

	unmap(place, aside);
	unmap(place + bytes + 2 * HUGE_BYTES - aside, aside);
	s->has_below = s->has_above = true;
	return place + HUGE_BYTES;
}

void unmap_between(struct stress *s, size_t bytes)
{
	const size_t beside = NEIGHBOURS * s->page_size;

	if (s->has_below)
		unmap(s->memory - beside, beside);
	if (s->has_above)
		unmap(s->memory + bytes, beside);
	unmap(s->memory, bytes);
}
