/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench.h"
#include "raw.h"

/* Every mapping in the span is watched: the kernel checks that, and takes its fast path. */
const struct raw_mode raw_watched_only = {
	.flags = WWK_PM_SCAN_CHECK_WPASYNC,
	.mask = WWK_PAGE_IS_WRITTEN,
};

/*
 * Other mappings lie between the watched ones and are to be left out: a resetting scan does that by
 * itself, one that only reads has to ask for it and loses the fast path.
 */
const struct raw_mode raw_mixed = {
	.flags = 0,
	.mask = WWK_PAGE_IS_WPALLOWED | WWK_PAGE_IS_WRITTEN,
};

struct raw *raw_new(void)
{
	struct raw *raw = calloc(1, sizeof(*raw));
	struct wwk_uffdio_api api = {.api = WWK_UFFD_API, .features = WWK_UFFD_FEATURE_WP_ASYNC};

	if (!raw)
		die("no memory");
	memset(raw->vec, 0xff, sizeof(raw->vec));
	raw->page = (size_t)sysconf(_SC_PAGESIZE);
	raw->uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | WWK_UFFD_USER_MODE_ONLY);
	/* The library has other ways, as under valgrind; the reference has not. */
	if (raw->uffd < 0) {
		printf("bench: no reference: userfaultfd: %s\n", strerror(errno));
		exit(77);
	}
	if (ioctl(raw->uffd, WWK_UFFDIO_API, &api))
		die("UFFDIO_API: %s", strerror(errno));
	raw->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (raw->pagemap < 0)
		die("/proc/self/pagemap: %s", strerror(errno));
	return raw;
}

void raw_free(struct raw *raw)
{
	close(raw->uffd);
	close(raw->pagemap);
	free(raw);
}

/* Arms every page at once, also those that hold nothing yet. */
void raw_watch(struct raw *raw, void *base, size_t len)
{
	struct wwk_uffdio_register reg = {
		.range = {.start = (uintptr_t)base, .len = len},
		.mode = WWK_UFFDIO_REGISTER_MODE_WP,
	};
	struct wwk_uffdio_writeprotect wp = {
		.range = {.start = (uintptr_t)base, .len = len},
		.mode = WWK_UFFDIO_WRITEPROTECT_MODE_WP,
	};

	if (ioctl(raw->uffd, WWK_UFFDIO_REGISTER, &reg))
		die("UFFDIO_REGISTER: %s", strerror(errno));
	if (ioctl(raw->uffd, WWK_UFFDIO_WRITEPROTECT, &wp))
		die("UFFDIO_WRITEPROTECT: %s", strerror(errno));
}

void raw_unwatch(struct raw *raw, void *base, size_t len)
{
	struct wwk_uffdio_range range = {.start = (uintptr_t)base, .len = len};

	if (ioctl(raw->uffd, WWK_UFFDIO_UNREGISTER, &range))
		die("UFFDIO_UNREGISTER: %s", strerror(errno));
}

size_t raw_get(struct raw *raw, const struct raw_mode *mode, void *base, size_t len, bool reset,
	       void **pages, size_t room)
{
	size_t most = len / raw->page;
	struct wwk_pm_scan_arg arg = {
		.size = sizeof(arg),
		.flags = mode->flags | (reset ? WWK_PM_SCAN_WP_MATCHING : 0),
		.start = (uintptr_t)base,
		.end = (uintptr_t)base + len,
		.vec = (uintptr_t)raw->vec,
		.vec_len = most < RAW_VEC ? most : RAW_VEC,
		.category_mask = reset ? WWK_PAGE_IS_WRITTEN : mode->mask,
		.return_mask = WWK_PAGE_IS_WRITTEN,
	};
	size_t count = 0;
	long n;

	/* The kernel allocates a buffer by the length of the vector. */
	do {
		arg.max_pages = room - count;
		n = ioctl(raw->pagemap, WWK_PAGEMAP_SCAN, &arg);
		if (n < 0)
			die("PAGEMAP_SCAN: %s", strerror(errno));
		for (long i = 0; i < n; i++) {
			const struct wwk_page_region *r = &raw->vec[i];

			for (uint64_t p = r->start; p < r->end; p += raw->page)
				pages[count++] = (void *)(uintptr_t)p;
		}
		if (n == 0)
			break;
		/* walk_end may lag behind what was returned. */
		arg.start = arg.walk_end > raw->vec[n - 1].end ? arg.walk_end
							       : raw->vec[n - 1].end;
	} while ((uint64_t)n == arg.vec_len && count < room && arg.start < arg.end);
	return count;
}

void raw_reset(struct raw *raw, void *base, size_t len)
{
	struct wwk_pm_scan_arg arg = {
		.size = sizeof(arg),
		.flags = WWK_PM_SCAN_WP_MATCHING | WWK_PM_SCAN_CHECK_WPASYNC,
		.start = (uintptr_t)base,
		.end = (uintptr_t)base + len,
		.category_mask = WWK_PAGE_IS_WRITTEN,
		.return_mask = WWK_PAGE_IS_WRITTEN,
	};

	if (ioctl(raw->pagemap, WWK_PAGEMAP_SCAN, &arg) < 0)
		die("PAGEMAP_SCAN: %s", strerror(errno));
}
