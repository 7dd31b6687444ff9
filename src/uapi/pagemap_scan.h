/* SPDX-License-Identifier: MIT */
#ifndef WW_UAPI_PAGEMAP_SCAN_H
#define WW_UAPI_PAGEMAP_SCAN_H

/*
 * The kernel's PAGEMAP_SCAN interface (Linux 6.7), defined here because the headers of the build
 * host may be older than the kernel the program runs on. Names differ from the kernel's so that
 * both headers can be included together.
 */

#include <stdint.h>
#include <sys/ioctl.h>

struct wwk_page_region {
	uint64_t start;
	uint64_t end;
	uint64_t categories;
};

struct wwk_pm_scan_arg {
	uint64_t size;
	uint64_t flags;
	uint64_t start;
	uint64_t end;
	uint64_t walk_end;
	uint64_t vec;
	uint64_t vec_len;
	uint64_t max_pages;
	uint64_t category_inverted;
	uint64_t category_mask;
	uint64_t category_anyof_mask;
	uint64_t return_mask;
};

#define WWK_PAGEMAP_SCAN _IOWR('f', 16, struct wwk_pm_scan_arg)

#define WWK_PM_SCAN_WP_MATCHING (1u << 0)
#define WWK_PM_SCAN_CHECK_WPASYNC (1u << 1)

#define WWK_PAGE_IS_WPALLOWED (1u << 0)
#define WWK_PAGE_IS_WRITTEN (1u << 1)
#define WWK_PAGE_IS_FILE (1u << 2)
#define WWK_PAGE_IS_PRESENT (1u << 3)
#define WWK_PAGE_IS_SWAPPED (1u << 4)
#define WWK_PAGE_IS_PFNZERO (1u << 5)
#define WWK_PAGE_IS_HUGE (1u << 6)
#define WWK_PAGE_IS_SOFT_DIRTY (1u << 7)
#define WWK_PAGE_IS_GUARD (1u << 8)

#endif
