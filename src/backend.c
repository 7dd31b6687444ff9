/* SPDX-License-Identifier: MIT */
#include "backend.h"

#include <string.h>

const struct backend backend_table[] = {
	{
		.name = "pagemap-scan",
		.guarantees = WW_EXACT | WW_ATOMIC_RESET | WW_RANGED_RESET | WW_KERNEL_WRITES |
			      WW_NO_SIGNAL_HANDLER | WW_NO_THREAD | WW_SURVIVES_FORK,
		.ops = &backend_pagemap_scan,
	},
	{.name = "uffd"},
	{.name = "mprotect"},
	{.name = "soft-dirty", .named_only = true},
	{.name = NULL},
};

const struct backend *backend_named(const char *name)
{
	for (const struct backend *b = backend_table; b->name; b++)
		if (strcmp(b->name, name) == 0)
			return b;
	return NULL;
}
