/* SPDX-License-Identifier: MIT */
#include "processes.h"

#include <ctype.h>
#include <dirent.h>
#include <limits.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

/* What Linux 6.15 tells of a process that was waited for; headers of the build host may be older.
 */
struct pidfd_info {
	uint64_t mask;
	uint64_t cgroup;
	uint32_t ids[11];
	int32_t exit_status;
};

#define EXIT_MS 1000
#define PIDFD_GET_INFO _IOWR(0xff, 11, struct pidfd_info)
#define PIDFD_INFO_EXIT (UINT64_C(1) << 3)

bool process_parse(const char *text, pid_t *pid)
{
	long value = 0;

	if (!*text)
		return false;
	for (; *text; text++) {
		if (!isdigit((unsigned char)*text))
			return false;
		value = value * 10 + (*text - '0');
		if (value > INT_MAX)
			return false;
	}
	*pid = (pid_t)value;
	return value > 0;
}

/* Returns the length, 0 if there is nothing. */
static size_t read_file(const char *path, char *text, size_t size)
{
	FILE *file = fopen(path, "re");
	size_t length = 0;

	if (file) {
		length = fread(text, 1, size - 1, file);
		fclose(file);
	}
	text[length] = '\0';
	return length;
}

pid_t process_of_thread(pid_t pid)
{
	char path[64], text[4096];
	const char *line;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	read_file(path, text, sizeof(text));
	line = strstr(text, "\nTgid:");
	return line ? (pid_t)atoi(line + strlen("\nTgid:")) : 0;
}

void process_name(pid_t pid, char name[PROCESS_NAME])
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	if (!read_file(path, name, PROCESS_NAME)) {
		strcpy(name, "?");
		return;
	}
	/* The last one is no part of it; others may be. */
	name[strlen(name) - 1] = '\0';
	for (char *p = name; *p; p++) {
		if (!isprint((unsigned char)*p))
			*p = '?';
	}
}

static size_t children_of_thread(pid_t pid, const char *thread, pid_t *pids, size_t room)
{
	size_t count = 0;
	char path[96];
	FILE *file;
	int child;

	snprintf(path, sizeof(path), "/proc/%d/task/%.20s/children", (int)pid, thread);
	file = fopen(path, "re");
	while (file && count < room && fscanf(file, "%d", &child) == 1)
		pids[count++] = child;
	if (file)
		fclose(file);
	return count;
}

size_t process_children(pid_t pid, pid_t *pids, size_t room)
{
	struct dirent *entry;
	size_t count = 0;
	char path[64];
	DIR *threads;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	threads = opendir(path);
	while (threads && (entry = readdir(threads))) {
		if (isdigit((unsigned char)entry->d_name[0]))
			count += children_of_thread(pid, entry->d_name, pids + count, room - count);
	}
	if (threads)
		closedir(threads);
	return count;
}

/* Of one that nobody has waited for; the kernel tells 0 to those who may not look. */
static bool zombie_status(pid_t pid, int *status)
{
	char path[64], text[1024];
	const char *after_name, *last;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	read_file(path, text, sizeof(text));
	after_name = strrchr(text, ')');
	last = strrchr(text, ' ');
	if (!after_name || strncmp(after_name, ") Z", 3) != 0 || !last)
		return false;
	*status = atoi(last + 1);
	return true;
}

bool process_exit_status(pid_t pid, int pidfd, int *status)
{
	struct pidfd_info info = {.mask = PIDFD_INFO_EXIT};
	struct pollfd fd = {.fd = pidfd, .events = POLLIN};

	/* Its memory is gone first, and only then it has ended. */
	if (pidfd >= 0)
		poll(&fd, 1, EXIT_MS);
	if (ioctl(pidfd, PIDFD_GET_INFO, &info) == 0 && info.mask & PIDFD_INFO_EXIT) {
		*status = info.exit_status;
		return true;
	}
	return zombie_status(pid, status);
}

void process_print_status(int status, char *text, size_t size)
{
	if (WIFSIGNALED(status))
		snprintf(text, size, " by signal %d (%s)", WTERMSIG(status),
			 strsignal(WTERMSIG(status)));
	else
		snprintf(text, size, " with status %d", WEXITSTATUS(status));
}
