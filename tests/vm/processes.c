/* SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "launch.h"

struct process {
	pid_t pid;
	pid_t parent;
	long long age; /* in seconds */
};

static bool read_process(const char *name, struct process *p)
{
	struct timespec now;
	unsigned long long start;
	char path[64], line[1024];
	const char *rest;
	FILE *file;
	int parent;

	snprintf(path, sizeof(path), "/proc/%.20s/stat", name);
	file = fopen(path, "re");
	if (!file)
		return false;
	rest = fgets(line, sizeof(line), file) ? strrchr(line, ')') : NULL;
	fclose(file);
	/* The name before may hold anything; the 4th field is the parent, the 22nd the start. */
	if (!rest || sscanf(rest,
			    ") %*c %d %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
			    "%*s %*s %*s %llu",
			    &parent, &start) != 2)
		return false;
	clock_gettime(CLOCK_BOOTTIME, &now);
	p->pid = (pid_t)strtol(name, NULL, 10);
	p->parent = (pid_t)parent;
	p->age = (long long)now.tv_sec - (long long)(start / (unsigned long)sysconf(_SC_CLK_TCK));
	return true;
}

/* Calls @each for every child of @parent. */
static void each_child(pid_t parent, void (*each)(const struct process *p, long seconds),
		       long seconds)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	struct process p;

	if (!proc)
		return;
	while ((entry = readdir(proc)))
		if (strspn(entry->d_name, "0123456789") == strlen(entry->d_name) &&
		    read_process(entry->d_name, &p) && p.parent == parent)
			each(&p, seconds);
	closedir(proc);
}

static void kill_child(const struct process *p, long seconds)
{
	(void)seconds;
	kill_tree(p->pid);
}

void kill_tree(pid_t root)
{
	each_child(root, kill_child, 0);
	kill(root, SIGKILL);
}

static void kill_old(const struct process *p, long seconds)
{
	if (p->age < seconds)
		return;
	fprintf(stderr, "\nlaunch: a test was killed after %lld s\n", p->age);
	kill_tree(p->pid);
}

void kill_old_children(pid_t parent, long seconds)
{
	each_child(parent, kill_old, seconds);
}
