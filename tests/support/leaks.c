/* SPDX-License-Identifier: MIT */
#include "leaks.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <dirent.h>
#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED true
#endif
#endif
#ifndef SANITIZED
#define SANITIZED false
#endif

#define MAX_FDS 4096
#define MAX_SPANS 8192
#define MAX_PRINTED 5
#define TABLE_BYTES ((uintptr_t)8 << 10)

struct span {
	uintptr_t start, end;
	bool anonymous;
	bool registered;
	char what[56];
};

struct snapshot {
	bool fds[MAX_FDS];
	size_t count;
	struct span spans[MAX_SPANS];
};

/* Static: a snapshot must not change what it looks at. */
static struct snapshot before, after;

static void take_fds(struct snapshot *s)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;

	if (dir == NULL)
		cr_fatal("leaks: no /proc/self/fd");
	memset(s->fds, 0, sizeof(s->fds));
	while ((entry = readdir(dir)) != NULL) {
		int fd = atoi(entry->d_name);

		if (entry->d_name[0] != '.' && fd != dirfd(dir) && fd < MAX_FDS)
			s->fds[fd] = true;
	}
	closedir(dir);
}

/* The file's name or the kernel's label behind the five fixed columns; empty if anonymous. */
static const char *name_column(char *line)
{
	int at = 0;

	sscanf(line, "%*s %*s %*s %*s %*s %n", &at);
	line[strcspn(line, "\n")] = '\0';
	return line + at;
}

static bool compared(const char *name)
{
	return strcmp(name, "[heap]") != 0 && strcmp(name, "[stack]") != 0 &&
	       strncmp(name, "[v", 2) != 0;
}

static void take_spans(struct snapshot *s)
{
	FILE *file = fopen("/proc/self/smaps", "re");
	char *line = NULL;
	size_t room = 0;
	struct span *current = NULL;

	if (file == NULL)
		cr_fatal("leaks: no /proc/self/smaps");
	s->count = 0;
	while (getline(&line, &room, file) > 0) {
		unsigned long start, end;
		char mode[8];

		if (sscanf(line, "%lx-%lx %7s", &start, &end, mode) == 3) {
			const char *name = name_column(line);

			current = NULL;
			if (!compared(name))
				continue;
			if (s->count == MAX_SPANS)
				cr_fatal("leaks: more mappings than this check has room for");
			current = &s->spans[s->count++];
			*current = (struct span){.start = start, .end = end};
			current->anonymous = *name == '\0' && mode[3] == 'p';
			snprintf(current->what, sizeof(current->what), "%s %.40s", mode, name);
		} else if (current != NULL && strncmp(line, "VmFlags:", 8) == 0) {
			current->registered = strstr(line, " uw") != NULL;
		}
	}
	free(line);
	fclose(file);
}

static bool maps_are_compared(void)
{
	const char *only = getenv("WW_LEAKS");

	return !SANITIZED && (only == NULL || strcmp(only, "fds") != 0);
}

/* Makes the page that the library keeps for the life of the process; not in every test program. */
extern int ww_handle_fault(void *addr) __attribute__((weak));

void leaks_begin(void)
{
	if (ww_handle_fault)
		ww_handle_fault(NULL);
	/* Arenas of threads stay when the threads are gone: have none. */
	mallopt(M_ARENA_MAX, 1);
	take_fds(&before);
	if (maps_are_compared())
		take_spans(&before);
}

static size_t new_fds(void)
{
	size_t found = 0;

	for (int fd = 0; fd < MAX_FDS; fd++) {
		char path[32], target[128] = "?";

		if (before.fds[fd] == after.fds[fd])
			continue;
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		if (readlink(path, target, sizeof(target) - 1) < 0)
			target[0] = '\0';
		fprintf(stderr, "# leak: descriptor %d %s %s\n", fd,
			after.fds[fd] ? "was left open:" : "was closed", target);
		found++;
	}
	return found;
}

static size_t default_stack_bytes(void)
{
	pthread_attr_t attr;
	size_t bytes;

	pthread_attr_init(&attr);
	pthread_attr_getstacksize(&attr, &bytes);
	pthread_attr_destroy(&attr);
	return bytes;
}

struct pieces {
	size_t count;
	struct span at[256];
};

/* What of @all is not in @known; two sorted lists. With @registered only such spans count. */
static void subtract(const struct snapshot *all, const struct snapshot *known, bool registered,
		     struct pieces *out)
{
	out->count = 0;
	for (size_t i = 0; i < all->count; i++) {
		struct span rest = all->spans[i];

		if (registered && !rest.registered)
			continue;
		for (size_t k = 0; k <= known->count; k++) {
			bool last = k == known->count;
			const struct span *old = last ? NULL : &known->spans[k];
			struct span piece = rest;

			if (!last && (old->end <= rest.start || (registered && !old->registered)))
				continue;
			if (!last && old->start < piece.end)
				piece.end = old->start;
			if (piece.start < piece.end && out->count < 256)
				out->at[out->count++] = piece;
			if (last || old->end >= rest.end)
				break;
			rest.start = old->end;
		}
	}
}

/* A guard and a stack behind it; whether the guard counts to the size depends on the glibc. */
static bool is_thread_stack(const struct span *guard, const struct span *stack)
{
	size_t bytes = default_stack_bytes();

	return guard->anonymous && stack->anonymous && strncmp(guard->what, "---p", 4) == 0 &&
	       strncmp(stack->what, "rw-p", 4) == 0 && guard->end == stack->start &&
	       (stack->end - stack->start == bytes || stack->end - guard->start == bytes);
}

/* What finds the states of pages; the states themselves are given back. */
static bool is_table(const struct span *s)
{
	return s->anonymous && strncmp(s->what, "rw-p", 4) == 0 && !s->registered &&
	       (s->end - s->start) % TABLE_BYTES == 0 && s->end - s->start <= 2 * TABLE_BYTES;
}

static size_t report(const struct pieces *list, const char *what, enum leaks_allowance allowance)
{
	size_t found = 0;

	for (size_t i = 0; i < list->count; i++) {
		const struct span *s = &list->at[i];

		if (allowance == LEAKS_TABLES && is_table(s))
			continue;
		if (allowance != LEAKS_STRICT && i + 1 < list->count &&
		    is_thread_stack(s, s + 1)) {
			i++;
			continue;
		}
		if (found++ < MAX_PRINTED)
			fprintf(stderr, "# leak: %lx-%lx, %lu KiB, %s: %s\n",
				(unsigned long)s->start, (unsigned long)s->end,
				(unsigned long)(s->end - s->start) / 1024, s->what, what);
	}
	if (found > MAX_PRINTED)
		fprintf(stderr, "# leak: and %zu more\n", found - MAX_PRINTED);
	return found;
}

size_t leaks_found(enum leaks_allowance allowance)
{
	static struct pieces pieces;
	size_t found;

	take_fds(&after);
	found = new_fds();
	if (!maps_are_compared())
		return found;
	take_spans(&after);
	subtract(&after, &before, false, &pieces);
	found += report(&pieces, "was left mapped", allowance);
	subtract(&before, &after, false, &pieces);
	found += report(&pieces, "was unmapped", LEAKS_STRICT);
	subtract(&after, &before, true, &pieces);
	return found + report(&pieces, "is still registered", LEAKS_STRICT);
}

/*
 * Criterion ignores an assertion that fails in .fini, but not a process that ends badly there: it
 * warns and exits with 1.
 */
static void end_test(enum leaks_allowance allowance)
{
	if (leaks_found(allowance) == 0)
		return;
	fprintf(stderr, "# the test leaks, see above\n");
	abort();
}

void leaks_end(void)
{
	end_test(LEAKS_STRICT);
}

void leaks_end_threads(void)
{
	end_test(LEAKS_THREAD_STACKS);
}

void leaks_end_tables(void)
{
	end_test(LEAKS_TABLES);
}
