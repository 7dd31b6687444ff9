/* SPDX-License-Identifier: MIT */
#include "backends.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <writewatch/writewatch.h>

#include "pages.h"

#define BY_PROTECTION \
	"a page is protected until it is written, and then the kernel is refused like the program"
#define BY_SIGNAL "a first write is a signal, which the kernel sends even where it is blocked"
#define LETS_GO "a call that failed lets go of all that it may have reset"
#define TABLE "handlers find the state of a page in tables that are only ever added to"
#define ONE_AFTER_THE_OTHER "what was written is read first and cleared afterwards"

const struct backend_row backend_rows[] = {
	{
		.name = "pagemap-scan",
		.reported = "pagemap-scan",
		.guarantees = WW_EXACT | WW_ATOMIC_RESET | WW_RANGED_RESET | WW_KERNEL_WRITES |
			      WW_NO_SIGNAL_HANDLER | WW_NO_THREAD | WW_SURVIVES_FORK,
		.percent = 100,
		.except = {
			[REPEATS_MOVED] = "the kernel forgets that it protected a page while moving it",
		},
	},
	{
		.name = "uffd-thread",
		.reported = "uffd",
		.guarantees = WW_EXACT | WW_ATOMIC_RESET | WW_RANGED_RESET | WW_KERNEL_WRITES |
			      WW_NO_SIGNAL_HANDLER | WW_SURVIVES_FORK,
		.percent = 15,
		.except = {
			[NO_DISK_FILES] = "userfaultfd with faults registers no files on disk",
			[MORE_WHEN_SHORT] = LETS_GO,
		},
	},
	{
		.name = "uffd-sigbus",
		.reported = "uffd",
		.guarantees = WW_EXACT | WW_ATOMIC_RESET | WW_RANGED_RESET | WW_NO_THREAD |
			      WW_SURVIVES_FORK,
		.percent = 15,
		.except = {
			[NO_KERNEL_WRITES] = BY_PROTECTION,
			[NO_DISK_FILES] = "userfaultfd with faults registers no files on disk",
			[NO_BLOCKED] = BY_SIGNAL,
			[MORE_WHEN_SHORT] = LETS_GO,
			[KEEPS_TABLES] = TABLE,
		},
	},
	{
		.name = "mprotect",
		.reported = "mprotect",
		.guarantees = WW_ATOMIC_RESET | WW_RANGED_RESET | WW_NO_THREAD | WW_SURVIVES_FORK,
		.percent = 15,
		.except = {
			[NO_KERNEL_WRITES] = BY_PROTECTION,
			[NO_DISCARDS] = "dropping content causes no fault",
			[NO_MPROTECT] = "the backend's protection and the program's are the same",
			[NO_BLOCKED] = BY_SIGNAL,
			[NO_STALE] = "addresses are watched, whatever is mapped there",
			[NO_ANEW] = "what is mapped anew is not protected",
			[NO_EMPTY] = "what is mapped anew is not protected",
			[NO_HOLES] = "addresses are watched, whatever is mapped there",
			[ANY_MAPPING] = "mprotect(2) knows no kinds of memory",
			[NO_USERFAULTFD] = "it is not used",
			[NO_PAGEMAP] = "it is not used",
			[MORE_WHEN_SHORT] = "where mappings run short, a page takes its neighbours along",
			[WIDENS] = "each written page among others divides a mapping",
			[KEEPS_TABLES] = TABLE,
		},
	},
	{
		.name = "soft-dirty",
		.reported = "soft-dirty",
		.guarantees = WW_KERNEL_WRITES | WW_NO_SIGNAL_HANDLER | WW_NO_THREAD |
			      WW_SURVIVES_FORK,
		.percent = 15,
		.except = {
			[NO_SHARED] = "the kernel may drop their page tables, and what is in them",
			[NO_DISCARDS] = "the kernel forgets the state of dropped pages",
			[NO_STALE] = "the kernel keeps no record of who watches what",
			[NO_EMPTY] = "the bit goes with a page, and mremap(2) moves what has none",
			[ANY_MAPPING] = "the bit is kept for all kinds of memory",
			[NO_USERFAULTFD] = "it is not used",
			[MORE_WHEN_SHORT] = LETS_GO,
			[KEEPS_TABLES] = TABLE,
			[NOT_EXACT] = "what is watched again, or joined to a new mapping, is dirty as a whole",
			[NOT_ATOMIC] = ONE_AFTER_THE_OTHER,
		},
	},
};

const size_t backend_row_count = sizeof(backend_rows) / sizeof(*backend_rows);

/* The two kinds of userfaultfd have one name; what they promise tells them apart. */
static const struct backend_row *row_of(const struct ww_info *info)
{
	const uint64_t kinds = WW_NO_THREAD | WW_NO_SIGNAL_HANDLER;

	for (size_t i = 0; i < backend_row_count; i++) {
		const struct backend_row *row = &backend_rows[i];

		if (strcmp(row->reported, info->backend) == 0 &&
		    (row->guarantees & kinds) == (info->guarantees & kinds))
			return row;
	}
	cr_fatal("the backend %s is not in the table", info->backend);
	return NULL;
}

static const struct backend_row *find(struct ww_info *info)
{
	*info = (struct ww_info){.size = sizeof(*info)};
	if (ww_probe(NULL, info) < 0)
		cr_fatal("ww_probe failed: WRITEWATCH_BACKEND names no backend");
	return info->backend ? row_of(info) : NULL;
}

const struct backend_row *backend_find(void)
{
	struct ww_info info;

	return find(&info);
}

static const struct backend_row *current;

void backend_begin(void)
{
	struct ww_info info;

	current = find(&info);
	if (!current)
		cr_skip_test("%s: %s", info.refusals[0].backend, info.refusals[0].reason);
}

const struct backend_row *backend(void)
{
	if (!current)
		cr_fatal("the test has to begin with backend_begin()");
	return current;
}

void skip_if(enum exception e)
{
	if (except(e))
		cr_skip_test("%s: %s", backend()->name, except(e));
}

bool more_when_short(void)
{
	return except(MORE_WHEN_SHORT) || !has_zero_page();
}

void left_out(const char *what, enum exception e)
{
	static const char *said[16];
	size_t i = 0;

	while (i < 16 && said[i] && said[i] != what)
		i++;
	if (i == 16 || said[i])
		return;
	said[i] = what;
	fprintf(stderr, "# %s: left out: %s: %s\n", backend()->name, what, except(e));
}

unsigned discards_flag(void)
{
	return except(NO_DISCARDS) ? 0 : WW_DISCARDS;
}

int protect(struct ww *w, void *addr, size_t len, int prot)
{
	if (!except(NO_MPROTECT))
		return mprotect(addr, len, prot);
	return ww_protect(w, addr, len, prot) == 0 ? 0 : -1;
}
