/* SPDX-License-Identifier: MIT */
#include "inject_threads.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "process.h"

/* The number behind a label of a status file; -1 if it is not there. */
static long number_behind(const char *text, const char *label)
{
	const char *at = strstr(text, label);

	return at ? strtol(at + strlen(label), NULL, 10) : -1;
}

bool threads_belongs(const struct ww_process *p, pid_t pid, pid_t tid)
{
	char name[64], text[4096];
	int number;

	snprintf(name, sizeof(name), "task/%d/status", (int)tid);
	return process_number(p, &number) == 0 && number == pid &&
	       process_text(p, name, text, sizeof(text)) == 0;
}

/* The kernel's own workers are listed as threads of the process. */
#define IS_WORKER (0x10ul | 0x4000ul)

static bool is_worker(struct ww_process *p, pid_t tid)
{
	char name[64], text[1024];
	unsigned long flags;
	const char *rest;

	snprintf(name, sizeof(name), "task/%d/stat", (int)tid);
	if (process_text(p, name, text, sizeof(text)) < 0)
		return false;
	rest = strrchr(text, ')');
	return rest && sscanf(rest, ") %*c %*d %*d %*d %*d %*d %lu", &flags) == 1 &&
	       flags & IS_WORKER;
}

int threads_look(struct ww_process *p, pid_t tid, struct thread_state *out, const char **why)
{
	char name[64], text[4096];
	const char *state, *features;

	snprintf(name, sizeof(name), "task/%d/status", (int)tid);
	if (process_status(p, name, text, sizeof(text)) < 0)
		return 0;
	if (number_behind(text, "\nTracerPid:") > 0) {
		*why = "it is traced by another process already, a debugger or strace";
		return -EBUSY;
	}
	state = strstr(text, "\nState:\t");
	if (!state || strchr("ZXx", state[8]) || is_worker(p, tid))
		return 0;
	features = strstr(text, "\nx86_Thread_features:");
	*out = (struct thread_state){
		.tid = tid,
		.blocked = state[8] == 'D',
		.confined = number_behind(text, "\nSeccomp:") > 0,
		.shadowed = features && strstr(features, "shstk"),
	};
	return 1;
}

/* A file of 32 bits: i386, or x32. */
static bool is_32_bit(const struct ww_process *p)
{
	char text[EI_CLASS + 2];

	return process_text(p, "exe", text, sizeof(text)) == 0 &&
	       memcmp(text, ELFMAG, SELFMAG) == 0 && text[EI_CLASS] != ELFCLASS64;
}

/* Adds those that are blocked, or are not, in the order of the list, which the first one begins. */
static int look_at_all(struct ww_process *p, pid_t pid, bool blocked, struct thread_state *found,
		       int count, int room, const char **why)
{
	char path[64];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = opendir(path);
	if (!dir)
		return count;
	while (count >= 0 && count < room && (entry = readdir(dir))) {
		pid_t tid = (pid_t)strtol(entry->d_name, NULL, 10);
		int r = tid > 0 ? threads_look(p, tid, &found[count], why) : 0;

		if (r < 0)
			count = r;
		else if (r > 0 && found[count].blocked == blocked)
			count++;
	}
	closedir(dir);
	return count;
}

int threads_find(struct ww_process *p, pid_t pid, struct thread_state *found, int room,
		 const char **why)
{
	int count;

	if (is_32_bit(p)) {
		*why = "it is a 32-bit program";
		return -ENOTSUP;
	}
	count = look_at_all(p, pid, false, found, 0, room, why);
	/* Which may wait for a disk only. */
	if (count >= 0)
		count = look_at_all(p, pid, true, found, count, room, why);
	if (count)
		return count;
	*why = "all of its threads have ended";
	return process_gone(p) < 0 ? process_gone(p) : -ETIMEDOUT;
}
