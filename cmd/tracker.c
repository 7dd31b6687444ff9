/* SPDX-License-Identifier: MIT */
#include "duration.h"
#include "processes.h"
#include "tracker_state.h"
#include "tracker_why.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <writewatch/process.h>

#define ATTACH_TRIES 3
#define OPEN_TRIES 20

static FILE *open_proc(const struct tracker *t, const char *name, const char *mode)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)t->pid, name);
	return fopen(path, mode);
}

bool tracker_ended(const struct tracker *t)
{
	struct pollfd fd = {.fd = t->pidfd, .events = POLLIN};

	return poll(&fd, 1, 0) > 0;
}

/* What is left where nothing can be watched asynchronously. */
static int begin_soft_dirty(struct tracker *t)
{
	FILE *file;

	if (!(ww_process_categories(t->process) & WW_PAGE_SOFT_DIRTY))
		return -ENOTSUP;
	file = open_proc(t, "clear_refs", "we");
	if (!file)
		return -errno;
	/* Else the number may have been another's already. */
	if (tracker_ended(t)) {
		fclose(file);
		return -ESRCH;
	}
	t->clear_refs = dup(fileno(file));
	fclose(file);
	if (t->clear_refs < 0)
		return -errno;
	t->way = TRACKER_SOFT_DIRTY;
	return tracker_clear_soft_dirty(t);
}

/* On a busy machine a thread may need longer to stop; one that calls execve(2) is soon done. */
static int attach(struct ww_process *p)
{
	int tries = 0;
	int r;

	do
		r = ww_process_attach(p, 0);
	while ((r == -ETIMEDOUT || r == -EAGAIN) && ++tries < ATTACH_TRIES);
	return r;
}

static int read_mappings(struct tracker *t)
{
	rewind(t->maps);
	return mappings_read(&t->all, t->maps);
}

static int choose_mappings(struct tracker *t)
{
	struct mappings last = t->mappings;

	t->mappings = t->before;
	t->before = last;
	return tracker_choose(&t->mappings, &t->all, &t->before, t->ranges, t->count);
}

/* Nothing that anybody writes would be told of. */
static bool is_taken(const struct ww_attachment *a)
{
	return a->attached && a->watched == 0 && a->skipped_busy > 0;
}

static int begin_once(struct tracker *t, char *why)
{
	struct ww_attachment attachment = {.size = sizeof(attachment)};
	int r = ww_process_open_pidfd(&t->process, t->pidfd, 0);

	if (r < 0) {
		tracker_explain_error(r, t->pid, why);
		return r;
	}
	r = attach(t->process);
	if (r == 0 && ww_process_attachment(t->process, &attachment) == 0 &&
	    is_taken(&attachment)) {
		tracker_explain(why, "another userfaultfd watches all of its memory, such as that "
				     "of another writewatch");
		return -EEXIST;
	}
	if (r == -ENOTSUP) {
		int other = begin_soft_dirty(t);

		r = other == 0 || other == -ESRCH ? other : r;
	}
	if (r == 0) {
		t->maps = open_proc(t, "maps", "re");
		r = t->maps ? read_mappings(t) : -errno;
	}
	if (r == 0) {
		t->count = 0;
		mappings_clear(&t->mappings);
		r = choose_mappings(t);
	}
	/* Else the number may have been another's already. */
	if (r == 0 && tracker_ended(t))
		r = -ESRCH;
	if (r < 0) {
		tracker_explain_error(r, t->pid, why);
		if (ww_process_attachment(t->process, &attachment) == 0 && attachment.reason)
			tracker_explain(why, "%s", attachment.reason);
	}
	return r;
}

static void end(struct tracker *t)
{
	/* Detaches as well. */
	ww_process_close(t->process);
	t->process = NULL;
	if (t->maps)
		fclose(t->maps);
	t->maps = NULL;
	if (t->clear_refs >= 0)
		close(t->clear_refs);
	t->clear_refs = -1;
}

/* Is it, or was it until now, replacing its program, so that another attempt may succeed? */
static bool is_passing(const struct tracker *t, int error)
{
	return error == -ESTALE || error == -EAGAIN || error == -ETIMEDOUT ||
	       (error == -ESRCH && !tracker_ended(t));
}

static int begin(struct tracker *t, char *why)
{
	const struct timespec pause = {0, NS_PER_MS};
	int r = begin_once(t, why);

	for (int i = 0; i < OPEN_TRIES && r != -ETIMEDOUT && is_passing(t, r); i++) {
		end(t);
		nanosleep(&pause, NULL);
		r = begin_once(t, why);
	}
	return r;
}

/* For a thread, the kernel says EINVAL, or ENOENT from Linux 6.15 on. */
static int explain_no_process(pid_t pid, int error, char *why)
{
	pid_t of = error == EINVAL || error == ENOENT ? process_of_thread(pid) : 0;
	int r = of ? -EINVAL : -error;

	if (r == -EINVAL && !of)
		r = -ESRCH;
	tracker_explain_error(r, pid, why);
	if (of)
		tracker_explain(why, "that is the number of a thread, of process %d", (int)of);
	return r;
}

int tracker_open(struct tracker **out, pid_t pid, char *why)
{
	struct tracker *t = NULL;
	int r;

	*out = NULL;
	if (pid == getpid()) {
		tracker_explain(why, "that is this command itself");
		return -EINVAL;
	}
	t = calloc(1, sizeof(*t));
	if (!t) {
		tracker_explain_error(-ENOMEM, pid, why);
		return -ENOMEM;
	}
	t->pid = pid;
	t->clear_refs = -1;
	t->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (t->pidfd < 0) {
		r = explain_no_process(pid, errno, why);
	} else {
		r = begin(t, why);
	}
	if (r < 0) {
		tracker_close(t);
		return r;
	}
	*out = t;
	return 0;
}

enum tracker_way tracker_way(const struct tracker *t)
{
	return t->way;
}

void tracker_skipped(const struct tracker *t, struct tracker_skipped *skipped)
{
	struct ww_attachment a = {.size = sizeof(a)};

	*skipped = (struct tracker_skipped){0};
	if (t->way != TRACKER_EXACT || !t->process || ww_process_attachment(t->process, &a) < 0)
		return;
	*skipped = (struct tracker_skipped){
	    .mappings = a.skipped,
	    .bytes = a.skipped_bytes,
	    .busy = a.skipped_busy,
	    .hugetlb = a.skipped_hugetlb,
	    .sealed = a.skipped_sealed,
	    .special = a.skipped_special,
	};
}

int tracker_pidfd(const struct tracker *t)
{
	return t->pidfd;
}

static int get_written(struct tracker *t)
{
	int r = 0;

	t->count = 0;
	if (t->way == TRACKER_EXACT)
		r = ww_process_refresh(t->process);
	if (r == 0)
		r = read_mappings(t);
	if (r == 0)
		r = tracker_get(t);
	return r == 0 ? choose_mappings(t) : r;
}

/* It has called execve(2): what it wrote until now cannot be known. */
static int begin_again(struct tracker *t, char *why)
{
	int r;

	end(t);
	t->count = 0;
	r = begin_once(t, why);
	/* It may be calling execve(2) once more, or be traced for a while: the next beat tries
	 * again. */
	if (is_passing(t, r) || r == -EBUSY) {
		end(t);
		r = 0;
	}
	return r;
}

int tracker_poll(struct tracker *t, struct tracker_sample *sample, char *why)
{
	bool again = false;
	int r = t->process ? get_written(t) : -ESTALE;

	if (r < 0)
		tracker_explain_error(r, t->pid, why);
	if (r == -ESTALE) {
		again = true;
		r = begin_again(t, why);
	}
	/* What has ended cannot be begun with either; the descriptor may tell that a moment later. */
	if (again || r < 0)
		r = tracker_ended(t) || r == -ECHILD ? -ESRCH : r;
	*sample = (struct tracker_sample){
	    .mappings = &t->mappings,
	    .ranges = t->ranges,
	    .range_count = t->count,
	    .incomplete = again,
	};
	return r;
}

void tracker_close(struct tracker *t)
{
	if (!t)
		return;
	end(t);
	if (t->pidfd >= 0)
		close(t->pidfd);
	mappings_free(&t->all);
	mappings_free(&t->mappings);
	mappings_free(&t->before);
	free(t->ranges);
	free(t);
}
