/* SPDX-License-Identifier: MIT */
#ifndef WW_UAPI_PROCMAP_QUERY_H
#define WW_UAPI_PROCMAP_QUERY_H

/* The kernel's PROCMAP_QUERY interface (Linux 6.11): see pagemap_scan.h for why it is here. */

#include <stdint.h>
#include <sys/ioctl.h>

struct wwk_procmap_query {
	uint64_t size;
	uint64_t query_flags;
	uint64_t query_addr;
	uint64_t vma_start;
	uint64_t vma_end;
	uint64_t vma_flags;
	uint64_t vma_page_size;
	uint64_t vma_offset;
	uint64_t inode;
	uint32_t dev_major;
	uint32_t dev_minor;
	uint32_t vma_name_size;
	uint32_t build_id_size;
	uint64_t vma_name_addr;
	uint64_t build_id_addr;
};

#define WWK_PROCMAP_QUERY _IOWR('f', 17, struct wwk_procmap_query)

#define WWK_PROCMAP_QUERY_VMA_READABLE 0x01
#define WWK_PROCMAP_QUERY_VMA_WRITABLE 0x02
#define WWK_PROCMAP_QUERY_VMA_EXECUTABLE 0x04
#define WWK_PROCMAP_QUERY_VMA_SHARED 0x08
#define WWK_PROCMAP_QUERY_COVERING_OR_NEXT_VMA 0x10

#endif
