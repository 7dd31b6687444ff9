/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <sys/mman.h>

#include "pagemap.h"
#include "trial.h"
#include "uffd.h"
#include "uffd_sync.h"

#define PAGES 4

static bool all_protected(struct ww *w, uintptr_t start)
{
	uint64_t words[PAGES];

	if (pagemap_read(w, start, start + (PAGES << w->page_shift), words) < 0)
		return false;
	for (int i = 0; i < PAGES; i++)
		if (!(words[i] & PM_UFFD_WP))
			return false;
	return true;
}

/* One page is there, one was read, the others are not there. */
static bool arms(struct ww *w, struct range *r)
{
	*trial_byte(w, r, 0) = 1;
	w->no_markers = false;
	if (uffd_sync_arm(w, r, MAPPING_PRIVATE_ANON) < 0)
		return false;
	if (all_protected(w, r->start))
		return true;
	w->no_markers = true;
	return uffd_sync_arm(w, r, MAPPING_PRIVATE_ANON) == 0 && all_protected(w, r->start);
}

static bool tracks(struct ww *w, struct range *r, bool try_faults)
{
	uintptr_t second = r->start + w->page_size;

	if (!trial_reports_nothing(w, r))
		return false;
	if (try_faults)
		*trial_byte(w, r, 1) = 1;
	else if (uffd_unprotect(w, second, second + w->page_size) < 0)
		return false;
	if (!trial_reports(w, r, false, 1) || !trial_reports(w, r, true, 1) ||
	    !trial_reports_nothing(w, r))
		return false;
	/* With a handler thread, the kernel's writes too. */
	if (!(w->backend->guarantees & WW_KERNEL_WRITES))
		return true;
	return sys_pread(w->maps.file.fd, (void *)trial_byte(w, r, 2), 1, 0) == 1 &&
	       trial_reports(w, r, true, 2);
}

static int find_zero_page(struct ww *w, struct range *r)
{
	uintptr_t last = r->start + ((PAGES - 1) << w->page_shift);
	uint64_t word;
	int n;

	(void)*trial_byte(w, r, PAGES - 1);
	n = pagemap_read(w, last, last + w->page_size, &word);
	w->no_zero_page = n == 0 && word & PM_PRESENT && word & PM_EXCLUSIVE;
	return n;
}

/* Moves protected pages away, where they belong to no userfaultfd. */
static void find_stale_bits(struct ww *w, uintptr_t start, size_t size, void **at)
{
	uint64_t word;
	int r = sys_mremap(start, size, at);

	if (r == 0)
		r = pagemap_read(w, (uintptr_t)*at, (uintptr_t)*at + w->page_size, &word);
	w->stale_bits = r < 0 || word & PM_UFFD_WP;
}

/*
 * Some kernels (5.19 to 6.1, as they first came out) make a protected page of shared memory writable
 * with the mapping's own right: where its protection changes, as here, and where a page moves. The
 * kernel is what writes, as nobody may handle our faults.
 */
static bool is_written_unseen(struct ww *w, uintptr_t page)
{
	uint64_t word = 0;
	ssize_t n;

	*(volatile unsigned char *)page = 1;
	if (uffd_protect(w, page, page + w->page_size) < 0 ||
	    sys_mprotect(page, w->page_size, PROT_READ) < 0 ||
	    sys_mprotect(page, w->page_size, PROT_READ | PROT_WRITE) < 0)
		return true;
	n = sys_pread(w->maps.file.fd, (void *)page, 1, 0);
	if (n == -EFAULT)
		return false;
	return n != 1 || pagemap_read(w, page, page + w->page_size, &word) < 0 ||
	       word & PM_UFFD_WP;
}

static int find_shared(struct ww *w)
{
	struct mapping m = {.kind = MAPPING_SHARED};
	void *page;
	int n = context_map_shared(w, &page, w->page_size);

	if (n < 0)
		return n;
	m.start = (uintptr_t)page;
	m.end = m.start + w->page_size;
	n = w->backend->ops->attach(w, &m);
	/* Before Linux 5.19 none is, nor is any later. */
	if (n == 0) {
		w->no_shared = is_written_unseen(w, m.start);
		w->backend->ops->detach(w, m.start, m.end);
	}
	sys_munmap(page, w->page_size);
	return n == -ENOMEM ? n : 0;
}

static int make_unreadable(struct ww *w)
{
	int r = context_map(w, &w->unreadable, w->page_size);

	return r < 0 ? r : sys_mprotect((uintptr_t)w->unreadable, w->page_size, PROT_NONE);
}

int uffd_sync_probe(struct ww *w, bool try_faults, const char **why)
{
	size_t size = (size_t)PAGES << w->page_shift;
	struct range r = {0};
	void *scratch;
	int n = context_map(w, &scratch, size);

	*why = "no address space for a trial";
	if (n < 0)
		return n;
	r.start = (uintptr_t)scratch;
	r.end = r.start + size;
	n = w->backend->ops->attach(w, &(struct mapping){.start = r.start, .end = r.end});
	*why = "the kernel refuses to register memory for write-protection";
	if (n == 0) {
		/* Beside others like it, it may have become part of a huge page before. */
		sys_madvise(r.start, size, MADV_DONTNEED);
		*why = "pages written on trial were not reported as they should be";
		n = find_zero_page(w, &r) == 0 && arms(w, &r) && tracks(w, &r, try_faults) ? 0 : -ENOTSUP;
		if (n == 0)
			find_stale_bits(w, r.start, size, &scratch);
		if (n == 0 && w->stale_bits) {
			*why = "no address space for a page that nobody may read";
			n = make_unreadable(w);
		}
		w->backend->ops->detach(w, r.start, r.end);
	}
	sys_munmap(scratch, size);
	if (n == 0) {
		*why = "no address space for a trial with shared memory";
		n = find_shared(w);
	}
	return n;
}
