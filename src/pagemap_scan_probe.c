/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>

#include "pagemap_scan.h"
#include "trial.h"
#include "uffd.h"

/* For each mode, what one page table maps where pages have 4 KiB. */
#define HALF ((uintptr_t)1 << 21)

/*
 * These versions can lose the hardware's dirty bit of a page in a resetting scan, and with it data
 * under memory pressure. No test can show that in time, so the version is what decides.
 */
bool ps_is_lossy_version(void)
{
	unsigned major, minor, patch = 0;
	char release[128];

	if (sys_kernel_release(release, sizeof(release)) < 0 ||
	    sscanf(release, "%u.%u.%u", &major, &minor, &patch) < 2)
		return false;
	return major == 6 && (minor == 7 || (minor == 8 && patch < 10));
}

static int try_ioctl(struct ww *w, const char **why)
{
	struct wwk_pm_scan_arg arg = {
		.size = sizeof(arg),
		.vec = (uintptr_t)w->regions,
		.vec_len = WW_REGIONS,
		.category_mask = WWK_PAGE_IS_WRITTEN,
		.return_mask = WWK_PAGE_IS_WRITTEN,
	};
	int r = (int)sys_ioctl(w->pagemap.fd, WWK_PAGEMAP_SCAN, &arg);

	if (r < 0) {
		*why = "the kernel has no PAGEMAP_SCAN (Linux 6.7)";
		return -ENOTSUP;
	}
	arg.category_mask = WWK_PAGE_IS_GUARD;
	if (sys_ioctl(w->pagemap.fd, WWK_PAGEMAP_SCAN, &arg) == 0)
		w->guard_pages = WWK_PAGE_IS_GUARD;
	return 0;
}

/* Stores, loads and a write by the kernel, before and after a reset. */
static bool tracks(struct ww *w, struct range *r)
{
	if (!trial_reports_nothing(w, r))
		return false;
	*trial_byte(w, r, 3) = 1;
	(void)*trial_byte(w, r, 5);
	if (!trial_reports(w, r, false, 3) || !trial_reports(w, r, true, 3) ||
	    !trial_reports_nothing(w, r))
		return false;
	*trial_byte(w, r, 3) = 1;
	if (!trial_reports(w, r, true, 3))
		return false;
	if (sys_pread(w->maps.file.fd, (void *)trial_byte(w, r, 7), 1, 0) != 1)
		return false;
	return trial_reports(w, r, true, 7) && trial_reports_nothing(w, r);
}

static bool reports_holes(struct ww *w, uintptr_t start, uintptr_t end)
{
	struct range r = {.start = start, .end = end, .mode = PS_ARMED};
	struct sink sink = {.shape = SINK_PAGES, .page_shift = w->page_shift};

	return ps_scan(w, &r, start, end, false, &sink) == 0 &&
	       sink.count == (end - start) >> w->page_shift;
}

static bool has_zero_page(struct ww *w, uintptr_t start)
{
	static const struct ps_filter zero = {
		.mask = WWK_PAGE_IS_PFNZERO,
		.returned = WWK_PAGE_IS_WPALLOWED,
	};
	struct range r = {.start = start, .end = start + w->page_size};
	uintptr_t next;

	(void)*trial_byte(w, &r, 0);
	return ps_regions(w, &zero, r.start, r.end, w->regions, 1, &next) == 1;
}

static int try_tracking(struct ww *w, uintptr_t start, const char **why)
{
	struct range lazy = {.start = start, .end = start + HALF, .mode = PS_LAZY};
	struct range armed = {.start = lazy.end, .end = lazy.end + HALF, .mode = PS_ARMED};
	int r = ps_attach(w, &(struct mapping){.start = lazy.start, .end = armed.end});

	if (r < 0) {
		*why = "the kernel refuses to register memory for asynchronous write-protection";
		return r == -ENOMEM ? r : -ENOTSUP;
	}
	w->no_holes = !reports_holes(w, lazy.start, lazy.end);
	/* Such a kernel leaves more out where a scan asks for more than one category. */
	w->join_gaps = !w->no_holes;
	sys_madvise(lazy.start, 2 * HALF, MADV_NOHUGEPAGE);
	w->no_zero_page = !has_zero_page(w, lazy.start);
	/* Where holes are not seen either, nothing would tell what a discard left clean. */
	if (uffd_protect(w, armed.start, armed.end) < 0 ||
	    (w->no_zero_page ? w->no_holes : !tracks(w, &lazy)) || !tracks(w, &armed)) {
		*why = "pages written on trial were not reported as they should be";
		r = -ENOTSUP;
	}
	uffd_detach(w, lazy.start, armed.end);
	return r;
}

int ps_probe(struct ww *w, const char **why)
{
	void *scratch;
	int r;

	if (ps_is_lossy_version()) {
		*why = "Linux 6.7.0 to 6.8.9 can lose data while it resets (CVE-2024-36943): "
		       "update the kernel";
		return -ENOTSUP;
	}
	r = try_ioctl(w, why);
	if (r < 0)
		return r;
	r = context_map(w, &scratch, 3 * HALF);
	if (r < 0) {
		*why = "no address space for a trial";
		return r;
	}
	r = try_tracking(w, ((uintptr_t)scratch + HALF - 1) & ~(HALF - 1), why);
	sys_munmap(scratch, 3 * HALF);
	return r;
}
