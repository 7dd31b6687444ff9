/* SPDX-License-Identifier: MIT */
#include "calls.h"

#include <errno.h>
#include <string.h>

const struct call calls[CALLS] = {
	[CALL_OPEN] = {
		.name = "open",
		.lasting = {EACCES, EPERM, ENOENT, EMFILE, ENFILE, ENOMEM, ENXIO},
		.passing = {EINTR},
	},
	[CALL_USERFAULTFD] = {
		.name = "userfaultfd",
		.lasting = {EPERM, ENOSYS, EACCES, EINVAL, EMFILE, ENFILE, ENOMEM},
	},
	[CALL_ADOPT] = {
		.name = "fstat or dup of a descriptor",
		.lasting = {EMFILE, ENOMEM, EOVERFLOW},
	},
	[CALL_PIPE] = {
		.name = "pipe",
		.lasting = {EMFILE, ENFILE, ENOMEM},
	},
	[CALL_PREAD] = {
		.name = "pread",
		.lasting = {EIO, ENOMEM, EFAULT, ESRCH, SHORT_COUNT, END_OF_FILE},
		.passing = {EINTR},
	},
	[CALL_READ] = {
		.name = "read",
		.lasting = {EIO, EINVAL, ENOMEM},
		.passing = {EAGAIN, EINTR},
	},
	[CALL_WRITE] = {
		.name = "write",
		.lasting = {EIO, EINVAL, ENOMEM},
		.passing = {EAGAIN, EINTR},
	},
	[CALL_PWRITE] = {
		.name = "pwrite",
		.lasting = {EIO, EFAULT, EPERM, ENOMEM, SHORT_COUNT, END_OF_FILE},
		.passing = {EINTR},
	},
	[CALL_POLL] = {
		.name = "poll",
		.lasting = {EINVAL, ENOMEM},
		.passing = {EINTR},
	},
	/* What the kernel means by EAGAIN here and from madvise(2), src/sys_memory.c calls ENOMEM. */
	[CALL_MMAP] = {
		.name = "mmap",
		.lasting = {ENOMEM},
	},
	[CALL_MUNMAP] = {
		.name = "munmap",
		.lasting = {ENOMEM},
	},
	/* EPERM: the memory is sealed. */
	[CALL_MPROTECT] = {
		.name = "mprotect",
		.lasting = {ENOMEM, EACCES, EPERM, EINVAL},
		.partial = true,
	},
	[CALL_MREMAP] = {
		.name = "mremap",
		.lasting = {ENOMEM, EFAULT, EINVAL},
	},
	[CALL_SIGACTION] = {
		.name = "sigaction",
		.lasting = {EINVAL, EFAULT},
	},
	[CALL_THREAD_START] = {
		.name = "pthread_create",
		.lasting = {EAGAIN, EPERM, ENOMEM},
	},
	[CALL_KERNEL_RELEASE] = {
		.name = "uname",
		.lasting = {EFAULT},
	},
	[CALL_MALLOC] = {
		.name = "malloc",
		.lasting = {ENOMEM},
	},
	[CALL_UFFD_NEW] = {
		.name = "USERFAULTFD_IOC_NEW",
		.lasting = {EMFILE, ENFILE, ENOMEM, EINVAL, ENOTTY},
	},
	[CALL_UFFD_API] = {
		.name = "UFFDIO_API",
		.lasting = {EINVAL, EPERM, EFAULT},
	},
	[CALL_UFFD_REGISTER] = {
		.name = "UFFDIO_REGISTER",
		.lasting = {EINVAL, EBUSY, ENOMEM, EPERM, EFAULT},
	},
	/* EINVAL: memory that cannot be registered, an answer; but of what can be it may come once.
	 */
	[CALL_UFFD_UNREGISTER] = {
		.name = "UFFDIO_UNREGISTER",
		.lasting = {ENOMEM, EFAULT},
		.passing = {EINVAL},
		.partial = true,
	},
	[CALL_UFFD_PROTECT] = {
		.name = "UFFDIO_WRITEPROTECT",
		.lasting = {ENOENT, ENOMEM, EINVAL, EFAULT, ESRCH},
		.passing = {EAGAIN},
		.partial = true,
	},
	/* EEXIST and ENOENT are answers. */
	[CALL_UFFD_ZEROPAGE] = {
		.name = "UFFDIO_ZEROPAGE",
		.lasting = {ENOMEM, EINVAL, EFAULT, ESRCH},
		.passing = {EAGAIN},
	},
	/* EEXIST and ENOENT are answers. */
	[CALL_UFFD_COPY] = {
		.name = "UFFDIO_COPY",
		.lasting = {ENOMEM, EINVAL, EFAULT, ESRCH},
		.passing = {EAGAIN},
		.partial = true,
	},
	/* EEXIST, ENOENT and EFAULT are answers. */
	[CALL_UFFD_ASK] = {
		.name = "UFFDIO_COPY of what cannot be read",
		.lasting = {ENOMEM, EINVAL, ESRCH},
		.passing = {EAGAIN},
	},
	[CALL_UFFD_WAKE] = {
		.name = "UFFDIO_WAKE",
		.lasting = {EINVAL},
	},
	/* EPERM: not registered, which what goes on having a state cannot be for ever. */
	[CALL_SCAN] = {
		.name = "PAGEMAP_SCAN",
		.lasting = {EFAULT, ENOMEM, EINVAL, ESRCH, ENOTTY},
		.passing = {EINTR, EPERM},
		.partial = true,
	},
	/* ENOENT is an answer. */
	[CALL_QUERY_MAP] = {
		.name = "PROCMAP_QUERY",
		.lasting = {ENOTTY, ESRCH, EFAULT, ENOMEM},
		.passing = {EINTR},
	},
	[CALL_WIPEONFORK] = {
		.name = "MADV_WIPEONFORK",
		.lasting = {EINVAL, ENOMEM},
	},
	[CALL_DONTNEED] = {
		.name = "MADV_DONTNEED",
		.lasting = {EINVAL, ENOMEM, EPERM},
		.partial = true,
	},
	[CALL_DONTNEED_LOCKED] = {
		.name = "MADV_DONTNEED_LOCKED",
		.lasting = {EINVAL, ENOMEM},
		.partial = true,
	},
	[CALL_REMOVE] = {
		.name = "MADV_REMOVE",
		.lasting = {EINVAL, EOPNOTSUPP, EACCES, EPERM, ENOMEM},
		.passing = {EINTR},
		.partial = true,
	},
	[CALL_POPULATE_READ] = {
		.name = "MADV_POPULATE_READ",
		.lasting = {EINVAL, ENOMEM, EFAULT, EHWPOISON},
		.passing = {EINTR},
		.partial = true,
	},
	[CALL_POPULATE_WRITE] = {
		.name = "MADV_POPULATE_WRITE",
		.lasting = {EINVAL, ENOMEM, EFAULT, EHWPOISON},
		.passing = {EINTR},
		.partial = true,
	},
	[CALL_NOHUGEPAGE] = {
		.name = "MADV_NOHUGEPAGE",
		.lasting = {EINVAL, ENOMEM},
	},
	[CALL_UNMERGEABLE] = {
		.name = "MADV_UNMERGEABLE",
		.lasting = {EINVAL, ENOMEM},
	},
	[CALL_COLD] = {
		.name = "MADV_COLD",
		.lasting = {EINVAL, ENOMEM},
	},
};

const char *const api_names[APIS] = {
	[API_PROBE] = "ww_probe",
	[API_NEW] = "ww_new",
	[API_WATCH] = "ww_watch",
	[API_UNWATCH] = "ww_unwatch",
	[API_GET] = "ww_get",
	[API_GET_RANGES] = "ww_get_ranges",
	[API_GET_BITMAP] = "ww_get_bitmap",
	[API_RESET] = "ww_reset",
	[API_MARK] = "ww_mark",
	[API_DISCARD] = "ww_discard",
	[API_PREPARE_WRITE] = "ww_prepare_write",
	[API_PROTECT] = "ww_protect",
	[API_INFO] = "ww_info",
};

/* From writewatch.h, without what only wrong arguments are told. */
static const int documented[APIS][8] = {
	[API_PROBE] = {ENOTSUP, ENOMEM},
	[API_NEW] = {ENOTSUP, ENOMEM, EMFILE, ENFILE},
	[API_WATCH] = {ENOTSUP, EACCES, EBUSY, ENOMEM, EIO},
	[API_UNWATCH] = {ENOMEM},
	[API_GET] = {ESTALE, ENOMEM, EIO},
	[API_GET_RANGES] = {ESTALE, ENOMEM, EIO},
	[API_GET_BITMAP] = {ESTALE, ENOMEM, EIO},
	[API_RESET] = {ESTALE, ENOMEM, EIO},
	[API_MARK] = {ESTALE, ENOMEM, EIO},
	[API_DISCARD] = {ENOTSUP, ESTALE, ENOMEM, EIO},
	[API_PREPARE_WRITE] = {ESTALE, ENOMEM, EIO},
	/* EINVAL: where mprotect(2) says so. */
	[API_PROTECT] = {EINVAL, ENOMEM, EACCES, EPERM},
};

static bool has(const int *list, size_t n, int error)
{
	for (size_t i = 0; i < n && list[i]; i++)
		if (list[i] == error)
			return true;
	return false;
}

bool is_documented(enum api api, int error)
{
	return has(documented[api], 8, error);
}

bool is_documented_anew(enum api api, int error)
{
	static const int anew[] = {EMFILE, ENFILE, ENOTSUP, ENOMEM};

	return api >= API_WATCH && api <= API_PROTECT && has(anew, 4, error);
}

const char *error_name(int error)
{
	if (error == SHORT_COUNT)
		return "too little";
	if (error == END_OF_FILE)
		return "nothing";
	/* The same number as EOPNOTSUPP. */
	if (error == ENOTSUP)
		return "ENOTSUP";
	return strerrorname_np(error) ? strerrorname_np(error) : "?";
}
