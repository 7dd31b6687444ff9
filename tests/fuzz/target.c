/* SPDX-License-Identifier: MIT */
#include "fuzz.h"

#include <stdlib.h>

static const struct {
	const char *name;
	void (*run)(void);
} operations[] = { /* twice: more often */
	{"store", op_store},
	{"ww_get", op_get},
	{"store", op_store},
	{"ww_get", op_get},
	{"ww_get", op_get},
	{"store of what was there", op_comb},
	{"ww_reset", op_reset},
	{"ww_watch", op_watch},
	{"ww_get", op_get},
	{"ww_watch", op_watch},
	{"ww_unwatch", op_unwatch},
	{"read", op_read},
	{"pread", op_kernel_write},
	{"ww_mark", op_mark},
	{"ww_discard", op_discard},
	{"mprotect", op_protect},
	{"MADV_DONTNEED", op_dontneed},
	{"madvise", op_advise},
	{"munmap", op_unmap},
	{"mmap over", op_remap},
	{"mremap over", op_move_over},
	{"mremap", op_move},
	{"forbidden access", op_forbidden},
	{"ww_prepare_write", op_prepare},
	{"ww_info", op_info},
	{"odd addresses", op_odd},
	{"nonsense", op_nonsense},
	{"ww_free and ww_new", op_renew},
	{"a second context", op_second},
};

#define KINDS (sizeof(operations) / sizeof(operations[0]))

/* Whatever is not watched any more is the program's again. Of what is empty, a part will do. */
static void check_memory(void)
{
	for (size_t i = 0; i < PAGES; i++) {
		if (i % 16 && fz.pages[i].word == 0)
			continue;
		if (can_read(i) && load(page_at(i)) != fz.pages[i].word)
			fail("page %zu holds %lx, not %lx", i, (unsigned long)load(page_at(i)),
			     (unsigned long)fz.pages[i].word);
		if (can_write(i))
			store(page_at(i), 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned backend, shape;

	fz.data = data;
	fz.size = size;
	fz.at = 0;
	fz.log_next = 0;
	fz.stamp = 1;
	fz.last = (struct range){0, 1};
	fz.repeated = 0;
	fz.what = "setup";
	backend = take();
	shape = take();
	arena_open(shape);
	if (!context_open(backend, shape))
		return 0;
	while (fz.at < fz.size) {
		size_t kind = take() % KINDS;

		fz.what = operations[kind].name;
		fz.repeated = 0;
		operations[kind].run();
		fz.operations++;
	}
	fz.what = "last check";
	fz.repeated = 0;
	repair((struct range){0, PAGES}, 0);
	check_everything();
	check_info();
	context_close();
	check_memory();
	return 0;
}
