/* SPDX-License-Identifier: MIT */
#ifndef WW_UAPI_MADVISE_H
#define WW_UAPI_MADVISE_H

/* Advice of Linux 5.4 and later, which the headers of the build host may not have. */

#include <sys/mman.h>

#ifndef MADV_COLD
#define MADV_COLD 20
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

#endif
