/* SPDX-License-Identifier: MIT */
#include "duration.h"
#include "top.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_CHILDREN 4096

static struct target *add_target(struct targets *t, pid_t pid)
{
	if (t->count == t->room) {
		size_t room = t->room ? t->room * 2 : 8;
		struct target *larger = realloc(t->list, room * sizeof(*larger));

		if (!larger)
			return NULL;
		t->list = larger;
		t->room = room;
	}
	t->list[t->count] = (struct target){.pid = pid, .seen = true};
	return &t->list[t->count++];
}

static int begin_tracking(struct target *target)
{
	int r = tracker_open(&target->tracker, target->pid, target->why);

	process_name(target->pid, target->name);
	target->state = r < 0 ? TARGET_REFUSED : TARGET_TRACKED;
	target->polled_ns = duration_now();
	return r;
}

int targets_open(struct targets *t, pid_t pid, bool follow, char *why)
{
	struct target *target;
	int r;

	*t = (struct targets){
	    .page_size = (uint64_t)sysconf(_SC_PAGESIZE),
	    .follow = follow,
	    .first = pid,
	};
	target = add_target(t, pid);
	if (!target) {
		strcpy(why, "out of memory");
		return -ENOMEM;
	}
	r = begin_tracking(target);
	if (r < 0)
		strcpy(why, target->why);
	return r;
}

/* It is no longer tracked, and why[] says why. */
static void stop_tracking(struct targets *t, struct target *target, enum target_state state)
{
	target->state = state;
	target->rows.count = target->rows.written_rows = 0;
	target->rows.pages = target->rows.written = 0;
	tracker_close(target->tracker);
	target->tracker = NULL;
	if (target->pid != t->first || *t->end)
		return;
	snprintf(t->end, sizeof(t->end), "%s (%d) %s", target->name, (int)target->pid, target->why);
	t->failed = state == TARGET_REFUSED;
}

static void end_target(struct targets *t, struct target *target)
{
	int status;

	strcpy(target->why, "has ended");
	if (process_exit_status(target->pid, tracker_pidfd(target->tracker), &status))
		process_print_status(status, target->why + strlen(target->why),
				     sizeof(target->why) - strlen(target->why));
	stop_tracking(t, target, TARGET_ENDED);
}

static void poll_target(struct targets *t, struct target *target)
{
	struct tracker_sample sample;
	char why[TRACKER_WHY];
	uint64_t now;
	int r = tracker_poll(target->tracker, &sample, why);

	if (r == -ESRCH) {
		end_target(t, target);
		return;
	}
	if (r == 0 && (r = top_rows_take(&target->rows, &sample, t->page_size)) < 0)
		strcpy(why, strerror(-r));
	if (r < 0) {
		snprintf(target->why, sizeof(target->why), "cannot be asked: %.*s",
			 TRACKER_WHY - 20, why);
		stop_tracking(t, target, TARGET_REFUSED);
		return;
	}
	now = duration_now();
	target->incomplete = sample.incomplete;
	target->seconds = (double)(now - target->polled_ns) / (double)NS_PER_SECOND;
	target->polled_ns = now;
	/* It may have called execve(2). */
	process_name(target->pid, target->name);
}

struct top_sums target_sums(const struct target *t)
{
	return (struct top_sums){
	    .rate = t->seconds > 0 ? (double)t->rows.written / t->seconds : 0,
	    .pages = t->rows.pages,
	    .written = t->rows.written,
	    .mappings = t->rows.count,
	    .written_mappings = t->rows.written_rows,
	    .incomplete = t->incomplete,
	};
}

struct top_sums targets_sums(const struct targets *t)
{
	struct top_sums all = {0};

	for (size_t i = 0; i < t->count; i++) {
		struct top_sums one = target_sums(&t->list[i]);

		all.rate += one.rate;
		all.pages += one.pages;
		all.written += one.written;
		all.mappings += one.mappings;
		all.written_mappings += one.written_mappings;
		all.incomplete |= one.incomplete;
	}
	return all;
}

static struct target *find_target(struct targets *t, pid_t pid)
{
	for (size_t i = 0; i < t->count; i++) {
		if (t->list[i].pid == pid && t->list[i].state != TARGET_ENDED)
			return &t->list[i];
	}
	return NULL;
}

/* Also goes through those that it adds. */
static int add_children(struct targets *t)
{
	pid_t *pids = malloc(MAX_CHILDREN * sizeof(*pids));

	if (!pids)
		return -ENOMEM;
	for (size_t i = 0; i < t->count; i++) {
		size_t count = 0;

		if (t->list[i].state != TARGET_ENDED)
			count = process_children(t->list[i].pid, pids, MAX_CHILDREN);
		for (size_t k = 0; k < count; k++) {
			struct target *child = find_target(t, pids[k]);

			/* Its own, for example, when it is told to follow the shell it runs in. */
			if (child || pids[k] == getpid()) {
				if (child)
					child->seen = true;
				continue;
			}
			child = add_target(t, pids[k]);
			if (!child) {
				free(pids);
				return -ENOMEM;
			}
			begin_tracking(child);
		}
	}
	free(pids);
	return 0;
}

/* Those who ended were shown once; a process that could not be tracked has no pidfd that tells. */
static void drop_gone(struct targets *t)
{
	size_t kept = 0;

	for (size_t i = 0; i < t->count; i++) {
		struct target *target = &t->list[i];
		bool gone = target->state == TARGET_ENDED ||
			    (target->state == TARGET_REFUSED && !target->seen);

		if (gone)
			free(target->rows.list);
		else
			t->list[kept++] = *target;
	}
	t->count = kept;
}

int targets_poll(struct targets *t)
{
	int r = 0;

	drop_gone(t);
	for (size_t i = 0; i < t->count; i++) {
		if (t->list[i].state == TARGET_TRACKED)
			poll_target(t, &t->list[i]);
		t->list[i].seen = t->list[i].pid == t->first;
	}
	t->rates[t->rate_count++ % TOP_HISTORY] = targets_sums(t).rate;
	if (t->follow)
		r = add_children(t);
	return r;
}

void targets_check(struct targets *t)
{
	for (size_t i = 0; i < t->count; i++) {
		if (t->list[i].state == TARGET_TRACKED && tracker_ended(t->list[i].tracker))
			end_target(t, &t->list[i]);
	}
}

bool targets_live(const struct targets *t)
{
	for (size_t i = 0; i < t->count; i++) {
		if (t->list[i].state == TARGET_TRACKED)
			return true;
	}
	return false;
}

void targets_close(struct targets *t)
{
	for (size_t i = 0; i < t->count; i++) {
		tracker_close(t->list[i].tracker);
		free(t->list[i].rows.list);
	}
	free(t->list);
	*t = (struct targets){0};
}
