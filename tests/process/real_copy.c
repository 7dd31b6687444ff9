/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "real.h"

/* Of /proc/PID/pagemap. */
#define PRESENT (UINT64_C(1) << 63)
#define SWAPPED (UINT64_C(1) << 62)
#define FILE_PAGE (UINT64_C(1) << 61)
#define PROTECTED (UINT64_C(1) << 57)

#define BATCH 512

struct source {
	pid_t pid;
	int memory, pagemap;
	size_t page;
};

static void *get_room(size_t bytes)
{
	void *room = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (room == MAP_FAILED)
		real_die("no room for a copy of %zu bytes", bytes);
	return room;
}

static void read_pages(const struct source *s, int file, uint64_t offset, char *to, size_t bytes)
{
	size_t done = 0;

	while (done < bytes) {
		ssize_t n = pread(file, to + done, bytes - done, (off_t)(offset + done));

		/* Behind the end of a file. */
		if (n <= 0 && file != s->memory)
			return;
		if (n <= 0)
			real_die("cannot read memory at %" PRIx64, offset + done);
		done += (size_t)n;
	}
}

/* In a file mapping a marker keeps that a page was write-protected, and looks like a swapped one. */
static enum page_state private_state(const struct piece *m, uint64_t entry)
{
	if (!(entry & (PRESENT | SWAPPED)) || entry & FILE_PAGE)
		return PAGE_EMPTY;
	return m->file && entry & SWAPPED && entry & PROTECTED ? PAGE_UNSURE : PAGE_OWN;
}

static void copy_private(const struct source *s, struct piece *m)
{
	const size_t pages = (m->end - m->start) / s->page;

	for (size_t first = 0; first < pages; first += BATCH) {
		uint64_t entries[BATCH];
		size_t count = pages - first < BATCH ? pages - first : BATCH;
		ssize_t want = (ssize_t)(count * sizeof(*entries));

		if (pread(s->pagemap, entries, (size_t)want,
			  (off_t)((m->start / s->page + first) * sizeof(*entries))) != want)
			real_die("cannot read pagemap at %" PRIx64, m->start);
		for (size_t i = 0; i < count; i++) {
			size_t at = (first + i) * s->page;

			m->state[first + i] = private_state(m, entries[i]);
			if (m->state[first + i] == PAGE_EMPTY)
				continue;
			read_pages(s, s->memory, m->start + at, m->bytes + at, s->page);
		}
	}
}

/* Through the file, so that the page table stays as it is, or where that is denied, as it must. */
static void copy_shared(const struct source *s, struct piece *m, uint64_t offset)
{
	char path[128];
	int file;

	snprintf(path, sizeof(path), "/proc/%d/map_files/%" PRIx64 "-%" PRIx64, (int)s->pid,
		 m->start, m->end);
	file = open(path, O_RDONLY | O_CLOEXEC);
	memset(m->state, PAGE_COMMON, (m->end - m->start) / s->page);
	if (file >= 0)
		read_pages(s, file, offset, m->bytes, m->end - m->start);
	else
		read_pages(s, s->memory, m->start, m->bytes, m->end - m->start);
	if (file >= 0)
		close(file);
}

/* Whether it is to be copied. */
static bool parse(struct piece *m, const char *line, uint64_t *offset)
{
	char prot[5];
	unsigned long inode;

	*m = (struct piece){0};
	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %*s %lu %63[^\n]", &m->start,
		   &m->end, prot, offset, &inode, m->name) < 5)
		real_die("cannot understand %s", line);
	m->writable = prot[1] == 'w';
	m->shared = prot[3] == 's';
	m->file = inode != 0;
	return strncmp(m->name, "[v", 2) != 0 && (!m->shared || m->writable);
}

static int open_of(pid_t pid, const char *name)
{
	char path[64];
	int file;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	file = open(path, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		real_die("cannot open %s", path);
	return file;
}

void copy_take(struct copy *copy, pid_t pid)
{
	struct source s = {pid, open_of(pid, "mem"), open_of(pid, "pagemap"),
			   (size_t)sysconf(_SC_PAGESIZE)};
	FILE *maps = fdopen(open_of(pid, "maps"), "r");
	char line[1024];
	struct piece m;
	uint64_t offset;

	while (maps && fgets(line, sizeof(line), maps)) {
		if (!parse(&m, line, &offset))
			continue;
		m.bytes = get_room(m.end - m.start);
		m.state = get_room((m.end - m.start) / s.page);
		if (m.shared)
			copy_shared(&s, &m, offset);
		else
			copy_private(&s, &m);
		copy->pieces = realloc(copy->pieces, (copy->count + 1) * sizeof(m));
		if (!copy->pieces)
			real_die("no memory");
		copy->pieces[copy->count++] = m;
	}
	if (!copy->count)
		real_die("no mappings");
	fclose(maps);
	close(s.memory);
	close(s.pagemap);
}

const struct piece *copy_find(const struct copy *copy, size_t *hint, uint64_t address)
{
	while (*hint < copy->count && copy->pieces[*hint].end <= address)
		(*hint)++;
	if (*hint == copy->count || copy->pieces[*hint].start > address)
		return NULL;
	return &copy->pieces[*hint];
}
