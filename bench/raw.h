/* SPDX-License-Identifier: MIT */
#ifndef RAW_H
#define RAW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "uapi/pagemap_scan.h"
#include "uapi/userfaultfd.h"

#define RAW_VEC 4096

/*
 * The reference: the system calls as a careful program would make them by hand for one purpose.
 * It has no ranges to look up, no lock, no arguments to check and exits on errors.
 */
struct raw {
	int uffd;
	int pagemap;
	size_t page;
	struct wwk_page_region vec[RAW_VEC];
};

/* What of raw_get() depends on the memory: see the two definitions in raw.c. */
struct raw_mode {
	uint64_t flags;
	uint64_t mask;
};
extern const struct raw_mode raw_watched_only;
extern const struct raw_mode raw_mixed;

struct raw *raw_new(void);
void raw_free(struct raw *raw);
void raw_watch(struct raw *raw, void *base, size_t len);
void raw_unwatch(struct raw *raw, void *base, size_t len);
size_t raw_get(struct raw *raw, const struct raw_mode *mode, void *base, size_t len, bool reset,
	       void **pages, size_t room);
void raw_reset(struct raw *raw, void *base, size_t len);

#endif
