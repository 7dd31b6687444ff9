/* SPDX-License-Identifier: MIT */
/*
 * Which categories can be told. What the kernel refuses by an error is asked of it; bits that it
 * just never sets are tried on a page of this process.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "pagemap.h"
#include "pagemap_scan.h"
#include "process.h"
#include "uapi/madvise.h"
#include "uapi/userfaultfd.h"

/* The names are the library's, the numbers the kernel's. */
#define SAME(ours, kernels) _Static_assert((unsigned)(ours) == (kernels), #ours)
SAME(WW_PAGE_WATCHED, WWK_PAGE_IS_WPALLOWED);
SAME(WW_PAGE_WRITTEN, WWK_PAGE_IS_WRITTEN);
SAME(WW_PAGE_FILE, WWK_PAGE_IS_FILE);
SAME(WW_PAGE_PRESENT, WWK_PAGE_IS_PRESENT);
SAME(WW_PAGE_SWAPPED, WWK_PAGE_IS_SWAPPED);
SAME(WW_PAGE_ZERO, WWK_PAGE_IS_PFNZERO);
SAME(WW_PAGE_HUGE, WWK_PAGE_IS_HUGE);
SAME(WW_PAGE_SOFT_DIRTY, WWK_PAGE_IS_SOFT_DIRTY);
SAME(WW_PAGE_GUARD, WWK_PAGE_IS_GUARD);

/* Whether bits are set in the word of a page of our own. */
static bool has_bits(const struct sys_file *pagemap, const void *page, uint64_t bits)
{
	uint64_t word;

	return pagemap_words(pagemap->fd, (uintptr_t)page, 1, &word) == 0 && word & bits;
}

static int open_userfaultfd(struct sys_file *uffd)
{
	struct wwk_uffdio_api api = {.api = WWK_UFFD_API};
	int r = sys_userfaultfd(uffd, WWK_UFFD_USER_MODE_ONLY);

	if (r == -EINVAL)
		r = sys_userfaultfd(uffd, 0);
	return r < 0 ? r : (int)sys_ioctl(uffd->fd, WWK_UFFDIO_API, &api);
}

static bool shows_protection(const struct sys_file *pagemap, void *page, size_t size)
{
	struct wwk_uffdio_range range = {.start = (uintptr_t)page, .len = size};
	struct wwk_uffdio_register reg = {.range = range, .mode = WWK_UFFDIO_REGISTER_MODE_WP};
	struct wwk_uffdio_writeprotect protect = {
		.range = range, .mode = WWK_UFFDIO_WRITEPROTECT_MODE_WP,
	};
	struct sys_file uffd;
	bool shows = open_userfaultfd(&uffd) == 0 &&
		     sys_ioctl(uffd.fd, WWK_UFFDIO_REGISTER, &reg) == 0 &&
		     sys_ioctl(uffd.fd, WWK_UFFDIO_WRITEPROTECT, &protect) == 0 &&
		     has_bits(pagemap, page, PM_UFFD_WP);

	/* Some kernels leave bits behind when it is closed only. */
	if (uffd.fd >= 0)
		sys_ioctl(uffd.fd, WWK_UFFDIO_UNREGISTER, &range);
	sys_close(&uffd);
	return shows;
}

/* What pagemap shows beyond what it always did; of these bits, those that are wanted are tried. */
static uint64_t try_bits(size_t size, uint64_t wanted)
{
	struct sys_file pagemap;
	uint64_t shown = 0;
	void *page;

	if (sys_open(&pagemap, "/proc/thread-self/pagemap", O_RDONLY) < 0)
		return 0;
	if (sys_mmap(&page, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS) == 0) {
		*(volatile char *)page = 1;
		if (wanted & WW_PAGE_SOFT_DIRTY && has_bits(&pagemap, page, PM_SOFT_DIRTY))
			shown |= WW_PAGE_SOFT_DIRTY;
		if (wanted & WW_PAGE_WRITTEN && shows_protection(&pagemap, page, size))
			shown |= WW_PAGE_WRITTEN;
		if (wanted & WW_PAGE_GUARD &&
		    sys_madvise((uintptr_t)page, size, MADV_GUARD_INSTALL) == 0 &&
		    has_bits(&pagemap, page, PM_GUARD))
			shown |= WW_PAGE_GUARD;
		sys_munmap(page, size);
	}
	sys_close(&pagemap);
	return shown;
}

static bool scan_knows(const struct ww_process *p, uint64_t category)
{
	struct wwk_pm_scan_arg arg = {
		.size = sizeof(arg),
		.vec = (uintptr_t)p->regions,
		.vec_len = 1,
		.category_mask = category,
		.return_mask = category,
	};

	return sys_ioctl(p->pagemap.fd, WWK_PAGEMAP_SCAN, &arg) == 0;
}

void process_probe(struct ww_process *p, bool read_pagemap)
{
	uint64_t category;

	p->has_scan = !read_pagemap && !ps_is_lossy_version() && scan_knows(p, WW_PAGE_WATCHED);
	if (!p->has_scan) {
		p->categories = WW_PAGE_PRESENT | WW_PAGE_SWAPPED | WW_PAGE_FILE |
				try_bits(p->page_size, WW_PAGE_SOFT_DIRTY | WW_PAGE_WRITTEN |
							       WW_PAGE_GUARD);
		return;
	}
	for (category = WW_PAGE_WATCHED; category <= WW_PAGE_GUARD; category <<= 1)
		if (scan_knows(p, category))
			p->categories |= category;
	/* Kernels without the bit accept the category. */
	p->categories &= ~(uint64_t)WW_PAGE_SOFT_DIRTY |
			 try_bits(p->page_size, p->categories & WW_PAGE_SOFT_DIRTY);
}
