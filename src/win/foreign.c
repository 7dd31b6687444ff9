/* SPDX-License-Identifier: MIT */
#include "win.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* One line of /proc/self/maps. */
struct line {
	uintptr_t start;
	uintptr_t end;
	char access[5];
	unsigned long inode;
};

/* "start-end rwxp offset major:minor inode name" */
static bool parse_line(const char *text, struct line *out)
{
	return sscanf(text, "%" SCNxPTR "-%" SCNxPTR " %4s %*x %*x:%*x %lu", &out->start, &out->end,
		      out->access, &out->inode) == 4;
}

/* The mapping that holds page, or the next one above; false if there is none, or no /proc. */
static bool find_line(const struct sys_file *maps, uintptr_t page, struct line *out)
{
	char text[8192];
	size_t have = 0;
	off_t offset = 0;

	for (;;) {
		const ssize_t n = sys_pread(maps->fd, text + have, sizeof(text) - 1 - have, offset);
		char *line = text, *newline;

		if (n <= 0)
			return false;
		offset += n;
		have += (size_t)n;
		text[have] = '\0';
		while ((newline = strchr(line, '\n')) != NULL) {
			if (parse_line(line, out) && out->end > page)
				return true;
			line = newline + 1;
		}
		have -= (size_t)(line - text);
		memmove(text, line, have);
	}
}

static DWORD protect_of(const struct line *line)
{
	const bool execute = line->access[2] == 'x';

	if (line->access[1] == 'w') {
		/* A write to a private file mapping makes a copy. */
		if (line->access[3] == 'p' && line->inode != 0)
			return execute ? PAGE_EXECUTE_WRITECOPY : PAGE_WRITECOPY;
		return execute ? PAGE_EXECUTE_READWRITE : PAGE_READWRITE;
	}
	if (line->access[0] == 'r')
		return execute ? PAGE_EXECUTE_READ : PAGE_READONLY;
	return execute ? PAGE_EXECUTE : PAGE_NOACCESS;
}

static void describe_free(uintptr_t page, uintptr_t end, MEMORY_BASIC_INFORMATION *info)
{
	*info = (MEMORY_BASIC_INFORMATION){
		.BaseAddress = (void *)page,
		.RegionSize = end - page,
		.State = MEM_FREE,
		.Protect = PAGE_NOACCESS,
	};
}

static uintptr_t smaller(uintptr_t a, uintptr_t b)
{
	return a < b ? a : b;
}

/* The kernel joins alike neighbours into one mapping, ours among them: below and above cut it. */
void win_query_foreign(uintptr_t page, uintptr_t below, uintptr_t above,
		       MEMORY_BASIC_INFORMATION *info)
{
	struct line line = {.start = WIN_USER_END, .end = WIN_USER_END};
	struct sys_file maps;
	bool private_memory;

	if (sys_open(&maps, "/proc/thread-self/maps", 0) == 0) {
		if (!find_line(&maps, page, &line))
			line = (struct line){.start = WIN_USER_END, .end = WIN_USER_END};
		sys_close(&maps);
	}
	if (line.start > page) {
		describe_free(page, smaller(line.start, above), info);
		return;
	}
	private_memory = line.access[3] == 'p' && line.inode == 0;
	*info = (MEMORY_BASIC_INFORMATION){
		.BaseAddress = (void *)page,
		.AllocationBase = (void *)(line.start > below ? line.start : below),
		.AllocationProtect = protect_of(&line),
		.RegionSize = smaller(line.end, above) - page,
		.State = MEM_COMMIT,
		.Protect = protect_of(&line),
		.Type = private_memory ? MEM_PRIVATE : MEM_MAPPED,
	};
}
