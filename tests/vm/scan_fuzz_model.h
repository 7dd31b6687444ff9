/* SPDX-License-Identifier: MIT */
#ifndef WW_TESTS_VM_SCAN_FUZZ_MODEL_H
#define WW_TESTS_VM_SCAN_FUZZ_MODEL_H

#include "scan_fuzz.h"

/* What the two parts of the model share; see scan_fuzz_model.c. */

enum kind { ANON, ANON_HUGE, ANON_MERGEABLE, SHMEM, FILE_PRIVATE, FILE_SHARED, HUGETLB, KINDS };

#define PAGES 1024
#define SLOT (PAGES * PAGE)
/* Written since the last reset. */
#define MUST 1
/* Freed by MADV_FREE: as good as written once the kernel took it, which nobody is told of. */
#define FREED 2
/* Of a call that failed for want of memory: may count as written, and need not. */
#define MAY 4
#define HISTORY 24

struct region {
	enum kind kind;
	/* It moves between two slots. */
	char *slots[2], *base;
	int uffd, file;
	uint8_t flags[PAGES];
	/* The first word of each page. */
	uint64_t content[PAGES];
	char history[HISTORY][80];
	unsigned int events;
};

void model_note(struct region *region, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void model_violation(struct region *region, const char *what, size_t page);
void model_set(struct region *region, size_t page, size_t n, bool written);
void model_may(struct region *region, size_t page, size_t n);
/* A range of the region, whole huge pages where there is nothing smaller. */
size_t model_range(struct actor *actor, struct region *region, size_t *n);

bool model_scan(struct actor *actor, struct region *region, bool resets);
/* Of all of it, with a reset, and memory that runs out; if that fails, once more without. */
bool model_scan_starved(struct actor *actor, struct region *region);
bool model_renew(struct actor *actor, struct region *region);
/* What happens to a region besides scans and resets. */
bool model_act(struct actor *actor, struct region *region, enum fuzz_op op);

#endif
