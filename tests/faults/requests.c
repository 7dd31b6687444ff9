/* SPDX-License-Identifier: MIT */
#include "calls.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "uapi/pagemap_scan.h"
#include "uapi/procmap_query.h"
#include "uapi/userfaultfd.h"

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

enum call_id call_of_request(unsigned long request)
{
	static const struct {
		unsigned long request;
		enum call_id call;
	} known[] = {
	    {WWK_USERFAULTFD_IOC_NEW, CALL_UFFD_NEW},
	    {WWK_UFFDIO_API, CALL_UFFD_API},
	    {WWK_UFFDIO_REGISTER, CALL_UFFD_REGISTER},
	    {WWK_UFFDIO_UNREGISTER, CALL_UFFD_UNREGISTER},
	    {WWK_UFFDIO_WRITEPROTECT, CALL_UFFD_PROTECT},
	    {WWK_UFFDIO_ZEROPAGE, CALL_UFFD_ZEROPAGE},
	    {WWK_UFFDIO_COPY, CALL_UFFD_COPY},
	    {WWK_UFFDIO_WAKE, CALL_UFFD_WAKE},
	    {WWK_PAGEMAP_SCAN, CALL_SCAN},
	    {WWK_PROCMAP_QUERY, CALL_QUERY_MAP},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (known[i].request == request)
			return known[i].call;
	/* A request that is not in the table would never be made to fail. */
	abort();
}

enum call_id call_of_advice(int advice)
{
	switch (advice) {
	case MADV_WIPEONFORK:
		return CALL_WIPEONFORK;
	case MADV_DONTNEED:
		return CALL_DONTNEED;
	case MADV_DONTNEED_LOCKED:
		return CALL_DONTNEED_LOCKED;
	case MADV_REMOVE:
		return CALL_REMOVE;
	case MADV_POPULATE_READ:
		return CALL_POPULATE_READ;
	case MADV_POPULATE_WRITE:
		return CALL_POPULATE_WRITE;
	case MADV_NOHUGEPAGE:
		return CALL_NOHUGEPAGE;
	case MADV_UNMERGEABLE:
		return CALL_UNMERGEABLE;
	case MADV_COLD:
		return CALL_COLD;
	default:
		abort();
	}
}
