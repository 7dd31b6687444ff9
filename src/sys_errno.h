/* SPDX-License-Identifier: MIT */
#ifndef WW_SYS_ERRNO_H
#define WW_SYS_ERRNO_H

#include <errno.h>

/* What the C library's system calls return, by the convention of sys.h. */
static inline long negative_errno(long result)
{
	return result == -1 ? -errno : result;
}

#endif
