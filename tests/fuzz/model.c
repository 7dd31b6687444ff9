/* SPDX-License-Identifier: MIT */
#include "fuzz.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fuzz fz;

void note(struct range r, unsigned long detail, long result)
{
	fz.log[fz.log_next++ % LOG_ENTRIES] = (struct log_entry){
		.at = fz.at,
		.what = fz.what,
		.range = r,
		.detail = detail,
		.result = result,
	};
}

/* What the kernel says is mapped in the arena. */
static void print_maps(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned long from, to;
	char line[512], access[5];

	while (maps && fgets(line, sizeof(line), maps))
		if (sscanf(line, "%lx-%lx %4s", &from, &to, access) == 3 &&
		    from < (uintptr_t)page_at(PAGES) && to > (uintptr_t)fz.base)
			fprintf(stderr, "  mapped: pages [%td, %td) %s%s",
				((char *)from - fz.base) / (ptrdiff_t)fz.page_size,
				((char *)to - fz.base) / (ptrdiff_t)fz.page_size, access,
				strpbrk(line, "/[") ? strpbrk(line, "/[") - 1 : "\n");
	if (maps)
		fclose(maps);
}

void fail(const char *format, ...)
{
	size_t from = fz.log_next > LOG_ENTRIES ? fz.log_next - LOG_ENTRIES : 0;
	va_list args;

	print_maps();
	for (size_t i = from; i < fz.log_next; i++) {
		const struct log_entry *e = &fz.log[i % LOG_ENTRIES];

		fprintf(stderr, "  byte %zu: %s pages [%zu, %zu) detail 0x%lx result %ld\n", e->at,
			e->what, e->range.first, e->range.first + e->range.count, e->detail,
			e->result);
	}
	fprintf(stderr, "FAILED on %s%s, byte %zu, %s: ", fz.traits ? fz.traits->name : "none",
		fz.no_handler ? " without handler" : "", fz.at, fz.what);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	abort();
}

char *page_at(size_t page)
{
	return fz.base + page * fz.page_size;
}

size_t bytes_of(size_t pages)
{
	return pages * fz.page_size;
}

bool has(uint64_t guarantee)
{
	return fz.guarantees & guarantee;
}

bool any_mapping(struct range r, enum page_mapping mapping)
{
	for (size_t i = r.first; i < r.first + r.count; i++)
		if (fz.pages[i].mapping == mapping)
			return true;
	return false;
}

bool any_shared(struct range r)
{
	for (size_t i = r.first; i < r.first + r.count; i++)
		if (fz.pages[i].mapping != HOLE && fz.pages[i].shared)
			return true;
	return false;
}

bool any_watched(struct range r)
{
	for (size_t i = r.first; i < r.first + r.count; i++)
		if (fz.pages[i].watched)
			return true;
	return false;
}

bool all_watched(struct range r)
{
	for (size_t i = r.first; i < r.first + r.count; i++)
		if (!fz.pages[i].watched)
			return false;
	return true;
}

int prot_number(unsigned i)
{
	static const int prots[] = {
		RW, PROT_NONE, PROT_READ, RW, PROT_READ | PROT_EXEC, RW | PROT_EXEC, RW, PROT_READ,
	};

	return prots[i % 8];
}

bool can_write(size_t page)
{
	return fz.pages[page].mapping != HOLE && fz.pages[page].prot & PROT_WRITE;
}

bool can_read(size_t page)
{
	return fz.pages[page].mapping != HOLE && fz.pages[page].prot & PROT_READ;
}

struct range writable(struct range r, size_t most)
{
	size_t n = 0;

	while (n < r.count && n < most && can_write(r.first + n))
		n++;
	r.count = n;
	return r;
}

void set_state(struct range r, enum page_state state)
{
	for (size_t i = r.first; i < r.first + r.count; i++)
		if (fz.pages[i].watched && fz.pages[i].mapping == MAPPED)
			fz.pages[i].state = state;
}

void doubt(struct range r)
{
	for (size_t i = r.first; i < r.first + r.count; i++)
		if (fz.pages[i].watched && fz.pages[i].state == CLEAN)
			fz.pages[i].state = UNKNOWN;
}

void stored(size_t page)
{
	struct page *p = &fz.pages[page];

	if (p->watched && p->mapping == MAPPED)
		p->state = WRITTEN;
}

void resync(size_t page)
{
	fz.pages[page].word = load(page_at(page));
}

void repair(struct range r, unsigned flags)
{
	for (size_t i = r.first; i < r.first + r.count; i++) {
		struct range part = {i, 0};

		while (i < r.first + r.count && fz.pages[i].mapping == STALE)
			i++;
		part.count = i - part.first;
		if (part.count)
			watch(part, flags);
	}
}
