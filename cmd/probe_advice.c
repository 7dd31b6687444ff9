/* SPDX-License-Identifier: MIT */
#include "probe.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#define VERSION(major, minor, patch) ((major)*1000000u + (minor)*1000u + (patch))

/* What a backend has to find. The kernel is for the advice alone: what it can do was tried. */
struct needs {
	const char *name;
	bool pagemap;
	bool clear_refs;
	bool uffd;
	bool kernel_faults;
	unsigned version;
	const char *kernel;
};

static const struct needs all_needs[] = {
    {"pagemap-scan", true, false, true, false, VERSION(6, 8, 10),
     "Linux 6.8.10 or later with CONFIG_USERFAULTFD=y and CONFIG_PTE_MARKER_UFFD_WP=y, on x86-64 "
     "or arm64"},
    {"uffd-thread", true, false, true, true, VERSION(5, 13, 0),
     "Linux 5.14 or later with CONFIG_USERFAULTFD=y, on x86-64 or arm64"},
    {"uffd-sigbus", true, false, true, false, VERSION(5, 13, 0),
     "Linux 5.14 or later with CONFIG_USERFAULTFD=y, on x86-64 or arm64"},
    {"mprotect", false, false, false, false, 0, NULL},
    {"soft-dirty", true, true, false, false, 0,
     "a kernel with CONFIG_MEM_SOFT_DIRTY=y, as Debian's are on x86-64"},
};

static void advise(struct probe_backend *b, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void advise(struct probe_backend *b, const char *format, ...)
{
	va_list args;

	if (b->change_count == PROBE_CHANGES)
		return;
	va_start(args, format);
	vsnprintf(b->changes[b->change_count++], PROBE_TEXT, format, args);
	va_end(args);
}

static const struct needs *needs_of(const char *name)
{
	for (size_t i = 0; i < sizeof(all_needs) / sizeof(all_needs[0]); i++) {
		if (strcmp(all_needs[i].name, name) == 0)
			return &all_needs[i];
	}
	return NULL;
}

/* What was short says nothing about the backend. */
static bool advise_shortage(struct probe_backend *b)
{
	struct rlimit limit;

	if (b->error == EMFILE && getrlimit(RLIMIT_NOFILE, &limit) == 0)
		advise(b, "a higher limit of open files (ulimit -n) than %llu",
		       (unsigned long long)limit.rlim_cur);
	else if (b->error == EMFILE || b->error == ENFILE)
		advise(b, "a higher limit of open files in the system (sysctl fs.file-max)");
	else if (b->error == ENOMEM)
		advise(b, "more memory or address space (ulimit -v)");
	return b->error == EMFILE || b->error == ENFILE || b->error == ENOMEM;
}

static void advise_proc(struct probe_backend *b, const struct probe_machine *m,
			const struct needs *needs)
{
	int error = needs->pagemap ? m->pagemap_error : 0;

	if (!error && needs->clear_refs)
		error = m->clear_refs_error;
	if (m->proc_error == ENOENT)
		advise(b, "a mounted /proc (mount -t proc proc /proc)");
	else if (error == ENOENT)
		advise(b, "a kernel with CONFIG_PROC_PAGE_MONITOR=y");
	else if (error && m->dumpable == 0)
		advise(b, "a process that is dumpable: its program file readable for the user, "
			  "neither set-user-ID nor with capabilities");
	else if (error)
		advise(b, "a sandbox that lets the process open its own /proc/self/%s",
		       needs->pagemap && m->pagemap_error ? "pagemap" : "clear_refs");
}

/* Who denies the system call to everybody, root too. */
static const char *way_past_denial(const struct probe_machine *m)
{
	/* The device is there if the kernel has userfaultfd at all. */
	if (m->uffd_user_error != ENOSYS || m->device_exists)
		return m->seccomp == 0 ? "a security module that allows userfaultfd(2)"
				       : "a seccomp filter that allows userfaultfd(2)";
	return m->seccomp == 0 ? "a kernel with CONFIG_USERFAULTFD=y"
			       : "a seccomp filter that allows userfaultfd(2), or a kernel with "
				 "CONFIG_USERFAULTFD=y";
}

static void advise_userfaultfd(struct probe_backend *b, const struct probe_machine *m,
			       bool kernel_faults)
{
	bool denied = m->uffd_user_error && m->uffd_user_error != EINVAL;
	bool privileged = m->unprivileged_uffd == 1 || (denied && m->cap_sys_ptrace);
	char privilege[PROBE_TEXT] = "", device[PROBE_TEXT] = "";

	/* Whoever may handle the kernel's faults may handle all. */
	if (!m->uffd_error || !m->device_error || (!kernel_faults && !denied))
		return;
	if (kernel_faults && !privileged)
		snprintf(privilege, sizeof(privilege),
			 "sysctl vm.unprivileged_userfaultfd=1 or CAP_SYS_PTRACE (root%s, or "
			 "setcap cap_sys_ptrace+ep PROGRAM)",
			 m->cap_sys_ptrace ? " of the initial user namespace" : "");
	if (m->device_exists)
		snprintf(device, sizeof(device),
			 "; or permission to open /dev/userfaultfd, whose mode is %04o",
			 m->device_mode);
	advise(b, "%s%s%s%s", denied ? way_past_denial(m) : "",
	       denied && *privilege ? ", and " : "", privilege, device);
}

static bool is_older(const struct probe_machine *m, unsigned version)
{
	unsigned major = 0, minor = 0, patch = 0;

	if (sscanf(m->kernel.release, "%u.%u.%u", &major, &minor, &patch) < 2)
		return false;
	return VERSION(major, minor, patch) < version;
}

/* The library's reasons tell where a feature comes from: a version or an option. */
static bool lacks_feature(const char *reason)
{
	return reason && (strstr(reason, "Linux ") || strstr(reason, "CONFIG_"));
}

void probe_advise(const struct probe_machine *m, struct probe_backend *b)
{
	const struct needs *needs = needs_of(b->name);
	bool lacks;

	if (!needs || advise_shortage(b))
		return;
	advise_proc(b, m, needs);
	if (needs->uffd)
		advise_userfaultfd(b, m, needs->kernel_faults);
	lacks = is_older(m, needs->version) || (b->change_count == 0 && lacks_feature(b->reason));
	if (needs->kernel && lacks)
		advise(b, "%s", needs->kernel);
	if (b->change_count == 0)
		advise(b, "nothing that is known: this kernel does not behave as it should when "
			  "that is tried; please report this, with all that this command prints");
}
