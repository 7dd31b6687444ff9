/* SPDX-License-Identifier: MIT */
#include "seam.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "uapi/procmap_query.h"
#include "uapi/userfaultfd.h"

struct seam seam;

long __real_sys_ioctl(int fd, unsigned long request, void *arg);
long __wrap_sys_ioctl(int fd, unsigned long request, void *arg);
int __real_sys_kernel_release(char *release, size_t size);
int __wrap_sys_kernel_release(char *release, size_t size);
int __real_sys_userfaultfd(struct sys_file *file, int flags);
int __wrap_sys_userfaultfd(struct sys_file *file, int flags);
int __real_sys_open(struct sys_file *file, const char *path, int flags);
int __wrap_sys_open(struct sys_file *file, const char *path, int flags);

static void look_at_scan(const struct wwk_pm_scan_arg *arg)
{
	bool resets = arg->flags & WWK_PM_SCAN_WP_MATCHING;

	seam.scans++;
	seam.resetting_scans += resets;
	seam.without_vector += !arg->vec || !arg->vec_len;
	seam.reset_unchecked += resets && !(arg->flags & WWK_PM_SCAN_CHECK_WPASYNC);
}

long __wrap_sys_ioctl(int fd, unsigned long request, void *arg)
{
	long r;

	if (request == WWK_PROCMAP_QUERY && seam.fail_procmap_query)
		return -seam.fail_procmap_query;
	if (request == WWK_UFFDIO_API && seam.no_markers &&
	    ((struct wwk_uffdio_api *)arg)->features & WWK_UFFD_FEATURE_WP_UNPOPULATED)
		return -EINVAL;
	if (request == WWK_UFFDIO_REGISTER && seam.fail_register)
		return -seam.fail_register;
	if (request == WWK_UFFDIO_WRITEPROTECT && seam.fail_protect)
		return -seam.fail_protect;
	/* Threads of the library come here, too. */
	__atomic_fetch_add(&seam.protects, request == WWK_UFFDIO_WRITEPROTECT, __ATOMIC_RELAXED);
	if (request == WWK_UFFDIO_WRITEPROTECT && seam.protecting) {
		const struct wwk_uffdio_range *range = arg;

		seam.protecting(range->start, range->start + range->len);
	}
	r = __real_sys_ioctl(fd, request, arg);
	if (request == WWK_UFFDIO_REGISTER && r == 0 && seam.registered) {
		const struct wwk_uffdio_range *range = arg;

		seam.registered(range->start, range->start + range->len);
	}
	if (request != WWK_PAGEMAP_SCAN)
		return r;
	look_at_scan(arg);
	if (seam.fail_scan && --seam.fail_scan == 0)
		return -seam.fail_with;
	return seam.scan_done ? seam.scan_done(arg, r) : r;
}

int __wrap_sys_kernel_release(char *release, size_t size)
{
	if (!seam.release)
		return __real_sys_kernel_release(release, size);
	snprintf(release, size, "%s", seam.release);
	return 0;
}

int __wrap_sys_userfaultfd(struct sys_file *file, int flags)
{
	if (!seam.fail_uffd)
		return __real_sys_userfaultfd(file, flags);
	*file = SYS_NO_FILE;
	return -seam.fail_uffd;
}

int __wrap_sys_open(struct sys_file *file, const char *path, int flags)
{
	int error = 0;

	if (strcmp(path, "/dev/userfaultfd") == 0)
		error = seam.fail_open_device;
	else if (strstr(path, "/pagemap"))
		error = seam.fail_open_pagemap;
	if (!error)
		return __real_sys_open(file, path, flags);
	*file = SYS_NO_FILE;
	return -error;
}
