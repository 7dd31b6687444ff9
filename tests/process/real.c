/* SPDX-License-Identifier: MIT */
/*
 * Attaches to a program at work, and compares what is reported with two copies of its memory.
 *
 *   real compare PID MILLISECONDS alone|shared   alone: nobody else writes to its shared memory
 *   real pause PID COUNT                         for how long attaching stops it
 *   real follow PID MILLISECONDS                 get and reset so often, until standard input ends
 *
 * Prints lines of a name and a number. Ends with 77, and a reason, where attaching is refused.
 */
#include "real.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REFUSED 77
#define INTERVAL_MS 50
#define ROOM 512

static pid_t stopped;

void real_die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fprintf(stderr, "real: ");
	vfprintf(stderr, format, args);
	fprintf(stderr, "\n");
	va_end(args);
	real_continue();
	exit(1);
}

static bool all_stopped(pid_t pid)
{
	char path[320], text[128], *letter;
	struct dirent *task;
	bool all = true;
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	tasks = opendir(path);
	if (!tasks)
		real_die("%d has ended", (int)pid);
	while (all && (task = readdir(tasks))) {
		FILE *file;

		if (task->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%s/stat", (int)pid, task->d_name);
		file = fopen(path, "re");
		if (!file)
			continue;
		text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
		letter = strrchr(text, ')');
		all = letter && strchr("TtZX", letter[2]);
		fclose(file);
	}
	closedir(tasks);
	return all;
}

void real_stop(pid_t pid)
{
	if (kill(pid, SIGSTOP) < 0)
		real_die("cannot stop %d", (int)pid);
	stopped = pid;
	for (int i = 0; !all_stopped(pid); i++) {
		if (i == 5000)
			real_die("%d does not stop", (int)pid);
		usleep(1000);
	}
}

void real_continue(void)
{
	if (stopped)
		kill(stopped, SIGCONT);
	stopped = 0;
}

static struct ww_process *open_process(pid_t pid)
{
	struct ww_process *p;
	int r = ww_process_open(&p, pid, 0);

	if (r == -EACCES) {
		fprintf(stderr, "%s\n", ww_process_hint(pid));
		exit(REFUSED);
	}
	if (r < 0)
		real_die("cannot open %d: %s", (int)pid, strerror(-r));
	return p;
}

static struct ww_attachment attach(struct ww_process *p)
{
	struct ww_attachment info = {.size = sizeof(info)};
	int r = -ETIMEDOUT;

	/* A process whose memory is being swapped can wait for that for long. */
	for (int i = 0; i < 10 && r == -ETIMEDOUT; i++)
		r = ww_process_attach(p, 0);
	ww_process_attachment(p, &info);
	if (r == -ENOTSUP || r == -EPERM) {
		fprintf(stderr, "%s\n", info.reason ? info.reason : strerror(-r));
		exit(REFUSED);
	}
	if (r < 0)
		real_die("cannot attach: %s, %s", strerror(-r), info.reason ? info.reason : "");
	return info;
}

/* How many pages were written; resets them, and adds them to what was reported. */
static size_t take(struct ww_process *p, struct ranges *to)
{
	uint64_t start = 0;
	size_t pages = 0, count;
	struct ww_page_range ranges[ROOM];

	do {
		int r;

		count = ROOM;
		r = ww_process_get(p, &start, 0, WW_RESET, ranges, &count);
		if (r < 0)
			real_die("cannot get: %s", strerror(-r));
		for (size_t i = 0; i < count; i++)
			pages += (ranges[i].end - ranges[i].start) / (size_t)sysconf(_SC_PAGESIZE);
		if (to)
			ranges_add(to, ranges, count);
	} while (count == ROOM);
	return pages;
}

static void refresh(struct ww_process *p)
{
	int r = ww_process_refresh(p);

	if (r < 0)
		real_die("cannot refresh: %s", strerror(-r));
}

static int run_compare(pid_t pid, int ms, bool alone)
{
	struct ww_process *p = open_process(pid);
	struct ww_attachment info = attach(p);
	struct ranges reported = {0};
	struct copy a = {0}, b = {0};
	int r, intervals = ms / INTERVAL_MS;

	printf("stopped_us %lu\n", (unsigned long)info.stopped_ns / 1000);
	/* Half of the time with no copy taken, as anybody would use it. */
	for (int i = 0; i < intervals / 2; i++) {
		usleep(INTERVAL_MS * 1000);
		take(p, NULL);
	}
	real_stop(pid);
	refresh(p);
	copy_take(&a, pid);
	take(p, NULL);
	printf("while_stopped %zu\n", take(p, NULL));
	real_continue();
	for (int i = 0; i < intervals; i++) {
		usleep(INTERVAL_MS * 1000);
		if (i % 4 == 0)
			refresh(p);
		if (i + 1 < intervals)
			take(p, &reported);
	}
	real_stop(pid);
	refresh(p);
	printf("in_last %zu\n", take(p, &reported));
	copy_take(&b, pid);
	ranges_sort(&reported);
	r = compare(p, &a, &b, &reported, alone);
	ww_process_attachment(p, &info);
	printf("watched %lu\nskipped %lu\n", (unsigned long)info.watched,
	       (unsigned long)info.skipped);
	ww_process_close(p);
	real_continue();
	return r;
}

static int by_value(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static int run_pause(pid_t pid, size_t count)
{
	uint64_t *ns = calloc(count, sizeof(*ns));

	if (!ns)
		real_die("no memory");
	for (size_t i = 0; i < count; i++) {
		struct ww_process *p = open_process(pid);

		ns[i] = attach(p).stopped_ns;
		ww_process_close(p);
		usleep(5000);
	}
	qsort(ns, count, sizeof(*ns), by_value);
	printf("median_us %lu\nleast_us %lu\nmost_us %lu\n", (unsigned long)ns[count / 2] / 1000,
	       (unsigned long)ns[0] / 1000, (unsigned long)ns[count - 1] / 1000);
	free(ns);
	return 0;
}

static int run_follow(pid_t pid, int ms)
{
	struct pollfd end = {.fd = 0, .events = POLLIN};
	struct ww_process *p = open_process(pid);
	size_t gets = 0, pages = 0;

	attach(p);
	while (poll(&end, 1, ms) == 0) {
		refresh(p);
		pages += take(p, NULL);
		gets++;
	}
	printf("gets %zu\npages %zu\n", gets, pages);
	ww_process_close(p);
	return 0;
}

int main(int argc, char **argv)
{
	pid_t pid = argc > 3 ? atoi(argv[2]) : 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 5 && strcmp(argv[1], "compare") == 0)
		return run_compare(pid, atoi(argv[3]), strcmp(argv[4], "alone") == 0);
	if (argc == 4 && strcmp(argv[1], "pause") == 0)
		return run_pause(pid, (size_t)atoi(argv[3]));
	if (argc == 4 && strcmp(argv[1], "follow") == 0)
		return run_follow(pid, atoi(argv[3]));
	real_die("usage: see the top of real.c");
}
