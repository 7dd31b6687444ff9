/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "kept.h"
#include "leaks.h"
#include "random.h"

/* Lists of ranges against a set of flags. */

#define SPACE 2000

TestSuite(kept, .init = leaks_begin, .fini = leaks_end);

static void set(bool *model, size_t start, size_t end, bool value)
{
	for (size_t i = start; i < end; i++)
		model[i] = value;
}

static void expect(const struct kept *k, const bool *model, size_t start, size_t end)
{
	struct kept_range r;
	size_t pos = start;

	while (kept_next(k, pos, end, &r)) {
		cr_assert(r.start >= pos && r.end > r.start && r.end <= end);
		while (pos < r.start)
			cr_assert(!model[pos++], "%zu is missing", pos - 1);
		while (pos < r.end)
			cr_assert(model[pos++], "%zu is too much", pos - 1);
	}
	while (pos < end)
		cr_assert(!model[pos++], "%zu is missing", pos - 1);
	for (size_t i = 1; i < k->count; i++)
		cr_assert_leq(k->ranges[i - 1].end, k->ranges[i].start);
}

/* Ranges in ascending order that may overlap. */
static void merge_some(struct rng *rng, struct kept *k, bool *model)
{
	struct kept_merge m;

	cr_assert_eq(kept_merge_begin(&m, k), 0);
	for (size_t start = rng_below(rng, 50); start < SPACE; start += rng_below(rng, 50)) {
		size_t end = start + rng_below(rng, 40) + 1;

		if (end > SPACE)
			end = SPACE;
		kept_merge_put(&m, start, end);
		set(model, start, end, true);
	}
	kept_merge_end(&m);
	kept_free(k);
	*k = m.list;
}

Test(kept, does_what_a_set_does)
{
	struct rng rng = {random_seed("kept")};
	bool model[SPACE] = {false};
	struct kept k = {0};

	for (size_t i = 0; i < 20000; i++) {
		size_t a = rng_below(&rng, SPACE + 1), b = rng_below(&rng, SPACE + 1);
		size_t start = a < b ? a : b, end = a < b ? b : a;

		if (rng_one_in(&rng, 2) && end - start > 20)
			end = start + rng_below(&rng, 20);
		if (rng_one_in(&rng, 100)) {
			merge_some(&rng, &k, model);
		} else if (rng_one_in(&rng, 3)) {
			kept_remove(&k, start, end);
			set(model, start, end, false);
		} else if (start < end) {
			cr_assert_eq(kept_reserve(&k, k.count + 1), 0);
			kept_add(&k, start, end);
			set(model, start, end, true);
		}
		expect(&k, model, start, end);
		if (i % 16 == 0)
			expect(&k, model, 0, SPACE);
	}
	kept_free(&k);
}
