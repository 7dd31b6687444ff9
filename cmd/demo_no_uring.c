/* SPDX-License-Identifier: MIT */
#include "demo.h"

#include <errno.h>

int demo_uring_new(struct demo_uring **out)
{
	*out = NULL;
	return -ENOPKG;
}

void demo_uring_free(struct demo_uring *u)
{
	(void)u;
}

int demo_uring_read(struct demo_uring *u, int fd, void *to, size_t len)
{
	(void)u;
	(void)fd;
	(void)to;
	(void)len;
	return -ENOPKG;
}
