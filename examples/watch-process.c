/* SPDX-License-Identifier: MIT */
/*
 * Tells every half second which memory a process writes: the one whose number is given, or a child
 * that goes on changing three pages, of which nothing may be missed.
 */
/* With -std=c99 or c11, where the C library is strict. */
#define _DEFAULT_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <writewatch/process.h>

#define PAGE 4096
#define ROOM 512
#define TURNS 4
/* What meson takes for a test that was skipped. */
#define SKIPPED 77

static char *memory;

static void write_for_ever(void)
{
	for (;;) {
		memory[1 * PAGE]++;
		memory[2 * PAGE]++;
		memory[7 * PAGE]++;
		usleep(1000);
	}
}

static pid_t start_child(void)
{
	pid_t pid;

	memory = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return -1;
	pid = fork();
	if (pid == 0)
		write_for_ever();
	return pid;
}

static bool is_told(const struct ww_page_range *ranges, size_t count, const char *page)
{
	for (size_t i = 0; i < count; i++)
		if (ranges[i].start <= (uintptr_t)page && (uintptr_t)page < ranges[i].end)
			return true;
	return false;
}

/* One interval: mappings that came, then what was written. Longer answers take several calls. */
static int look(struct ww_process *p, bool *all_told)
{
	static struct ww_page_range ranges[ROOM];
	uint64_t from = 0, pages = 0;
	size_t count;
	int r = ww_process_refresh(p);

	do {
		count = ROOM;
		if (r == 0)
			r = ww_process_get(p, &from, 0, WW_RESET, ranges, &count);
		if (r < 0)
			return r;
		for (size_t i = 0; i < count; i++) {
			pages += (ranges[i].end - ranges[i].start) / PAGE;
			printf("  %" PRIx64 "-%" PRIx64 "\n", ranges[i].start, ranges[i].end);
		}
		if (memory && count < ROOM)
			*all_told = is_told(ranges, count, memory + 1 * PAGE) &&
				    is_told(ranges, count, memory + 2 * PAGE) &&
				    is_told(ranges, count, memory + 7 * PAGE);
	} while (count == ROOM);
	printf("%" PRIu64 " pages were written\n", pages);
	return 0;
}

/* Returns the exit status. */
static int watch(struct ww_process *p, int turns)
{
	struct ww_attachment info = {.size = sizeof(info)};
	bool all_told = true;
	int r, tries = 5;

	/* On a busy machine a thread may not stop in time. */
	do
		r = ww_process_attach(p, 0);
	while (r == -ETIMEDOUT && --tries > 0);
	ww_process_attachment(p, &info);
	if (r < 0) {
		fprintf(stderr, "cannot attach: %s: %s\n", strerror(-r),
			info.reason ? info.reason : "no more is known");
		return r == -ENOTSUP || r == -EPERM ? SKIPPED : 1;
	}
	printf("watching %" PRIu64 " mappings, after a stop of %" PRIu64 " us\n", info.watched,
	       info.stopped_ns / 1000);
	while (all_told && r == 0 && turns-- != 0) {
		usleep(500000);
		r = look(p, &all_told);
	}
	if (r < 0)
		fprintf(stderr, "no more: %s\n", strerror(-r));
	if (!all_told)
		fprintf(stderr, "what the child wrote was missed\n");
	return all_told && (r == 0 || r == -ESRCH) ? 0 : 1;
}

int main(int argc, char **argv)
{
	pid_t pid = argc > 1 ? (pid_t)strtol(argv[1], NULL, 10) : start_child();
	struct ww_process *p;
	int status, r = pid > 0 ? ww_process_open(&p, pid, 0) : -ESRCH;

	if (r < 0) {
		fprintf(stderr, "cannot open %d: %s%s%s\n", (int)pid, strerror(-r),
			r == -EACCES ? "; " : "", r == -EACCES ? ww_process_hint(pid) : "");
		status = 1;
	} else {
		status = watch(p, argc > 1 ? -1 : TURNS);
		ww_process_close(p);
	}
	if (memory && pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	return status;
}
