/* SPDX-License-Identifier: MIT */
#ifndef WRITEWATCH_TRACKER_STATE_H
#define WRITEWATCH_TRACKER_STATE_H

/* What the files of the tracker share. */

#include "tracker.h"

#include <stdio.h>

#include <writewatch/process.h>

#define TRACKER_ROOM 4096

/**
 * struct tracker - a process that is looked at
 * @maps:   the list of its mappings; of the memory that it had when that was opened
 * @all:    what that said last; @mappings and @before: those of the last sample, and the one before
 * @ranges: what was written, of the last poll
 * @answer: what one call of the library gives
 */
struct tracker {
	pid_t pid;
	int pidfd;
	enum tracker_way way;
	struct ww_process *process;
	FILE *maps;
	int clear_refs;
	struct mappings all, mappings, before;
	struct tracker_range *ranges;
	size_t count, room;
	struct ww_page_range answer[TRACKER_ROOM];
};

/* tracker_get.c: adds to the ranges what was written since the last time. */
int tracker_get(struct tracker *t);
int tracker_clear_soft_dirty(struct tracker *t);

#endif
