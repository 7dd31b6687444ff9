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
	{
		.name = "uffd",
		.variant = "uffd-thread",
		.guarantees = WW_EXACT | WW_ATOMIC_RESET | WW_RANGED_RESET | WW_KERNEL_WRITES |
			      WW_NO_SIGNAL_HANDLER | WW_SURVIVES_FORK,
		.ops = &backend_uffd_thread,
	},
	{
		.name = "uffd",
		.variant = "uffd-sigbus",
		.guarantees = WW_EXACT | WW_ATOMIC_RESET | WW_RANGED_RESET | WW_NO_THREAD |
			      WW_SURVIVES_FORK,
		.ops = &backend_uffd_sigbus,
	},
	{
		.name = "mprotect",
		.guarantees = WW_ATOMIC_RESET | WW_RANGED_RESET | WW_NO_THREAD | WW_SURVIVES_FORK,
		.no_discards = true,
		.ops = &backend_mprotect,
	},
	{
		.name = "soft-dirty",
		.guarantees = WW_KERNEL_WRITES | WW_NO_SIGNAL_HANDLER | WW_NO_THREAD |
			      WW_SURVIVES_FORK,
		.no_discards = true,
		.needs_stopped = true,
		.ops = &backend_soft_dirty,
	},
	{.name = NULL},
};

bool backend_is(const struct backend *b, const char *name)
{
	return strcmp(b->name, name) == 0 || (b->variant && strcmp(b->variant, name) == 0);
}

bool backend_known(const char *name)
{
	for (const struct backend *b = backend_table; b->name; b++)
		if (backend_is(b, name))
			return true;
	return false;
}
