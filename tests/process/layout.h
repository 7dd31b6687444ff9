/* SPDX-License-Identifier: MIT */
#ifndef TEST_PROCESS_LAYOUT_H
#define TEST_PROCESS_LAYOUT_H

#include <stddef.h>

#include "random.h"

/* Memory of all kinds side by side: private, shared, files, huge, guarded, protected, holes. */

#define LAYOUT_PAGES ((size_t)4096)

struct layout {
	char *base;
	int file;
	int uffd;
};

/* Leaves out what the machine does not have. */
void layout_make(struct layout *l, struct rng *rng);
void layout_free(struct layout *l);

/* How often each kind was made in this process: every one is to be seen. */
extern size_t layout_made[];
extern const size_t layout_kind_count;
const char *layout_kind(size_t i);

#endif
