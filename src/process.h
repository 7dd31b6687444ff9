/* SPDX-License-Identifier: MIT */
#ifndef WW_PROCESS_H
#define WW_PROCESS_H

/* Another process, or this one: what its pages are, by PAGEMAP_SCAN or by reading its pagemap. */

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <writewatch/process.h>

#include "kept.h"
#include "maps.h"
#include "sys.h"
#include "uapi/pagemap_scan.h"

#define PROCESS_REGIONS 4096

/**
 * struct ww_process - a process that was opened
 * @lock:       held by every call
 * @own:        this process's number if it is what was opened: a child of it has another
 * @pidfd:      tells its number while it exists; the own process can do without
 * @pagemap, @maps: of its memory, also when its number is another's
 * @has_scan:   PAGEMAP_SCAN is used
 * @categories: that can be told, bits of enum ww_page_category
 * @limit:      behind the last page it can have
 * @regions:    what PAGEMAP_SCAN fills. Written before its first use: answers of a reset exist only
 *              once, and must not get lost for lack of memory.
 * @words:      what was read of @pagemap
 * @kept:       pages that the kernel was told to forget and ww_process_memwatch() has not reported
 * @kept_empty: the same of pages that hold nothing, and count as written for their mapping's sake
 */
struct ww_process {
	pthread_mutex_t lock;
	pid_t own;
	struct sys_file pidfd;
	struct sys_file pagemap;
	struct maps maps;
	bool has_scan;
	uint64_t categories;
	uint64_t limit;
	size_t page_size;
	unsigned page_shift;
	struct wwk_page_region *regions;
	uint64_t *words;
	struct kept kept;
	struct kept kept_empty;
	struct tracking *tracking; /* NULL: not attached */
	struct ww_attachment attachment;
};

/* Whether its memory is this process's. When it cannot be known, it is. */
bool process_is_ours(const struct ww_process *p);
/* Opens /proc/PID/NAME of this very process. */
int process_file(const struct ww_process *p, struct sys_file *file, const char *name, int flags);
/* Why nothing can be asked of it any more: -EBADF, -ESRCH, -ESTALE; 0 if that is not so. */
int process_gone(const struct ww_process *p);

/* Sets @has_scan and @categories. */
void process_probe(struct ww_process *p, bool read_pagemap);

/**
 * struct process_result - where what was found goes
 * @put:        takes a run of pages, at most @pages_left; false if there is no room
 * @room:       of regions that the kernel may return, less @count
 * @pages:      how many pages were found
 * @pages_left: how many more are wanted; UINT64_MAX: all
 * @ranges, @vec, @base, @list: what put() fills
 */
struct process_result {
	bool (*put)(struct process_result *to, uint64_t start, uint64_t end, uint64_t categories);
	size_t room;
	size_t count;
	uint64_t pages;
	uint64_t pages_left;
	unsigned page_shift;
	struct ww_page_range *ranges;
	uint64_t *vec;
	uint64_t base;
	struct kept_merge *list;
};

/* As many pages as there are, in so many ranges at most. */
struct process_result process_into(const struct ww_process *p, struct ww_page_range *ranges,
				   size_t room);
/* Takes in what is wanted and there is room for; returns where that ends. */
uint64_t process_put(struct process_result *to, uint64_t start, uint64_t end, uint64_t categories);

/*
 * By the one or the other way, with the lock held: the query is valid, with @start and @end
 * rounded.
 * @next is set also on an error, to where that came.
 */
int process_scan(struct ww_process *p, struct ww_process_query *q, struct process_result *to);
int process_scan_ioctl(struct ww_process *p, struct ww_process_query *q, struct process_result *to);
int process_scan_pagemap(struct ww_process *p, struct ww_process_query *q,
			 struct process_result *to);

/* Opens what these descriptors are of, and takes them over. */
int process_adopt(struct ww_process **out, struct sys_file *pidfd, struct sys_file *pagemap,
		  struct sys_file *maps);
/* Its number now: -ESRCH if it has none any more, -EINVAL for what is no process. */
int process_number(const struct ww_process *p, int *number);
/* The beginning of a file, as far as one read gives it, as text. */
int process_read(const char *path, char *text, size_t size);
/* The beginning of /proc/PID/NAME, as far as one read gives it. */
int process_text(const struct ww_process *p, const char *name, char *text, size_t size);
/* The same of a status file, but for its groups, of which there may be more than there is room. */
int process_read_status(const char *path, char *text, size_t size);
int process_status(const struct ww_process *p, const char *name, char *text, size_t size);
/* process_scan_ioctl() of what holds no huge pages of hugetlbfs, all of which may be looked at. */
int process_scan_unchecked(struct ww_process *p, struct ww_process_query *q,
			   struct process_result *to);
/* 0 if all that is mapped there is registered with a userfaultfd as attaching does it, or -EPERM. */
int process_check_watched(const struct ww_process *p, uint64_t start, uint64_t end);

#endif
