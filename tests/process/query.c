/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <writewatch/process.h>

#include "leaks.h"
#include "pages.h"

/* What can be wrong about a question, on both ways to answer it. */

static struct ww_process *ways[2];
static struct ww_page_range range;
static char *memory;

static void begin(void)
{
	leaks_begin();
	cr_assert_eq(ww_process_open(&ways[0], 0, 0), 0);
	cr_assert_eq(ww_process_open(&ways[1], 0, WW_PROCESS_READ_PAGEMAP), 0);
	memory = map_private(4 * page_bytes());
	memory[0] = 1;
}

static void end(void)
{
	unmap(memory, 4 * page_bytes());
	ww_process_close(ways[0]);
	ww_process_close(ways[1]);
	leaks_end();
}

TestSuite(query, .init = begin, .fini = end);

static struct ww_process_query of_memory(void)
{
	return (struct ww_process_query){
		.size = sizeof(struct ww_process_query),
		.start = (uintptr_t)memory,
		.end = (uintptr_t)memory + 4 * page_bytes(),
		.required = WW_PAGE_PRESENT,
		.next = 77,
		.pages = 77,
	};
}

static int ask(int way, struct ww_process_query *q)
{
	size_t count = 1;
	int r = ww_process_scan(ways[way], q, &range, &count);

	if (r == 0)
		cr_assert(count == 1 && q->pages == 1 && q->refused == 0);
	else if (q->pages != 77)
		cr_assert(count == 0 && q->pages == 0 && q->next == q->start);
	return r;
}

#define EXPECT(result, ...) \
	for (int way = 0; way < 2; way++) { \
		struct ww_process_query q = of_memory(); \
		__VA_ARGS__; \
		cr_assert_eq(ask(way, &q), result, "way %d", way); \
	}

Test(query, a_good_one)
{
	EXPECT(0, );
	cr_assert_eq(range.start, (uintptr_t)memory);
	cr_assert_eq(range.end, (uintptr_t)memory + page_bytes());
	cr_assert_eq(range.categories, 0, "none was asked for");
	EXPECT(0, q.end -= page_bytes() - 1);
	EXPECT(0, q.returned = WW_PAGE_PRESENT);
	cr_assert_eq(range.categories, WW_PAGE_PRESENT);
}

Test(query, null_pointers_and_no_room)
{
	for (int way = 0; way < 2; way++) {
		struct ww_process_query q = of_memory();
		size_t count = 1, none = 0;

		cr_assert_eq(ww_process_scan(NULL, &q, &range, &count), -EINVAL);
		cr_assert_eq(ww_process_scan(ways[way], NULL, &range, &count), -EINVAL);
		cr_assert_eq(ww_process_scan(ways[way], &q, NULL, &count), -EINVAL);
		cr_assert_eq(ww_process_scan(ways[way], &q, &range, NULL), -EINVAL);
		cr_assert_eq(ww_process_scan(ways[way], &q, &range, &none), -EINVAL);
	}
}

Test(query, the_size)
{
	struct {
		struct ww_process_query q;
		uint64_t newer;
	} larger;
	size_t count = 1;

	EXPECT(-EINVAL, q.size = 0);
	EXPECT(-EINVAL, q.size = sizeof(q) - 1);
	for (int way = 0; way < 2; way++) {
		memset(&larger, 0, sizeof(larger));
		larger.q = of_memory();
		larger.q.size = sizeof(larger);
		cr_assert_eq(ww_process_scan(ways[way], &larger.q, &range, &count), 0);
		cr_assert_eq(count, 1);
		larger.newer = 1;
		cr_assert_eq(ww_process_scan(ways[way], &larger.q, &range, &count), -EINVAL);
	}
}

Test(query, addresses)
{
	const uint64_t half = UINT64_C(1) << 63, page = page_bytes();

	EXPECT(-EINVAL, q.start++);
	EXPECT(-EINVAL, q.end = q.start - 1);
	EXPECT(-EINVAL, q.end = UINT64_MAX);
	EXPECT(-EINVAL, q.end = half);
	EXPECT(-EINVAL, q.start = half; q.end = half + page);
	EXPECT(-EINVAL, q.start = half; q.end = 0);
	EXPECT(-EINVAL, q.start = -page; q.end = -UINT64_C(1));
	EXPECT(-EINVAL, q.start = -page; q.end = 0);
}

Test(query, unknown_categories_and_flags)
{
	const uint64_t unknown = WW_PAGE_GUARD << 1, high = UINT64_C(1) << 63;

	for (int i = 0; i < 2; i++) {
		uint64_t bit = i ? high : unknown;

		EXPECT(-EINVAL, q.required |= bit);
		EXPECT(-EINVAL, q.any_of = bit);
		EXPECT(-EINVAL, q.excluded = bit);
		EXPECT(-EINVAL, q.returned = bit);
	}
	EXPECT(-EINVAL, q.flags = WW_SCAN_WATCHED_ONLY << 1);
	EXPECT(-EINVAL, q.flags = high);
}

Test(query, contradictions)
{
	EXPECT(-EINVAL, q.excluded = WW_PAGE_PRESENT);
	EXPECT(-EINVAL, q.any_of = WW_PAGE_FILE | WW_PAGE_SWAPPED; q.excluded = WW_PAGE_FILE);
}

/* Each category is told, or refused by its name, wherever it is asked for. */
Test(query, categories_that_cannot_be_told)
{
	for (int way = 0; way < 2; way++) {
		uint64_t known = ww_process_categories(ways[way]);

		for (uint64_t c = 1; c <= WW_PAGE_GUARD; c <<= 1)
			for (int place = 0; place < 3; place++) {
				struct ww_process_query q = of_memory();
				size_t count = 1;
				int r;

				*(uint64_t *[]){&q.required, &q.any_of, &q.returned}[place] = c;
				r = ww_process_scan(ways[way], &q, &range, &count);
				cr_assert_eq(r, known & c ? 0 : -ENOTSUP, "%#lx: %d", c, r);
				cr_assert_eq(q.refused, ~known & c);
			}
	}
}

Test(query, pagemap_tells_these_and_no_others)
{
	uint64_t known = ww_process_categories(ways[1]);
	const uint64_t always = WW_PAGE_FILE | WW_PAGE_PRESENT | WW_PAGE_SWAPPED;

	cr_assert_eq(known & always, always);
	cr_assert_eq(known & (WW_PAGE_WATCHED | WW_PAGE_ZERO | WW_PAGE_HUGE), 0);
	/* The bits of the kernel show either way, or are not there. */
	cr_assert_eq((known ^ ww_process_categories(ways[0])) & WW_PAGE_SOFT_DIRTY, 0);
}

Test(query, what_takes_the_ioctl_is_refused_without_it)
{
	for (uint64_t flags = 1; flags <= 3; flags++) {
		struct ww_process_query q = of_memory();
		size_t count = 1;

		q.flags = flags;
		cr_assert_eq(ww_process_scan(ways[1], &q, &range, &count), -ENOTSUP);
		cr_assert_eq(q.refused, WW_PAGE_WATCHED);
		cr_assert_eq(count, 0);
	}
}

Test(query, the_end_of_the_address_space)
{
	for (int way = 0; way < 2; way++) {
		struct ww_process_query q = of_memory();
		const uint64_t start = (uintptr_t)&q & ~(uint64_t)(page_bytes() - 1);
		uint64_t last = 0;

		/* From this stack on, one range at a time. */
		q.end = 0;
		for (q.start = start; q.start != q.end; q.start = q.next) {
			size_t count = 1;

			cr_assert_eq(ww_process_scan(ways[way], &q, &range, &count), 0);
			if (count == 0)
				break;
			cr_assert(range.start >= last && range.end > range.start);
			if (last == 0)
				cr_assert_eq(range.start, start);
			last = range.end;
		}
		cr_assert_gt(last, start);
		/* Where addresses are not randomized, the stack ends there. */
		cr_assert_geq(q.end, last);
		/* And not a byte more. */
		q.end++;
		cr_assert_eq(ask(way, &q), -EINVAL);
	}
}
