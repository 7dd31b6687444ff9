/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>

#include "pagemap_scan.h"
#include "uapi/userfaultfd.h"

/* The userfaultfd half of the backend: descriptors, registration, protection of whole ranges. */

void ps_close(struct ww *w)
{
	maps_close(&w->maps);
	sys_close(&w->uffd);
	sys_close(&w->pagemap);
}

static int open_pagemap(struct ww *w, const char **why)
{
	int r = sys_open(&w->pagemap, "/proc/thread-self/pagemap", O_RDONLY);

	if (r == 0)
		r = maps_open(&w->maps);
	if (r == -EACCES || r == -EPERM)
		*why = "/proc/self/pagemap may not be opened: the process is not dumpable "
		       "(PR_SET_DUMPABLE, or it changed its user)";
	else if (r == -EMFILE || r == -ENFILE)
		*why = "no file descriptors are left";
	else if (r < 0)
		*why = "/proc/self/pagemap cannot be opened: is /proc mounted?";
	return r;
}

static int open_device(struct ww *w)
{
	struct sys_file device;
	int r = sys_open(&device, "/dev/userfaultfd", O_RDWR);

	if (r < 0)
		return r;
	r = sys_adopt(&w->uffd, (int)sys_ioctl(device.fd, WWK_USERFAULTFD_IOC_NEW,
					       (void *)(uintptr_t)(O_CLOEXEC | O_NONBLOCK)));
	sys_close(&device);
	return r;
}

static int open_uffd(struct ww *w, const char **why)
{
	struct wwk_uffdio_api api = {
		.api = WWK_UFFD_API,
		.features = WWK_UFFD_FEATURE_WP_ASYNC | WWK_UFFD_FEATURE_WP_UNPOPULATED,
	};
	int r = sys_userfaultfd(&w->uffd, WWK_UFFD_USER_MODE_ONLY);

	/* A filter of system calls may deny the one way and not the other. */
	if (r == -EPERM || r == -ENOSYS || r == -EACCES) {
		if (open_device(w) == 0)
			r = 0;
	}
	if (r == -ENOSYS)
		*why = "the kernel has no userfaultfd (CONFIG_USERFAULTFD), or a seccomp filter "
		       "hides it";
	else if (r == -EMFILE || r == -ENFILE)
		*why = "no file descriptors are left";
	else if (r < 0)
		*why = "userfaultfd is denied: a seccomp filter or security module, as container "
		       "profiles often have, must allow the system call userfaultfd";
	if (r < 0)
		return r;
	r = (int)sys_ioctl(w->uffd.fd, WWK_UFFDIO_API, &api);
	if (r < 0)
		*why = "the kernel has no asynchronous write-protection "
		       "(UFFD_FEATURE_WP_ASYNC, Linux 6.7)";
	return r;
}

int ps_open(struct ww *w, const char **why)
{
	int r = open_pagemap(w, why);

	if (r == 0)
		r = open_uffd(w, why);
	if (r == 0)
		r = ps_probe(w, why);
	if (r < 0)
		ps_close(w);
	return r;
}

/* Whether a scan sees anything there: 1, 0, or an error. */
static int is_scanned(struct ww *w, uintptr_t start, uintptr_t end)
{
	static const struct ps_filter registered = {
		.mask = WWK_PAGE_IS_WPALLOWED,
		.returned = WWK_PAGE_IS_WPALLOWED,
	};
	void *page;
	struct sink first = {
		.shape = SINK_PAGES,
		.list.pages = &page,
		.room = 1,
		.page_shift = w->page_shift,
	};

	return (int)ps_regions_into(w, &registered, start, end, &first, &start);
}

int ps_attach(struct ww *w, uintptr_t start, uintptr_t end)
{
	struct wwk_uffdio_register reg = {
		.range = {.start = start, .len = end - start},
		.mode = WWK_UFFDIO_REGISTER_MODE_WP,
	};
	long r = sys_ioctl(w->uffd.fd, WWK_UFFDIO_REGISTER, &reg);

	if (r < 0 && context_lost(w, &w->uffd))
		return -ESTALE;
	if (r == -EPERM)
		return -EACCES;
	if (r < 0)
		return r == -EBUSY || r == -ENOMEM ? (int)r : -ENOTSUP;
	/* Some kernels register device memory, which no scan ever looks at. */
	r = is_scanned(w, start, end);
	if (r <= 0) {
		ps_detach(w, start, end);
		return r < 0 ? (int)r : -ENOTSUP;
	}
	/* Only huge pages of hugetlbfs lack UFFDIO_ZEROPAGE, and not every way to ask for the kind
	 * of a mapping knows them. */
	if (!(reg.ioctls & (1u << WWK_UFFDIO_ZEROPAGE_NR)) ||
	    !(reg.ioctls & (1u << WWK_UFFDIO_WRITEPROTECT_NR))) {
		ps_detach(w, start, end);
		return -ENOTSUP;
	}
	return 0;
}

/*
 * Calls an ioctl for each mapping in [start, end) that is tracked, where one for all of it cannot
 * be: -ENOENT if some is not, but another error is told before that one.
 */
static int for_mappings(struct ww *w, uintptr_t start, uintptr_t end, unsigned long request,
			uint64_t mode)
{
	struct mapping m;
	int r, result = 0;

	for (; start < end; start = m.end) {
		struct wwk_uffdio_writeprotect wp = {.mode = mode};

		r = maps_find(&w->maps, start, &m);
		if (r == -ENOENT || (r == 0 && m.start >= end))
			break;
		if (r < 0)
			return context_lost(w, &w->maps.file) ? -ESTALE : -EIO;
		wp.range.start = m.start > start ? m.start : start;
		wp.range.len = (m.end < end ? m.end : end) - wp.range.start;
		/* The kernel would do it to the memory of any other userfaultfd, too. */
		r = ps_attached(w, wp.range.start, wp.range.start + wp.range.len);
		if (r == 0)
			r = -ENOENT;
		if (r > 0)
			/* Both arguments begin with the range. */
			r = (int)sys_ioctl(w->uffd.fd, request, &wp);
		if (r < 0 && (result == 0 || result == -ENOENT))
			result = r;
	}
	return result;
}

/* The kernel refuses a range in which anything is another userfaultfd's by now. */
int ps_detach(struct ww *w, uintptr_t start, uintptr_t end)
{
	struct wwk_uffdio_range range = {.start = start, .len = end - start};
	int r = (int)sys_ioctl(w->uffd.fd, WWK_UFFDIO_UNREGISTER, &range);

	if (r < 0 && r != -ENOMEM)
		r = for_mappings(w, start, end, WWK_UFFDIO_UNREGISTER, 0);
	return r == -ENOMEM ? r : 0;
}

static int write_protect(struct ww *w, uintptr_t start, uintptr_t end, uint64_t mode)
{
	struct wwk_uffdio_writeprotect wp = {
		.range = {.start = start, .len = end - start},
		.mode = mode,
	};
	long r;

	do
		r = sys_ioctl(w->uffd.fd, WWK_UFFDIO_WRITEPROTECT, &wp);
	while (r == -EAGAIN);
	/* Something in the range is not mapped, or not registered. */
	if (r == -ENOENT)
		r = for_mappings(w, start, end, WWK_UFFDIO_WRITEPROTECT, mode);
	if (r == 0 || r == -ENOMEM)
		return (int)r;
	return r == -ENOENT || context_lost(w, &w->uffd) ? -ESTALE : -EIO;
}

int ps_protect(struct ww *w, uintptr_t start, uintptr_t end)
{
	return write_protect(w, start, end, WWK_UFFDIO_WRITEPROTECT_MODE_WP);
}

int ps_unprotect(struct ww *w, uintptr_t start, uintptr_t end)
{
	return write_protect(w, start, end, 0);
}

/* What is not registered any more needs no mark: scans of it fail until it is repaired, and then
 * it counts as written. */
int ps_settle(struct ww *w, uintptr_t start, uintptr_t end)
{
	int r = ps_attached(w, start, end);

	if (r > 0)
		return ps_unprotect(w, start, end);
	if (r == 0)
		r = for_mappings(w, start, end, WWK_UFFDIO_WRITEPROTECT, 0);
	return r == -ENOENT ? 0 : r;
}
