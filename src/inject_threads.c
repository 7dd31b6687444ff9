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

int threads_look(struct ww_process *p, pid_t tid, struct thread_state *out, const char **why)
{
	char name[64], text[4096];
	const char *state, *features;

	snprintf(name, sizeof(name), "task/%d/status", (int)tid);
	if (process_text(p, name, text, sizeof(text)) < 0)
		return 0;
	if (number_behind(text, "\nTracerPid:") > 0) {
		*why = "it is traced by another process already, a debugger or strace";
		return -EBUSY;
	}
	state = strstr(text, "\nState:\t");
	if (!state || strchr("DZXx", state[8]))
		return 0;
	features = strstr(text, "\nx86_Thread_features:");
	*out = (struct thread_state){
		.tid = tid,
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

static int look_at_others(struct ww_process *p, pid_t pid, struct thread_state *found, int count,
			  int room, const char **why)
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

		if (tid > 0 && tid != pid) {
			int r = threads_look(p, tid, &found[count], why);

			count = r < 0 ? r : count + r;
		}
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
	count = threads_look(p, pid, found, why);
	if (count >= 0)
		count = look_at_others(p, pid, found, count, room, why);
	if (count)
		return count;
	*why = "all of its threads wait in the kernel without being interruptible, or have ended";
	return process_gone(p) < 0 ? process_gone(p) : -ETIMEDOUT;
}
