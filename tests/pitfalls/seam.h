/* SPDX-License-Identifier: MIT */
#ifndef TEST_SEAM_H
#define TEST_SEAM_H

#include <stdbool.h>

#include "sys.h"
#include "uapi/pagemap_scan.h"

/*
 * The library's system calls, seen and changed on their way: the test program is linked with
 * --wrap for what is listed here. All members zero: the real kernel.
 */
struct seam {
	/* After the kernel answered a scan: may change the answer; the result is the new result. */
	long (*scan_done)(struct wwk_pm_scan_arg *arg, long result);
	/* Before memory is write-protected, or un-protected. */
	void (*protecting)(uint64_t start, uint64_t end);
	/* After memory was registered. */
	void (*registered)(uint64_t start, uint64_t end);
	/* The kernel cannot protect private pages that are not there (before Linux 6.4). */
	bool no_markers;
	/* Fails the n-th scan from now on (1: the next), after the kernel did its work. */
	int fail_scan;
	int fail_with;
	/* Errors of whole calls; 0: none. */
	int fail_register;
	int fail_protect;
	int fail_procmap_query;
	int fail_uffd;
	int fail_open_device;
	int fail_open_pagemap;
	const char *release;
	/* Counts. */
	int scans;
	int resetting_scans;
	int protects;
	int without_vector;
	int reset_unchecked;
};

extern struct seam seam;

#endif
