/* SPDX-License-Identifier: MIT */
#ifndef WRITEWATCH_MAPPINGS_H
#define WRITEWATCH_MAPPINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum mapping_permission {
	MAPPING_READ = 1,
	MAPPING_WRITE = 2,
	MAPPING_EXECUTE = 4,
	MAPPING_SHARED = 8
};

/**
 * struct named_mapping - a mapping of another process
 * @permissions: bits of enum mapping_permission
 * @name:        as in its list of mappings; empty for anonymous memory without a name
 */
struct named_mapping {
	uint64_t start, end;
	unsigned permissions;
	const char *name;
};

/* Ascending. Neighbours that look the same may be one. */
struct mappings {
	struct named_mapping *list;
	size_t count, room;
	/* The names, one after the other. */
	char *names;
	size_t names_count, names_room;
};

/* Begins with an empty struct; what was read before is replaced. As the kernel lists them. */
int mappings_read(struct mappings *m, FILE *maps);
/* Makes a list one by one, of which the names can be used once it is finished. */
void mappings_clear(struct mappings *m);
int mappings_add(struct mappings *m, const struct named_mapping *mapping);
void mappings_finish(struct mappings *m);
void mappings_free(struct mappings *m);
int mappings_copy(struct mappings *to, const struct mappings *from);
bool mappings_equal(const struct mappings *a, const struct mappings *b);

#endif
