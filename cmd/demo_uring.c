/* SPDX-License-Identifier: MIT */
#include "demo.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdlib.h>
#include <unistd.h>

struct demo_uring {
	struct io_uring ring;
};

/* Returns the bytes read, or a negative errno. */
int demo_uring_read(struct demo_uring *u, int fd, void *to, size_t len)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);
	struct io_uring_cqe *cqe;
	int r;

	if (!sqe)
		return -EBUSY;
	/* Not a registered buffer: those stay pinned, and writes through a pin show nowhere. */
	io_uring_prep_read(sqe, fd, to, (unsigned)len, (uint64_t)-1);
	r = io_uring_submit(&u->ring);
	if (r < 0)
		return r;
	do
		r = io_uring_wait_cqe(&u->ring, &cqe);
	while (r == -EINTR);
	if (r < 0)
		return r;
	r = cqe->res;
	io_uring_cqe_seen(&u->ring, cqe);
	return r;
}

/* Some sandboxes allow the ring and refuse what goes through it, so one read is really made. */
static int try_read(struct demo_uring *u)
{
	char byte = 0;
	int ends[2];
	int r;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	r = write(ends[1], "x", 1) == 1 ? demo_uring_read(u, ends[0], &byte, 1) : -errno;
	close(ends[0]);
	close(ends[1]);
	if (r < 0)
		return r;
	return r == 1 && byte == 'x' ? 0 : -EIO;
}

int demo_uring_new(struct demo_uring **out)
{
	struct demo_uring *u = calloc(1, sizeof(*u));
	int r;

	*out = NULL;
	if (!u)
		return -ENOMEM;
	r = io_uring_queue_init(4, &u->ring, 0);
	if (r < 0) {
		free(u);
		return r;
	}
	r = try_read(u);
	if (r < 0) {
		demo_uring_free(u);
		return r;
	}
	*out = u;
	return 0;
}

void demo_uring_free(struct demo_uring *u)
{
	if (!u)
		return;
	io_uring_queue_exit(&u->ring);
	free(u);
}
