/* SPDX-License-Identifier: MIT */
#ifndef WW_MAPS_H
#define WW_MAPS_H

/* What is mapped at an address of this process. */

#include <stdbool.h>
#include <stdint.h>

#include "sys.h"

enum mapping_kind {
	MAPPING_PRIVATE_ANON,
	MAPPING_PRIVATE_FILE,
	MAPPING_SHARED,
	MAPPING_HUGETLB
};

struct mapping {
	uintptr_t start;
	uintptr_t end;
	enum mapping_kind kind;
	int prot; /* PROT_READ and so on */
};

struct maps {
	struct sys_file file;
	bool text_only;
};

/* text_only is set where the kernel (before 6.11) cannot answer for a single address. */
int maps_open(struct maps *maps);
void maps_close(struct maps *maps);

/* The mapping that holds addr, or the next one above: 0, -ENOENT when there is none, -EIO. */
int maps_find(const struct maps *maps, uintptr_t addr, struct mapping *out);
/* Drops the content of [m->start, m->end), so that it reads as zero, or as the file. */
int maps_drop(const struct mapping *m);

#endif
