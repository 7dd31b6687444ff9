/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <string.h>

#include "leaks.h"
#include "random.h"
#include "registry.h"

#define PAGE 0x1000u
#define PAGES 2000

TestSuite(registry, .init = leaks_begin, .fini = leaks_end);

static void add(struct registry *reg, uintptr_t first, uintptr_t behind)
{
	struct range like = {.start = first * PAGE, .end = behind * PAGE};

	cr_assert_eq(registry_add(reg, &like), 0);
}

/* Takes [first, behind) out of whatever holds it. */
static void cut(struct registry *reg, uintptr_t first, uintptr_t behind)
{
	uintptr_t start = first * PAGE, end = behind * PAGE;
	struct range *r;

	while ((r = registry_first(reg, start)) && r->start < end) {
		r = registry_isolate(reg, r, r->start > start ? r->start : start,
				     r->end < end ? r->end : end);
		cr_assert_not_null(r);
		registry_remove(reg, r);
	}
}

static bool covers(const struct registry *reg, uintptr_t start, uintptr_t end)
{
	return registry_reaches(registry_first(reg, start), start, end);
}

static bool has(const struct registry *reg, uintptr_t page)
{
	const struct range *r = registry_first(reg, page * PAGE);

	return r && r->start <= page * PAGE;
}

/* Every page against a plain array, and the list's own order and sums. */
static void compare(const struct registry *reg, const bool *model)
{
	size_t count = 0, bytes = 0;
	uintptr_t pos = 0;

	for (size_t i = 0; i < PAGES; i++)
		cr_assert_eq(has(reg, i), model[i], "page %zu", i);
	for (const struct range *r = registry_first(reg, 0); r; r = range_next(r)) {
		cr_assert(r->start >= pos && r->end > r->start);
		pos = r->end;
		count++;
		bytes += r->end - r->start;
	}
	cr_assert_eq(reg->count, count);
	cr_assert_eq(reg->bytes, bytes);
}

Test(registry, finds_the_range_that_holds_an_address_or_the_next_one)
{
	struct registry reg;

	registry_init(&reg);
	add(&reg, 10, 20);
	add(&reg, 30, 40);
	cr_assert_eq(registry_first(&reg, 0)->start, 10 * PAGE);
	cr_assert_eq(registry_first(&reg, 19 * PAGE)->start, 10 * PAGE);
	cr_assert_eq(registry_first(&reg, 20 * PAGE)->start, 30 * PAGE);
	cr_assert_null(registry_first(&reg, 40 * PAGE));
	registry_destroy(&reg);
}

Test(registry, covers_only_without_gaps)
{
	struct registry reg;

	registry_init(&reg);
	add(&reg, 10, 20);
	add(&reg, 20, 30);
	add(&reg, 31, 40);
	cr_assert(covers(&reg, 10 * PAGE, 30 * PAGE));
	cr_assert(covers(&reg, 15 * PAGE, 25 * PAGE));
	cr_assert_not(covers(&reg, 9 * PAGE, 15 * PAGE));
	cr_assert_not(covers(&reg, 15 * PAGE, 32 * PAGE));
	cr_assert_not(covers(&reg, 35 * PAGE, 41 * PAGE));
	registry_destroy(&reg);
}

Test(registry, isolates_a_part_with_the_attributes_of_the_whole)
{
	struct registry reg;
	struct range *r;

	registry_init(&reg);
	add(&reg, 10, 20);
	r = registry_first(&reg, 10 * PAGE);
	r->mode = 7;
	r->all_written = true;
	r = registry_isolate(&reg, r, 12 * PAGE, 14 * PAGE);
	cr_assert(r->start == 12 * PAGE && r->end == 14 * PAGE && r->mode == 7 && r->all_written);
	cr_assert_eq(reg.count, 3);
	cr_assert(covers(&reg, 10 * PAGE, 20 * PAGE));
	registry_destroy(&reg);
}

Test(registry, merges_neighbours_that_are_watched_alike_and_no_others)
{
	struct registry reg;

	registry_init(&reg);
	add(&reg, 10, 20);
	add(&reg, 20, 30);
	add(&reg, 31, 40);
	add(&reg, 40, 50);
	registry_first(&reg, 40 * PAGE)->mode = 1;
	registry_merge(&reg, 20 * PAGE, 30 * PAGE);
	cr_assert_eq(reg.count, 3);
	cr_assert_eq(registry_first(&reg, 10 * PAGE)->end, 30 * PAGE);
	registry_merge(&reg, 31 * PAGE, 40 * PAGE);
	cr_assert_eq(reg.count, 3);
	registry_destroy(&reg);
}

Test(registry, agrees_with_a_plain_array_under_random_changes)
{
	static bool model[PAGES];
	struct rng rng = {random_seed("registry")};
	struct registry reg;

	registry_init(&reg);
	for (int i = 0; i < 3000; i++) {
		size_t start = rng_below(&rng, PAGES), len = 1 + rng_below(&rng, 20);
		size_t end = start + len < PAGES ? start + len : PAGES;

		cut(&reg, start, end);
		memset(model + start, 0, end - start);
		if (rng_below(&rng, 3)) {
			add(&reg, start, end);
			memset(model + start, 1, end - start);
		}
		if (rng_one_in(&rng, 4))
			registry_merge(&reg, start * PAGE, end * PAGE);
		if (i % 100 == 0)
			compare(&reg, model);
	}
	compare(&reg, model);
	registry_destroy(&reg);
}
