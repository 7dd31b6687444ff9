/* SPDX-License-Identifier: MIT */
#include "backends.h"
#include "oracle.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>

static const struct {
	const char *name;
	void (*run)(struct oracle *o);
	size_t weight;
} operations[] = {
	{"store", op_store, 3000},
	{"store comb", op_store_comb, 25},
	{"store same value", op_store_same, 600},
	{"read", op_read, 1500},
	{"read from file", op_write_file, 250},
	{"read from pipe", op_write_pipe, 250},
	{"process_vm_writev", op_write_process, 250},
	{"io_uring read", op_write_ring, 250},
	{"mprotect", op_protect, 400},
	{"MADV_DONTNEED", op_dontneed, 250},
	{"MADV_COLD or PAGEOUT", op_cold, 60},
	{"ww_get", op_get, 700},
	{"ww_get_ranges", op_get_ranges, 600},
	{"ww_get_bitmap", op_get_bitmap, 500},
	{"count", op_count, 300},
	{"ww_reset", op_reset, 150},
	{"ww_mark", op_mark, 150},
	{"ww_discard", op_discard, 250},
	{"ww_unwatch", op_unwatch, 80},
	{"ww_watch", op_watch, 150},
	{"mend", op_mend, 250},
	{"munmap", op_unmap, 60},
	{"mmap over", op_remap, 90},
	{"mremap away and back", op_move, 50},
	{"mremap over", op_move_over, 50},
	{"renew", op_renew, 25},
	{"fork", op_fork, 10},
	{"clone", op_clone, 10},
};

#define KINDS (sizeof(operations) / sizeof(operations[0]))

static size_t random_kind(struct oracle *o)
{
	size_t sum = 0, at, i;

	for (i = 0; i < KINDS; i++)
		sum += operations[i].weight;
	at = rng_below(&o->rng, sum);
	for (i = 0; at >= operations[i].weight; i++)
		at -= operations[i].weight;
	return i;
}

void oracle_run(const struct mode *mode)
{
	static struct oracle oracle;
	struct oracle *o = &oracle;
	size_t operations_wanted = env_number("WW_OPS", mode->operations / 100 *
							   backend()->percent);

	oracle_open(o, mode);
	for (o->number = 0; o->number < operations_wanted; o->number++) {
		size_t kind = random_kind(o);

		o->what = operations[kind].name;
		operations[kind].run(o);
		o->counts[kind]++;
	}
	o->what = "last check";
	for (size_t i = 0; i < o->region_count; i++)
		mend(o, o->regions[i]);
	check_everything(o, 0);
	check_everything(o, WW_RESET);
	check_everything(o, 0);
	oracle_close(o);
	fprintf(stderr, "# %s on %s: %zu operations, 0 missed, %s\n", mode->name, backend()->name,
		o->number, except(NOT_EXACT) ? except(NOT_EXACT) : "0 over-reported");
	if (o->repeated != 0)
		fprintf(stderr, "#   %8zu pages reported once more: %s\n", o->repeated,
			except(REPEATS_MOVED));
	for (size_t i = 0; i < KINDS; i++)
		fprintf(stderr, "#   %8zu %s\n", o->counts[i], operations[i].name);
	cr_assert(true);
}
