/* SPDX-License-Identifier: MIT */
#include "inject.h"

#ifdef __x86_64__

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "sys_process.h"

/* syscall; ret */
static const unsigned char call_code[] = {0x0f, 0x05, 0xc3};
#define CALL_ONLY 2
/* mov $15, %rax or %eax; syscall: how C libraries return from a handler. */
static const unsigned char leave_long[] = {0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05};
static const unsigned char leave_short[] = {0xb8, 0x0f, 0, 0, 0, 0x0f, 0x05};

#define OVERLAP (sizeof(leave_long) - 1)
#define MOST_CODE ((uint64_t)256 << 20)

static void look_for(uint64_t *found, const void *code, size_t size, const unsigned char *bytes,
		     size_t count, uint64_t at)
{
	const unsigned char *hit = *found ? NULL : memmem(bytes, count, code, size);

	if (hit)
		*found = at + (uint64_t)(hit - bytes);
}

static bool complete(const struct gadgets *g)
{
	return g->call_and_return && g->leave;
}

static void search(struct gadgets *g, const unsigned char *bytes, size_t count, uint64_t at)
{
	look_for(&g->call, call_code, CALL_ONLY, bytes, count, at);
	look_for(&g->call_and_return, call_code, sizeof(call_code), bytes, count, at);
	look_for(&g->leave, leave_long, sizeof(leave_long), bytes, count, at);
	look_for(&g->leave, leave_short, sizeof(leave_short), bytes, count, at);
}

/* The scans' own memory serves to read into: nothing is scanned yet. */
static int search_mapping(struct ww_process *p, pid_t pid, const struct mapping *m,
			  struct gadgets *g)
{
	const size_t most = PROCESS_REGIONS * sizeof(*p->regions);
	unsigned char *bytes = (unsigned char *)p->regions;

	for (uint64_t at = m->start; at < m->end && !complete(g); at += most - OVERLAP) {
		size_t size = m->end - at < most ? m->end - at : most;

		int r = sys_read_memory(pid, at, bytes, size);

		if (r < 0)
			return r;
		search(g, bytes, size, at);
		if (size < most)
			return 0;
	}
	return 0;
}

int gadgets_find(struct ww_process *p, pid_t pid, struct gadgets *found)
{
	struct maps_walk walk;
	struct mapping m;
	uint64_t seen = 0;
	int r;

	*found = (struct gadgets){0};
	maps_walk(&walk, 0, (uintptr_t)p->limit);
	while (!complete(found) && seen < MOST_CODE && (r = maps_next(&p->maps, &walk, &m)) == 0) {
		if (!(m.prot & PROT_EXEC))
			continue;
		/* What cannot be read is passed over, unless that is so for all of it. */
		r = search_mapping(p, pid, &m, found);
		if (r == -ESRCH || r == -EPERM)
			return r;
		seen += m.end - m.start;
	}
	return found->call ? 0 : -ENOENT;
}

static bool is_there(pid_t pid, uint64_t at, const void *code, size_t size)
{
	unsigned char bytes[sizeof(leave_long)];

	return at && sys_read_memory(pid, at, bytes, size) == 0 && memcmp(bytes, code, size) == 0;
}

bool gadgets_check(pid_t pid, struct gadgets *g)
{
	if (!is_there(pid, g->call_and_return, call_code, sizeof(call_code)))
		g->call_and_return = 0;
	if (!is_there(pid, g->leave, leave_long, sizeof(leave_long)) &&
	    !is_there(pid, g->leave, leave_short, sizeof(leave_short)))
		g->leave = 0;
	return is_there(pid, g->call, call_code, CALL_ONLY);
}

/* An address in the stack that the program was started on; 0 if it is not told. */
static uint64_t first_stack(const struct ww_process *p)
{
	unsigned long long addr = 0;
	char text[1024];
	const char *rest;

	if (process_text(p, "stat", text, sizeof(text)) < 0)
		return 0;
	rest = strrchr(text, ')');
	if (!rest || sscanf(rest, ") %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
				  "%*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu", &addr) != 1)
		return 0;
	return addr;
}

/*
 * A thread may run on something smaller, which a signal handler would not use either: on memory of
 * a heap, say, as coroutines do. There, nothing may be written below the stack pointer.
 */
int stacks_find(struct ww_process *p, struct stacks *found)
{
	const uint64_t first = first_stack(p);
	uint64_t guard_end = 0;
	struct maps_walk walk;
	struct mapping m;
	int r;

	found->count = 0;
	found->first = first;
	maps_walk(&walk, 0, (uintptr_t)p->limit);
	while ((r = maps_next(&p->maps, &walk, &m)) == 0) {
		bool writable = m.kind == MAPPING_PRIVATE_ANON && m.prot & PROT_WRITE;

		if (!(m.prot & (PROT_READ | PROT_WRITE | PROT_EXEC)))
			guard_end = m.end;
		if (writable && found->count < STACKS &&
		    (m.start == guard_end || (m.start <= first && first < m.end))) {
			found->at[found->count].start = m.start;
			found->at[found->count++].end = m.end;
		}
	}
	return r == -ENOENT ? 0 : r;
}

/*
 * What has a guard below may be a heap as well. What the C library has put at the top of a thread's
 * stack tells them apart.
 */
uint64_t stacks_floor(const struct stacks *stacks, uint64_t addr, uint64_t thread_pointer)
{
	for (size_t i = 0; i < stacks->count; i++) {
		const uint64_t start = stacks->at[i].start, end = stacks->at[i].end;

		if (addr <= start || addr > end)
			continue;
		if ((start <= stacks->first && stacks->first < end) ||
		    (addr <= thread_pointer && thread_pointer < end))
			return start;
	}
	return UINT64_MAX;
}

#endif
