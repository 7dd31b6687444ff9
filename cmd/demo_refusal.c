/* SPDX-License-Identifier: MIT */
#include "demo.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

/* linux/userfaultfd.h of an old build host may lack it. */
#define USER_MODE_ONLY 1

/* Each returns whether it found something to change and told it. */

static bool advise_environment(void)
{
	const char *wished = getenv("WRITEWATCH_BACKEND");

	if (!wished || !*wished || !strcmp(wished, "auto") || !strcmp(wished, "pagemap-scan"))
		return false;
	fprintf(stderr,
		"The environment variable WRITEWATCH_BACKEND is \"%s\", which leaves no backend:"
		" unset it and try again.\n",
		wished);
	return true;
}

static bool advise_proc(void)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	if (fd >= 0) {
		close(fd);
		return false;
	}
	if (errno != ENOENT)
		fprintf(stderr,
			"/proc/self/pagemap cannot be opened (%s): run in a sandbox, or as a user,"
			" that may read it.\n",
			strerror(errno));
	else if (access("/proc/self", F_OK) < 0)
		fputs("/proc is not mounted here: mount it (mount -t proc proc /proc) and try"
		      " again.\n",
		      stderr);
	else
		fputs("This kernel has no /proc/self/pagemap: it has to be built with"
		      " CONFIG_PROC_PAGE_MONITOR=y.\n",
		      stderr);
	return true;
}

static bool advise_userfaultfd(void)
{
	long fd = syscall(SYS_userfaultfd, O_CLOEXEC | USER_MODE_ONLY);

	if (fd >= 0) {
		close((int)fd);
		return false;
	}
	if (errno == ENOSYS)
		fputs("userfaultfd(2) does not exist here: the kernel needs CONFIG_USERFAULTFD=y,"
		      " or the sandbox hides the system call and has to allow it.\n",
		      stderr);
	else if (errno == EPERM || errno == EACCES)
		fputs("userfaultfd(2) is forbidden here, as in the default seccomp profile of"
		      " container engines: run with a profile that allows it"
		      " (docker run --security-opt seccomp=PROFILE.json).\n",
		      stderr);
	else
		return false;
	return true;
}

/* For the advice alone: what the kernel can do was found out by trying. */
static bool advise_kernel(void)
{
	unsigned major = 0, minor = 0, patch = 0;
	struct utsname name;

	if (uname(&name) < 0 || sscanf(name.release, "%u.%u.%u", &major, &minor, &patch) < 2)
		return false;
	if (major < 6 || (major == 6 && minor < 7))
		fprintf(stderr,
			"This kernel is %s and Linux 6.7 or later is needed: boot a newer kernel"
			" (Debian 12: linux-image-amd64 from bookworm-backports).\n",
			name.release);
	else if (major == 6 && (minor == 7 || (minor == 8 && patch < 10)))
		fprintf(stderr,
			"This kernel is %s and those before 6.8.10 can lose data while they are"
			" asked for written pages: boot a newer kernel.\n",
			name.release);
	else
		return false;
	return true;
}

void demo_explain_refusal(void)
{
	struct ww_info info = {.size = sizeof(info)};
	bool advised;

	fputs("writewatch demo: no backend is usable here\n", stderr);
	if (ww_probe(NULL, &info) == 0) {
		for (size_t i = 0; i < info.refusal_count; i++)
			fprintf(stderr, "  %s: %s (%s)\n", info.refusals[i].backend,
				info.refusals[i].reason, strerror(info.refusals[i].error));
	}
	advised = advise_environment();
	if (!advised) {
		advised |= advise_proc();
		advised |= advise_userfaultfd();
		advised |= advise_kernel();
	}
	if (!advised)
		fputs("The kernel needs CONFIG_USERFAULTFD=y, CONFIG_PTE_MARKER_UFFD_WP=y and a"
		      " processor whose page tables can carry userfaultfd's write protection"
		      " (x86-64, arm64).\n",
		      stderr);
}
