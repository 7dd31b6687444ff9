/* SPDX-License-Identifier: MIT */
/* What 'writewatch probe' advises on machines that this one is not. */
#include "probe.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct probe_machine machine;
static struct probe_backend backend;

/* An unprivileged user, outside of containers, on a kernel that has everything. */
static void begin(void)
{
	machine = (struct probe_machine){
	    .page_size = 4096,
	    .dumpable = 1,
	    .uid = 1000,
	    .uffd_error = EPERM,
	    .device_error = EACCES,
	    .device_exists = true,
	    .device_mode = 0600,
	};
	strcpy(machine.kernel.release, "6.12.1-amd64");
}

TestSuite(advice, .init = begin);

static void advise_for(const char *name, int error, const char *reason)
{
	backend = (struct probe_backend){.name = name, .error = error, .reason = reason};
	probe_advise(&machine, &backend);
	for (size_t i = 0; i < backend.change_count; i++)
		cr_expect(backend.changes[i][0], "empty");
}

static void advise(const char *name, int error)
{
	advise_for(name, error, NULL);
}

/* Is exactly this many, and is this among them? */
static void expect(size_t count, const char *words)
{
	bool found = false;

	for (size_t i = 0; i < backend.change_count; i++)
		found |= strstr(backend.changes[i], words) != NULL;
	cr_expect_eq(backend.change_count, count, "%s: %zu, the first: %s", backend.name,
		     backend.change_count, backend.changes[0]);
	cr_expect(found, "%s: no '%s' in: %s", backend.name, words, backend.changes[0]);
}

Test(advice, without_privilege)
{
	advise("uffd-thread", EPERM);
	expect(1, "sysctl vm.unprivileged_userfaultfd=1 or CAP_SYS_PTRACE (root, or setcap");
	expect(1, "; or permission to open /dev/userfaultfd, whose mode is 0600");
	machine.device_exists = false;
	machine.device_error = ENOENT;
	advise("uffd-thread", EPERM);
	cr_expect_null(strstr(backend.changes[0], "/dev/userfaultfd"));
}

/* Capabilities of a user namespace do not count. */
Test(advice, root_of_a_user_namespace)
{
	machine.uid = 0;
	machine.cap_sys_ptrace = true;
	advise("uffd-thread", EPERM);
	expect(1, "CAP_SYS_PTRACE (root of the initial user namespace, or");
}

Test(advice, seccomp_denies)
{
	static const char *const names[] = {"pagemap-scan", "uffd-thread", "uffd-sigbus"};

	machine.seccomp = 2;
	machine.uffd_user_error = EPERM;
	for (size_t i = 0; i < 3; i++) {
		advise(names[i], EPERM);
		expect(1, "a seccomp filter that allows userfaultfd(2)");
		expect(1, "; or permission to open /dev/userfaultfd");
	}
	machine.cap_sys_ptrace = true;
	advise("uffd-thread", EPERM);
	cr_expect_null(strstr(backend.changes[0], "sysctl"), "the filter alone is in the way");
}

Test(advice, security_module_denies)
{
	machine.uffd_user_error = EACCES;
	advise("pagemap-scan", EACCES);
	expect(1, "a security module that allows userfaultfd(2)");
}

Test(advice, no_userfaultfd)
{
	machine.device_exists = false;
	machine.device_error = ENOENT;
	machine.uffd_error = machine.uffd_user_error = ENOSYS;
	advise("pagemap-scan", ENOSYS);
	expect(1, "a kernel with CONFIG_USERFAULTFD=y");
	cr_expect_null(strstr(backend.changes[0], "seccomp"));
	/* Filters may hide what is there: nobody can tell. */
	machine.seccomp = 2;
	advise("pagemap-scan", ENOSYS);
	expect(1, "a seccomp filter that allows userfaultfd(2), or a kernel with CONFIG_USER");
	/* The device tells. */
	machine.device_exists = true;
	machine.device_error = EACCES;
	advise("pagemap-scan", ENOSYS);
	cr_expect_null(strstr(backend.changes[0], "CONFIG_"));
}

Test(advice, old_kernel)
{
	strcpy(machine.kernel.release, "6.1.0-25-amd64");
	advise("pagemap-scan", ENOTSUP);
	expect(1, "Linux 6.8.10 or later with CONFIG_USERFAULTFD=y");
	strcpy(machine.kernel.release, "6.8.9");
	advise("pagemap-scan", ENOTSUP);
	expect(1, "Linux 6.8.10 or later");
	/* More than one thing is needed. */
	machine.uffd_user_error = EPERM;
	machine.seccomp = 2;
	advise("pagemap-scan", EPERM);
	expect(2, "Linux 6.8.10 or later");
	expect(2, "a seccomp filter");
	strcpy(machine.kernel.release, "6.8.10");
	advise("pagemap-scan", EPERM);
	expect(1, "a seccomp filter");
}

/* All that can be seen from here is right, so it must be what cannot. */
Test(advice, missing_option)
{
	advise_for("pagemap-scan", ENOTSUP,
		   "the kernel has no asynchronous write-protection (UFFD_FEATURE_WP_ASYNC, Linux "
		   "6.7)");
	expect(1, "CONFIG_PTE_MARKER_UFFD_WP=y");
	advise_for("pagemap-scan", ENOTSUP, "the kernel has no PAGEMAP_SCAN (Linux 6.7)");
	expect(1, "CONFIG_PTE_MARKER_UFFD_WP=y");
	advise_for("uffd-sigbus", ENOTSUP,
		   "the kernel's userfaultfd does not write-protect (Linux 5.14, x86-64 or arm64)");
	expect(1, "CONFIG_USERFAULTFD=y, on x86-64 or arm64");
	advise_for("soft-dirty", ENOTSUP,
		   "the kernel has no soft-dirty bit (CONFIG_MEM_SOFT_DIRTY)");
	expect(1, "CONFIG_MEM_SOFT_DIRTY=y");
}

/* A newer kernel, which has it all already, is no advice. */
Test(advice, misbehaving_kernel)
{
	static const char *const names[] = {"pagemap-scan", "uffd-thread", "uffd-sigbus",
					    "mprotect", "soft-dirty"};
	static const char *const reasons[] = {
	    "pages written on trial were not reported as they should be",
	    "the kernel refuses to register memory for asynchronous write-protection"};

	machine.uid = 0;
	machine.cap_sys_ptrace = true;
	machine.uffd_error = machine.device_error = 0;
	for (size_t i = 0; i < 5; i++) {
		for (size_t k = 0; k < 2; k++) {
			advise_for(names[i], ENOTSUP, reasons[k]);
			expect(1, "nothing that is known");
			expect(1, "please report");
			cr_expect_null(strstr(backend.changes[0], "CONFIG_"));
		}
	}
	/* On an older one it is. */
	strcpy(machine.kernel.release, "6.1.0-25-amd64");
	advise_for("pagemap-scan", ENOTSUP, reasons[0]);
	expect(1, "Linux 6.8.10 or later");
}

Test(advice, not_dumpable)
{
	machine.dumpable = 0;
	machine.pagemap_error = machine.clear_refs_error = EACCES;
	advise("pagemap-scan", EACCES);
	expect(1, "a process that is dumpable");
	advise("soft-dirty", EACCES);
	expect(1, "a process that is dumpable");
}

Test(advice, no_proc)
{
	machine.proc_error = machine.pagemap_error = machine.clear_refs_error = ENOENT;
	advise("soft-dirty", ENOENT);
	expect(1, "a mounted /proc");
	machine.proc_error = 0;
	advise("soft-dirty", ENOENT);
	expect(1, "CONFIG_PROC_PAGE_MONITOR=y");
	machine.pagemap_error = machine.clear_refs_error = EPERM;
	advise("pagemap-scan", EPERM);
	expect(1, "a sandbox that lets the process open its own /proc/self/pagemap");
}

Test(advice, shortage)
{
	advise("pagemap-scan", EMFILE);
	expect(1, "a higher limit of open files (ulimit -n) than ");
	advise("pagemap-scan", ENFILE);
	expect(1, "fs.file-max");
	advise("pagemap-scan", ENOMEM);
	expect(1, "more memory or address space");
}
