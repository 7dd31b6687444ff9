/* SPDX-License-Identifier: MIT */
#ifndef WW_PROCESS_H
#define WW_PROCESS_H

/* Another process, or this one: what its pages are, by PAGEMAP_SCAN or by reading its pagemap. */

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <writewatch/process.h>

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
};

/* Opens /proc/PID/NAME of this very process. */
int process_file(const struct ww_process *p, struct sys_file *file, const char *name, int flags);
/* Why nothing can be asked of it any more: -EBADF, -ESRCH, -ESTALE; 0 if that is not so. */
int process_gone(const struct ww_process *p);

/* Sets @has_scan and @categories. */
void process_probe(struct ww_process *p, bool read_pagemap);

/**
 * struct process_result - where what was found goes
 * @ranges, @room: what the caller gave
 * @count:      how many ranges there are
 * @pages:      how many pages were found
 * @pages_left: how many more are wanted
 */
struct process_result {
	struct ww_page_range *ranges;
	size_t room;
	size_t count;
	uint64_t pages;
	uint64_t pages_left;
};

/* Takes in what there is room for; returns where it ends, which is start if there is none. */
uint64_t process_put(const struct ww_process *p, struct process_result *to, uint64_t start,
		     uint64_t end, uint64_t categories);

/*
 * Two ways to the same ranges, both with the lock held: the query is valid, with @start and @end
 * rounded. @next is set also on an error, to where that came.
 */
int process_scan_ioctl(struct ww_process *p, struct ww_process_query *q, struct process_result *to);
int process_scan_pagemap(struct ww_process *p, struct ww_process_query *q,
			 struct process_result *to);

#endif
