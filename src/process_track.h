/* SPDX-License-Identifier: MIT */
#ifndef WW_PROCESS_TRACK_H
#define WW_PROCESS_TRACK_H

/* The memory of another process, registered with a userfaultfd that is its own, and held here. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "process.h"

/**
 * struct tracked - a mapping that is writable, or was or may become it
 * @error:  0: it is registered; else why not
 * @shared: of a file or of shared memory, whose pages the kernel takes away and keeps their content
 */
struct tracked {
	uint64_t start;
	uint64_t end;
	int error;
	bool shared;
};

/**
 * struct tracking - what attaching has made
 * @owner:    the process that attached: not a child of it
 * @uffd:     its userfaultfd
 * @list:     ascending
 * @count, @room: how many there are, and may be before it has to grow
 */
struct tracking {
	pid_t owner;
	struct sys_file uffd;
	struct tracked *list;
	size_t count;
	size_t room;
};

/* All with the lock held, but process_untrack(), which is for what nobody uses any more as well. */

/* Begins to track by this userfaultfd, which it takes over; what is there counts as not written. */
int process_track_begin(struct ww_process *p, struct sys_file *uffd);
/* Finds mappings that came; what is there in them counts as written, or not. */
int process_track_refresh(struct ww_process *p, bool written);
/* Lists what was written in [*start, end), as far as there is room; *start is where to go on. */
int process_track_get(struct ww_process *p, uint64_t *start, uint64_t end, bool reset,
		      struct process_result *to);
/* Takes all that is there for not written. */
int process_track_forget(struct ww_process *p, const struct mapping *m);
void process_untrack(struct ww_process *p);

/* Registers what is not yet: -EBUSY if part of it is another's, -ENOTSUP if it has hugetlb. */
int process_track_register(const struct tracking *t, uint64_t start, uint64_t end);
/* All of it counts as written again. -ENOENT: part of it nobody watches. */
int process_track_unprotect(const struct tracking *t, uint64_t start, uint64_t end);

#endif
