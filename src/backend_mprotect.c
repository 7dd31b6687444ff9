/* SPDX-License-Identifier: MIT */
/*
 * mprotect(2) and SIGSEGV: works everywhere. What was written is in the page states. They, and the
 * protection that they stand for, are changed together under the lock of the clients; only a query
 * that resets nothing reads them without: a page is marked before it is un-protected.
 */
#include "mprotect.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "faults.h"
#include "trial.h"

/* A failed ww_watch() may leave memory protected that is in no range, and so may one in a parent. */
static void detach_rest(struct ww *w)
{
	uintptr_t pos = 0, end = page_states_end(&w->states);
	bool ends = w->ends;

	w->ends = true;
	while ((pos = page_states_skip(&w->states, pos, end, STATE_WATCHED, 0)) < end) {
		uintptr_t stop = page_states_skip(&w->states, pos, end, STATE_WATCHED,
						  STATE_WATCHED);

		mp_detach(w, pos, stop);
		pos = stop;
	}
	w->ends = ends;
}

static void mp_close(struct ww *w)
{
	if (w->has_watched)
		detach_rest(w);
	faults_leave(w);
	page_states_free(&w->states);
	mp_spare_free(w);
	maps_close(&w->maps);
}

static int open_maps(struct ww *w, const char **why)
{
	int r = maps_open(&w->maps);

	if (r == -EMFILE || r == -ENFILE)
		*why = "no file descriptors are left";
	else if (r < 0)
		*why = "/proc/self/maps cannot be opened: is /proc mounted, and the process "
		       "dumpable?";
	return r;
}

/* Each boundary between protected and unprotected pages is a mapping more: we take a quarter. */
static long most_splits(void)
{
	unsigned long count = 65530;
	struct sys_file file;
	char text[32];

	if (sys_open(&file, "/proc/sys/vm/max_map_count", O_RDONLY) == 0) {
		ssize_t n = sys_pread(file.fd, text, sizeof(text) - 1, 0);

		text[n > 0 ? n : 0] = '\0';
		if (sscanf(text, "%lu", &count) != 1)
			count = 65530;
		sys_close(&file);
	}
	return (long)(count / 4);
}

static bool works(struct ww *w, struct range *r)
{
	return faults_handled(w) ? trial_tracks(w, r) : trial_reports_nothing(w, r);
}

static int probe(struct ww *w, const char **why)
{
	return trial_run(w, works, why);
}

static int mp_open(struct ww *w, const char **why)
{
	int r = open_maps(w, why);

	w->most_splits = most_splits();
	w->splits = 0;
	if (r == 0) {
		*why = "no mappings to keep in reserve";
		r = clients_init();
	}
	if (r == 0)
		r = mp_spare_make(w);
	if (r == 0) {
		*why = "the signal handler could not be installed";
		r = faults_join(w, &backend_mprotect, SIGSEGV, mp_fault);
	}
	if (r == 0)
		r = trial_unblocked(probe, w, why);
	if (r < 0)
		mp_close(w);
	return r;
}

static int attach_mapped(struct ww *w, uintptr_t start, uintptr_t end)
{
	struct maps_walk walk;
	struct mapping m;
	int r;

	maps_walk(&walk, start, end);
	while ((r = context_next_mapping(w, &walk, &m)) > 0) {
		r = mp_attach(w, &m);
		if (r < 0)
			return r;
	}
	return r;
}

/* When the process forked, a thread may have been about to forget what is still in the list. */
static int attach_half_forgotten(struct ww *w)
{
	int result = 0;

	for (struct range *r = registry_first(&w->registry, 0); r; r = range_next(r)) {
		if (page_states_skip(&w->states, r->start, r->end, STATE_WATCHED, STATE_WATCHED) <
		    r->end)
			result = attach_mapped(w, r->start, r->end);
		if (result < 0)
			break;
	}
	return result;
}

/* Handler and page states are the child's by inheritance. */
static int mp_inherit(struct ww *w)
{
	int r;

	maps_close(&w->maps);
	r = maps_open(&w->maps);
	return r == 0 ? attach_half_forgotten(w) : r;
}

const struct backend_ops backend_mprotect = {
	.open = mp_open,
	.close = mp_close,
	.attach = mp_attach,
	.detach = mp_detach,
	.attached = mp_attached,
	.owns = mp_owns,
	.arm = mp_arm,
	.arm_written = mp_arm_written,
	.inherit = mp_inherit,
	.scan = mp_scan,
	.settle = mp_settle,
	.mark = mp_mark,
	.discard = mp_discard,
	.prepare = mp_prepare,
};
