/* SPDX-License-Identifier: MIT */
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* linux/userfaultfd.h of an old build host may lack it. */
#define USER_MODE_ONLY 1

/* Returns 0 with the beginning of the file as a string, or a positive errno value. */
static int read_file(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;
	int error;

	text[0] = '\0';
	if (fd < 0)
		return errno;
	n = read(fd, text, size - 1);
	error = n < 0 ? errno : 0;
	close(fd);
	text[n < 0 ? 0 : n] = '\0';
	return error;
}

static long read_number(const char *path)
{
	char text[32];
	char *end;
	long value;

	if (read_file(path, text, sizeof(text)))
		return -1;
	value = strtol(text, &end, 10);
	return end == text ? -1 : value;
}

static int try_open(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC);

	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

static int try_userfaultfd(int flags)
{
	long fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | flags);

	if (fd < 0)
		return errno;
	close((int)fd);
	return 0;
}

/* "always [madvise] never": the one in brackets. */
static void read_huge_pages(struct probe_machine *m)
{
	char text[128];
	const char *begin, *end;

	read_file("/sys/kernel/mm/transparent_hugepage/enabled", text, sizeof(text));
	begin = strchr(text, '[');
	end = begin ? strchr(begin, ']') : NULL;
	if (end && (size_t)(end - begin) <= sizeof(m->huge_pages))
		memcpy(m->huge_pages, begin + 1, (size_t)(end - begin) - 1);
}

/* Behind the groups, which may be many. */
static void read_seccomp(struct probe_machine *m)
{
	FILE *file = fopen("/proc/self/status", "re");
	char line[128];

	m->seccomp = -1;
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "Seccomp: %d", &m->seccomp) == 1)
			break;
	if (file)
		fclose(file);
}

/* By the system call: it works without /proc. */
static bool has_cap_sys_ptrace(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{0}};

	return syscall(SYS_capget, &header, data) == 0 &&
	       data[CAP_TO_INDEX(CAP_SYS_PTRACE)].effective & CAP_TO_MASK(CAP_SYS_PTRACE);
}

void probe_machine_read(struct probe_machine *m)
{
	struct stat device;
	char text[64];

	uname(&m->kernel);
	m->page_size = (size_t)sysconf(_SC_PAGESIZE);
	read_huge_pages(m);
	m->max_map_count = read_number("/proc/sys/vm/max_map_count");
	m->unprivileged_uffd = (int)read_number("/proc/sys/vm/unprivileged_userfaultfd");
	read_seccomp(m);
	m->dumpable = prctl(PR_GET_DUMPABLE);
	m->uid = geteuid();
	m->cap_sys_ptrace = has_cap_sys_ptrace();
	m->proc_error = read_file("/proc/self/maps", text, sizeof(text));
	m->pagemap_error = try_open("/proc/self/pagemap", O_RDONLY);
	m->clear_refs_error = try_open("/proc/self/clear_refs", O_WRONLY);
	m->uffd_error = try_userfaultfd(0);
	m->uffd_user_error = try_userfaultfd(USER_MODE_ONLY);
	m->device_error = try_open("/dev/userfaultfd", O_RDWR);
	m->device_exists = stat("/dev/userfaultfd", &device) == 0;
	m->device_mode = m->device_exists ? device.st_mode & 07777 : 0;
}
