/* SPDX-License-Identifier: MIT */
#include "maps.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>

#include "uapi/procmap_query.h"
#include "uapi/madvise.h"

static long query(const struct maps *maps, uintptr_t addr, struct wwk_procmap_query *q)
{
	*q = (struct wwk_procmap_query){
		.size = sizeof(*q),
		.query_flags = WWK_PROCMAP_QUERY_COVERING_OR_NEXT_VMA,
		.query_addr = addr,
	};
	return sys_ioctl(maps->file.fd, WWK_PROCMAP_QUERY, q);
}

int maps_begin(struct maps *maps)
{
	struct wwk_procmap_query q;
	long answer = query(maps, 0, &q);
	char c;

	sys_identify(&maps->zero, "/dev/zero");
	maps->text_only = answer < 0;
	maps->reader = NULL;
	if (answer == 0 || (answer != -ESRCH && sys_pread(maps->file.fd, &c, 1, 0) != 0))
		return 0;
	maps_close(maps);
	return -ESRCH;
}

static int open_list(struct maps *maps, const char *path)
{
	int r = sys_open(&maps->file, path, 0);

	return r < 0 ? r : maps_begin(maps);
}

/*
 * The list of a thread is no more when that ends, which the first one mostly does last. Where it has
 * ended already, its own is empty.
 */
int maps_open(struct maps *maps)
{
	int r = open_list(maps, "/proc/self/maps");

	return r < 0 ? open_list(maps, "/proc/thread-self/maps") : r;
}

void maps_close(struct maps *maps)
{
	sys_close(&maps->file);
}

/* They look like anonymous memory but for their names; longer ones are not among them. */
static bool is_of_kernel(const char *name)
{
	return name[0] == '[' && strncmp(name, "[heap]", 6) != 0 &&
	       strncmp(name, "[stack]", 7) != 0 && strncmp(name, "[anon:", 6) != 0;
}

bool maps_of_kernel(const struct maps *maps, const struct mapping *m)
{
	char name[64] = "";
	struct wwk_procmap_query q = {
		.size = sizeof(q),
		.query_addr = m->start,
		.vma_name_size = sizeof(name),
		.vma_name_addr = (uintptr_t)name,
	};

	if (maps->text_only)
		return m->of_kernel;
	return sys_ioctl(maps->file.fd, WWK_PROCMAP_QUERY, &q) == 0 && is_of_kernel(name);
}

static enum mapping_kind private_kind(const struct maps *maps, unsigned major, unsigned minor,
				      uint64_t inode)
{
	if (!inode && !major && !minor)
		return MAPPING_PRIVATE_ANON;
	return inode == maps->zero.ino && makedev(major, minor) == maps->zero.dev
		       ? MAPPING_PRIVATE_ZERO
		       : MAPPING_PRIVATE_FILE;
}

static int find_by_query(const struct maps *maps, uintptr_t addr, struct mapping *out)
{
	struct wwk_procmap_query q;
	long r = query(maps, addr, &q);

	if (r < 0)
		return (int)r;
	*out = (struct mapping){.start = q.vma_start, .end = q.vma_end};
	out->prot = (q.vma_flags & WWK_PROCMAP_QUERY_VMA_READABLE ? PROT_READ : 0) |
		    (q.vma_flags & WWK_PROCMAP_QUERY_VMA_WRITABLE ? PROT_WRITE : 0) |
		    (q.vma_flags & WWK_PROCMAP_QUERY_VMA_EXECUTABLE ? PROT_EXEC : 0);
	if (q.vma_page_size > sys_page_size())
		out->kind = MAPPING_HUGETLB;
	else if (q.vma_flags & WWK_PROCMAP_QUERY_VMA_SHARED)
		out->kind = MAPPING_SHARED;
	else
		out->kind = private_kind(maps, q.dev_major, q.dev_minor, q.inode);
	return 0;
}

/* One line: "start-end rwxp offset major:minor inode name". Hugetlb shows at registration only. */
static int parse_line(const struct maps *maps, const char *line, struct mapping *out)
{
	uintptr_t start, end;
	unsigned long inode;
	unsigned major, minor;
	char access[4];
	int at = 0;

	if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4c %*x %x:%x %lu %n", &start, &end, access,
		   &major, &minor, &inode, &at) != 6)
		return -EIO;
	*out = (struct mapping){.start = start, .end = end};
	out->prot = (access[0] == 'r' ? PROT_READ : 0) | (access[1] == 'w' ? PROT_WRITE : 0) |
		    (access[2] == 'x' ? PROT_EXEC : 0);
	out->kind = access[3] == 's' ? MAPPING_SHARED : private_kind(maps, major, minor, inode);
	out->of_kernel = out->kind == MAPPING_PRIVATE_ANON && is_of_kernel(line + at);
	return 0;
}

/* Where the mapping of the line ends: of a long list, that is all that is asked of most lines. */
static uintptr_t end_of(const char *line)
{
	uintptr_t end = 0;

	while (*line && *line != '-')
		line++;
	while (*line && *++line && *line != ' ')
		end = end << 4 | (uintptr_t)(*line <= '9' ? *line - '0' : *line - 'a' + 10);
	return end;
}

static int read_on(struct maps *maps, struct maps_walk *walk)
{
	ssize_t n;

	/* The list may have changed where others have read it meanwhile. */
	if (maps->reader != walk)
		walk->offset = 0;
	if (walk->offset == 0)
		walk->used = walk->have;
	maps->reader = walk;
	walk->have -= walk->used;
	memmove(walk->text, walk->text + walk->used, walk->have);
	walk->used = 0;
	if (walk->have == sizeof(walk->text) - 1)
		return -EIO;
	n = sys_pread(maps->file.fd, walk->text + walk->have, sizeof(walk->text) - 1 - walk->have,
		      walk->offset);
	if (n <= 0)
		return n < 0 ? (int)n : -ENOENT;
	walk->offset += n;
	walk->have += (size_t)n;
	walk->text[walk->have] = '\0';
	return 0;
}

/* Reads on in the list, line by line: the kernel has no other way here. */
static int next_by_text(struct maps *maps, struct maps_walk *walk, struct mapping *out)
{
	int r;

	do {
		const char *newline;

		while ((newline = memchr(walk->text + walk->used, '\n', walk->have - walk->used))) {
			const char *line = walk->text + walk->used;

			walk->used = (size_t)(newline + 1 - walk->text);
			if (end_of(line) > walk->pos)
				return parse_line(maps, line, out);
		}
		r = read_on(maps, walk);
	} while (r == 0);
	return r;
}

void maps_walk(struct maps_walk *walk, uintptr_t start, uintptr_t end)
{
	walk->pos = start;
	walk->end = end;
	walk->offset = 0;
	walk->have = walk->used = 0;
}

int maps_next(struct maps *maps, struct maps_walk *walk, struct mapping *out)
{
	int r;

	if (walk->pos >= walk->end)
		return -ENOENT;
	r = maps->text_only ? next_by_text(maps, walk, out)
			    : find_by_query(maps, walk->pos, out);
	if (r < 0)
		return r;
	if (out->start >= walk->end)
		return -ENOENT;
	if (out->start < walk->pos)
		out->start = walk->pos;
	if (out->end > walk->end)
		out->end = walk->end;
	walk->pos = out->end;
	return 0;
}

int maps_keep_apart(uintptr_t start, uintptr_t end)
{
	sigset_t old;
	int r;

	/* A signal would end the unmerging, or have the kernel begin it anew each time. */
	sys_block_signals(&old);
	r = sys_madvise(start, end - start, MADV_NOHUGEPAGE);
	if (r != -ENOMEM)
		r = sys_madvise(start, end - start, MADV_UNMERGEABLE);
	sys_restore_signals(&old);
	return r == -ENOMEM ? r : 0;
}

int maps_drop(const struct mapping *m)
{
	size_t len = m->end - m->start;
	int r;

	if (m->kind == MAPPING_SHARED)
		return sys_madvise(m->start, len, MADV_REMOVE);
	r = sys_madvise(m->start, len, MADV_DONTNEED);
	return r == -EINVAL ? sys_madvise(m->start, len, MADV_DONTNEED_LOCKED) : r;
}
