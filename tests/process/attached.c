/* SPDX-License-Identifier: MIT */
#include "attached.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "child.h"
#include "pages.h"

void attach_begin(void)
{
	static struct ww_attachment info;
	pid_t pid = child_start(NULL, NULL);
	int r = attach_result(pid, &info);

	child_end(pid);
	if (r == -ENOTSUP || r == -EPERM)
		cr_skip("%s", info.reason ? info.reason : "attaching is refused");
	cr_assert_eq(r, 0, "%d: %s", r, info.reason);
}

/* A busy machine may not stop a thread in time. */
static int attach(struct ww_process *p)
{
	int tries = 0, r;

	do
		r = ww_process_attach(p, 0);
	while (r == -ETIMEDOUT && ++tries < MOST_TRIES);
	return r;
}

int attach_result(pid_t pid, struct ww_attachment *info)
{
	struct ww_process *p;
	int r;

	*info = (struct ww_attachment){.size = sizeof(*info)};
	r = ww_process_open(&p, pid, 0);
	if (r < 0)
		return r;
	r = attach(p);
	cr_assert_eq(ww_process_attachment(p, info), 0);
	cr_assert_eq(info->attached, r == 0);
	ww_process_close(p);
	return r;
}

struct ww_process *attach_to(pid_t pid)
{
	struct ww_attachment info = {.size = sizeof(info)};
	struct ww_process *p;
	int r;

	cr_assert_eq(ww_process_open(&p, pid, 0), 0);
	r = attach(p);
	ww_process_attachment(p, &info);
	cr_assert_eq(r, 0, "%d: %s", r, info.reason);
	return p;
}

static size_t written(struct ww_process *p, uint64_t start, uint64_t end, unsigned flags)
{
	size_t pages = 0;

	while (start < end) {
		struct ww_page_range ranges[16];
		size_t count = 16;

		cr_assert_eq(ww_process_get(p, &start, end, flags, ranges, &count), 0);
		for (size_t i = 0; i < count; i++)
			pages += (ranges[i].end - ranges[i].start) / page_bytes();
	}
	return pages;
}

bool is_written(struct ww_process *p, const void *page, unsigned flags)
{
	return written(p, (uintptr_t)page, (uintptr_t)page + page_bytes(), flags) == 1;
}

size_t take_written(struct ww_process *p, const void *start, size_t bytes)
{
	return written(p, (uintptr_t)start, (uintptr_t)start + bytes, WW_RESET);
}

void *map_common(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	cr_assert_neq(p, MAP_FAILED);
	return p;
}

static void add_file(FILE *to, pid_t pid, const char *name, const char *const *only)
{
	char path[64], line[1024];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	file = fopen(path, "re");
	cr_assert_not_null(file);
	while (fgets(line, sizeof(line), file)) {
		bool wanted = only == NULL;

		for (size_t i = 0; only && only[i]; i++)
			wanted |= strncmp(line, only[i], strlen(only[i])) == 0;
		if (wanted)
			fputs(line, to);
	}
	fclose(file);
}

static void add_descriptors(FILE *to, pid_t pid)
{
	char path[64], target[256];
	struct dirent **names;
	int count;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	count = scandir(path, &names, NULL, alphasort);
	for (int i = 0; i < count; i++) {
		char name[512];
		ssize_t n;

		snprintf(name, sizeof(name), "%s/%s", path, names[i]->d_name);
		n = readlink(name, target, sizeof(target) - 1);
		target[n < 0 ? 0 : n] = '\0';
		fprintf(to, "fd %s %s\n", names[i]->d_name, target);
		free(names[i]);
	}
	free(names);
}

char *look_of(pid_t pid)
{
	static const char *const signals[] = {
		"State:", "TracerPid:", "FDSize:", "Threads:", "SigPnd:", "ShdPnd:", "SigBlk:",
		"SigIgn:", "SigCgt:", "Seccomp:", NULL,
	};
	static const char *const flags[] = {"VmFlags:", NULL};
	char *text;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	add_file(to, pid, "maps", NULL);
	add_file(to, pid, "smaps", flags);
	add_file(to, pid, "status", signals);
	/* The call that it waits in, with arguments, stack pointer and program counter. */
	add_file(to, pid, "syscall", NULL);
	add_descriptors(to, pid);
	fclose(to);
	return text;
}

char state_of(pid_t pid)
{
	static const char *const state[] = {"State:", NULL};
	char *text, letter;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	add_file(to, pid, "status", state);
	fclose(to);
	letter = text[strlen("State:\t")];
	free(text);
	return letter;
}

void wait_for_state(pid_t pid, char state)
{
	for (int i = 0; i < 5000 && state_of(pid) != state; i++)
		usleep(1000);
	cr_assert_eq(state_of(pid), state);
}
