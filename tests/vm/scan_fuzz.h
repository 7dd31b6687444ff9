/* SPDX-License-Identifier: MIT */
#ifndef WW_TESTS_VM_SCAN_FUZZ_H
#define WW_TESTS_VM_SCAN_FUZZ_H

#include "uapi/pagemap_scan.h"
#include "uapi/userfaultfd.h"
#include <setjmp.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PAGE 4096UL
#define HUGE_PAGE (512 * PAGE)
#define WINDOW (16 * HUGE_PAGE)
#define WORKERS 2
#define MODELS 2
#define CHAOS 3
/* For one of so many calls memory runs out. */
#define STARVE 8
/* Descriptors whose number stays, so that no thread closes another's by mistake. */
#define FD_UFFD 200
#define UFFDS 2
#define FD_FILE 210
#define FILES 3
#define FD_PAGEMAP 220

/* clang-format off */
#define FUZZ_OPS(X)                                                                             \
	X(scan) X(scan_invalid) X(scan_whole) X(uffd_open) X(uffd_register) X(uffd_wp)          \
	X(uffd_unregister) X(uffd_zeropage) X(mmap) X(mmap_hugetlb) X(munmap) X(mremap)         \
	X(mprotect) X(madvise_dontneed) X(madvise_free) X(madvise_hugepage)                     \
	X(madvise_nohugepage) X(madvise_collapse) X(madvise_pageout) X(madvise_cold)            \
	X(madvise_mergeable) X(madvise_unmergeable) X(madvise_populate_read)                    \
	X(madvise_populate_write) X(madvise_remove) X(mlock) X(munlock) X(move_pages)           \
	X(store) X(load) X(kernel_store) X(truncate) X(punch) X(fork) X(model_scan)             \
	X(model_scan_wp) X(model_reset) X(model_unprotect) X(model_store) X(model_kernel_store) \
	X(model_load) X(model_dontneed) X(model_free) X(model_harmless) X(model_mprotect)       \
	X(model_populate) X(model_move) X(model_reregister) X(model_renew) X(model_fork)        \
	X(model_starve)
/* clang-format on */

enum fuzz_op {
#define X(name) OP_##name,
	FUZZ_OPS(X)
#undef X
	    OPS
};

struct actor {
	uint64_t random;
	int worker;
};

/* Shared by all processes. */
struct fuzz {
	uint64_t seed;
	/* What mainline is known to get wrong counts, too. */
	bool strict;
	char *window;
	pid_t workers[WORKERS];
	atomic_bool stop;
	atomic_bool failed;
	_Atomic uint64_t done[OPS];
	_Atomic uint64_t refused[OPS];
	_Atomic uint64_t scan_errors[256];
	_Atomic uint64_t checked_pages;
	/* Calls of userfaultfd and scans for which memory ran out, and those that failed by it. */
	_Atomic uint64_t starved[2];
	_Atomic uint64_t no_memory[2];
};

extern struct fuzz *fuzz;

uint64_t fuzz_random(struct actor *actor, uint64_t below);
bool fuzz_chance(struct actor *actor, unsigned int one_in);
void fuzz_count(enum fuzz_op op, bool ok);
void fuzz_violation(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Memory that others may take away: false if it cannot be had. */
bool fuzz_store(volatile uint64_t *address, uint64_t value);
bool fuzz_load(const volatile uint64_t *address, uint64_t *value);

/* Lets memory run out, in one of so many cases, for the next ioctl that this thread issues. */
void fuzz_starve(struct actor *actor, unsigned int one_in);
int fuzz_ioctl(int fd, unsigned long request, void *arg);
/* The error of the last one, if it failed and that may be why. */
int fuzz_starved(void);

int fuzz_uffd(uint64_t features);
bool fuzz_register(int uffd, const void *start, size_t length, uint64_t mode);
bool fuzz_protect(int uffd, const void *start, size_t length, uint64_t mode);

/* A range of the window, and a scan of it or with arguments that are wrong. */
char *fuzz_range(struct actor *actor, size_t *length);
void fuzz_scan(struct actor *actor);
void fuzz_scan_whole(struct actor *actor);
void fuzz_scan_invalid(struct actor *actor);

void *chaos_thread(void *actor);
void chaos_end(void);

/* Room for the models of this process, before its threads start. */
bool model_reserve(void);
void *model_thread(void *actor);
/* A page of some model's region, for what must not change its state. */
char *model_page(struct actor *actor);

#endif
