/* SPDX-License-Identifier: MIT */
#include "watch.h"

#include <fcntl.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../src/uapi/userfaultfd.h"

int watch_open(void)
{
	struct wwk_uffdio_api api = {
		.api = WWK_UFFD_API, .features = WWK_UFFD_FEATURE_WP_ASYNC,
	};
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | WWK_UFFD_USER_MODE_ONLY);

	if (fd >= 0 && ioctl(fd, WWK_UFFDIO_API, &api)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

bool watch_attach(int uffd, void *at, size_t len)
{
	struct wwk_uffdio_register reg = {
		.range = {.start = (uintptr_t)at, .len = len},
		.mode = WWK_UFFDIO_REGISTER_MODE_WP,
	};

	return uffd >= 0 && ioctl(uffd, WWK_UFFDIO_REGISTER, &reg) == 0;
}

bool watch_protect(int uffd, void *at, size_t len)
{
	struct wwk_uffdio_writeprotect wp = {
		.range = {.start = (uintptr_t)at, .len = len},
		.mode = WWK_UFFDIO_WRITEPROTECT_MODE_WP,
	};

	return ioctl(uffd, WWK_UFFDIO_WRITEPROTECT, &wp) == 0;
}
