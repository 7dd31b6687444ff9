/* SPDX-License-Identifier: MIT */
#include "trial.h"

#include <errno.h>
#include <sys/mman.h>

#define PAGES 4

bool trial_reports(struct ww *w, struct range *r, bool reset, size_t page)
{
	struct ww_range got[2];
	struct sink sink = {
		.shape = SINK_RANGES,
		.list.ranges = got,
		.room = 2,
		.page_shift = w->page_shift,
	};
	uintptr_t expected = r->start + (page << w->page_shift);

	return w->backend->ops->scan(w, r, r->start, r->end, reset, &sink) == 0 &&
	       sink.count == 1 && (uintptr_t)got[0].start == expected &&
	       (uintptr_t)got[0].end == expected + w->page_size;
}

bool trial_reports_nothing(struct ww *w, struct range *r)
{
	struct sink sink = {.shape = SINK_PAGES, .page_shift = w->page_shift};

	return w->backend->ops->scan(w, r, r->start, r->end, false, &sink) == 0 &&
	       sink.count == 0;
}

volatile unsigned char *trial_byte(const struct ww *w, const struct range *r, size_t page)
{
	return (volatile unsigned char *)(r->start + (page << w->page_shift));
}

bool trial_tracks(struct ww *w, struct range *r)
{
	if (!trial_reports_nothing(w, r))
		return false;
	*trial_byte(w, r, 1) = 1;
	(void)*trial_byte(w, r, 2);
	if (!trial_reports(w, r, false, 1) || !trial_reports(w, r, true, 1) ||
	    !trial_reports_nothing(w, r))
		return false;
	*trial_byte(w, r, 1) = 2;
	return trial_reports(w, r, true, 1);
}

int trial_run(struct ww *w, bool (*works)(struct ww *w, struct range *r), const char **why)
{
	const struct backend_ops *ops = w->backend->ops;
	size_t size = (size_t)PAGES << w->page_shift;
	struct mapping m = {.kind = MAPPING_PRIVATE_ANON, .prot = PROT_READ | PROT_WRITE};
	struct range r = {0};
	void *scratch;
	int n = context_map(w, &scratch, size);

	*why = "no address space for a trial";
	if (n < 0)
		return n;
	r.start = m.start = (uintptr_t)scratch;
	r.end = m.end = r.start + size;
	*why = "the kernel refuses to watch scratch pages";
	n = ops->attach(w, &m);
	if (n == 0) {
		n = ops->arm(w, &r, MAPPING_PRIVATE_ANON);
		if (n == 0 && !works(w, &r)) {
			*why = "pages written on trial were not reported as they should be";
			n = -ENOTSUP;
		}
		ops->detach(w, r.start, r.end);
	}
	sys_munmap(scratch, size);
	return n;
}

int trial_unblocked(int (*trial)(struct ww *w, const char **why), struct ww *w, const char **why)
{
	sigset_t faults, old;
	int r;

	sigemptyset(&faults);
	sigaddset(&faults, SIGBUS);
	sigaddset(&faults, SIGSEGV);
	pthread_sigmask(SIG_UNBLOCK, &faults, &old);
	r = trial(w, why);
	sys_restore_signals(&old);
	return r;
}
