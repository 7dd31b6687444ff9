/* SPDX-License-Identifier: MIT */
#ifndef WW_UAPI_USERFAULTFD_H
#define WW_UAPI_USERFAULTFD_H

/*
 * What is used of the kernel's userfaultfd interface, up to Linux 6.7: see pagemap_scan.h for why
 * it is defined here and named differently.
 */

#include <stdint.h>
#include <sys/ioctl.h>

struct wwk_uffdio_api {
	uint64_t api;
	uint64_t features;
	uint64_t ioctls;
};

struct wwk_uffdio_range {
	uint64_t start;
	uint64_t len;
};

struct wwk_uffdio_register {
	struct wwk_uffdio_range range;
	uint64_t mode;
	uint64_t ioctls;
};

struct wwk_uffdio_zeropage {
	struct wwk_uffdio_range range;
	uint64_t mode;
	int64_t zeropage;
};

struct wwk_uffdio_writeprotect {
	struct wwk_uffdio_range range;
	uint64_t mode;
};

struct wwk_uffdio_copy {
	uint64_t dst;
	uint64_t src;
	uint64_t len;
	uint64_t mode;
	int64_t copy;
};

/* What read(2) returns; the members of a page fault. */
struct wwk_uffd_msg {
	uint8_t event;
	uint8_t reserved[7];
	uint64_t flags;
	uint64_t address;
	uint64_t thread;
};

#define WWK_UFFD_EVENT_PAGEFAULT 0x12

#define WWK_USERFAULTFD_IOC_NEW _IO(0xAA, 0x00)
#define WWK_UFFD_USER_MODE_ONLY 1

#define WWK_UFFD_API UINT64_C(0xAA)
#define WWK_UFFD_FEATURE_SIGBUS (UINT64_C(1) << 7)
#define WWK_UFFD_FEATURE_WP_UNPOPULATED (UINT64_C(1) << 13)
#define WWK_UFFD_FEATURE_WP_ASYNC (UINT64_C(1) << 15)

#define WWK_UFFDIO_REGISTER_MODE_WP (UINT64_C(1) << 1)
#define WWK_UFFDIO_WRITEPROTECT_MODE_WP (UINT64_C(1) << 0)
#define WWK_UFFDIO_COPY_MODE_WP (UINT64_C(1) << 1)

/* Numbers of the bits in wwk_uffdio_register.ioctls. */
#define WWK_UFFDIO_ZEROPAGE_NR 0x04
#define WWK_UFFDIO_WRITEPROTECT_NR 0x06

#define WWK_UFFDIO_API _IOWR(0xAA, 0x3F, struct wwk_uffdio_api)
#define WWK_UFFDIO_REGISTER _IOWR(0xAA, 0x00, struct wwk_uffdio_register)
#define WWK_UFFDIO_UNREGISTER _IOR(0xAA, 0x01, struct wwk_uffdio_range)
#define WWK_UFFDIO_COPY _IOWR(0xAA, 0x03, struct wwk_uffdio_copy)
#define WWK_UFFDIO_ZEROPAGE _IOWR(0xAA, 0x04, struct wwk_uffdio_zeropage)
#define WWK_UFFDIO_WAKE _IOR(0xAA, 0x02, struct wwk_uffdio_range)
#define WWK_UFFDIO_WRITEPROTECT _IOWR(0xAA, 0x06, struct wwk_uffdio_writeprotect)

#endif
