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

static void mp_close(struct ww *w)
{
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

/* Handler and page states are the child's by inheritance. */
static int mp_inherit(struct ww *w)
{
	maps_close(&w->maps);
	return maps_open(&w->maps);
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
	.protect = mp_protect,
};
