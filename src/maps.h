/* SPDX-License-Identifier: MIT */
#ifndef WW_MAPS_H
#define WW_MAPS_H

/* What is mapped at an address of a process. */

#include <stdbool.h>
#include <stdint.h>

#include "sys.h"

/*
 * MAPPING_PRIVATE_ZERO is of /dev/zero: anonymous to the kernel, but for the calls that put pages
 * there, and listed as a file's.
 */
enum mapping_kind {
	MAPPING_PRIVATE_ANON,
	MAPPING_PRIVATE_ZERO,
	MAPPING_PRIVATE_FILE,
	MAPPING_SHARED,
	MAPPING_HUGETLB
};

struct mapping {
	uintptr_t start;
	uintptr_t end;
	enum mapping_kind kind;
	int prot; /* PROT_READ and so on */
	bool of_kernel; /* where the list is text: see maps_of_kernel() */
};

/*
 * Private memory of which a dropped page would be read from a file again, and stays protected without
 * showing it; or, of /dev/zero, cannot be made anew by every backend.
 */
static inline bool mapping_is_of_file(const struct mapping *m)
{
	return m->kind == MAPPING_PRIVATE_FILE || m->kind == MAPPING_PRIVATE_ZERO;
}

/**
 * struct maps - the list of a process's mappings
 * @zero:      /dev/zero, not opened
 * @text_only: the kernel (before 6.11) cannot answer for a single address
 * @reader:    the walk that read the list last; the kernel goes on behind the mapping it came to only
 *             for whoever reads on where the last one stopped, and counts bytes for all others
 */
struct maps {
	struct sys_file file;
	struct sys_file zero;
	bool text_only;
	const struct maps_walk *reader;
};

/* Of this process. */
int maps_open(struct maps *maps);
/* Of the process whose list is open as maps->file; -ESRCH, and closed, if that has no memory. */
int maps_begin(struct maps *maps);
void maps_close(struct maps *maps);

/**
 * struct maps_walk - goes through the mappings of a range once, in ascending order
 * @pos, @end:   what is left of the range
 * @offset:      how far the list was read, where it has to be read
 * @used, @have: what of @text was gone through, and was read
 */
struct maps_walk {
	uintptr_t pos;
	uintptr_t end;
	off_t offset;
	size_t used;
	size_t have;
	char text[8192];
};

void maps_walk(struct maps_walk *walk, uintptr_t start, uintptr_t end);
/* The next mapping, cut to the range: 0, -ENOENT when there is none, or another error. */
int maps_next(struct maps *maps, struct maps_walk *walk, struct mapping *out);
/* Whether it is [vdso] or the like, which looks like private anonymous memory. A system call more. */
bool maps_of_kernel(const struct maps *maps, const struct mapping *m);
/*
 * In this process, keeps the kernel from making huge pages there and from merging pages, for good.
 * Only -ENOMEM is an error: other memory knows neither.
 */
int maps_keep_apart(uintptr_t start, uintptr_t end);
/* In this process, drops the content of [m->start, m->end), so that it reads as zero, or as the file. */
int maps_drop(const struct mapping *m);

#endif
