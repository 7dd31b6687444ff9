/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>

#include "leaks.h"
#include "sink.h"

#define PAGE 0x1000u

TestSuite(sink, .init = leaks_begin, .fini = leaks_end);

static void put(struct sink *sink, uintptr_t first, uintptr_t behind)
{
	struct wwk_page_region region = {first * PAGE, behind * PAGE, 0};
	long pages = sink_put(sink, &region, 1, 0, UINTPTR_MAX);

	cr_assert_eq(pages, (long)(behind - first));
}

Test(sink, pages_never_exceed_the_room)
{
	void *pages[4] = {NULL, NULL, NULL, (void *)1};
	struct sink sink = {.shape = SINK_PAGES, .list.pages = pages, .room = 3, .page_shift = 12};

	put(&sink, 5, 7);
	cr_assert_eq(sink_room_pages(&sink), 1);
	put(&sink, 9, 12);
	cr_assert(sink_full(&sink));
	cr_assert_eq(sink.count, 3);
	cr_assert(pages[0] == (void *)0x5000 && pages[1] == (void *)0x6000 &&
		  pages[2] == (void *)0x9000 && pages[3] == (void *)1);
}

Test(sink, ranges_that_touch_are_joined)
{
	struct ww_range ranges[2];
	struct sink sink = {.shape = SINK_RANGES, .list.ranges = ranges, .room = 2,
			    .page_shift = 12};

	put(&sink, 1, 3);
	put(&sink, 3, 4);
	put(&sink, 6, 7);
	cr_assert(sink_full(&sink));
	put(&sink, 9, 10);
	cr_assert_eq(sink.count, 2);
	cr_assert(ranges[0].start == (void *)0x1000 && ranges[0].end == (void *)0x4000);
	cr_assert(ranges[1].start == (void *)0x6000 && ranges[1].end == (void *)0x7000);
}

Test(sink, counting_needs_no_list)
{
	struct sink pages = {.shape = SINK_PAGES, .page_shift = 12};
	struct sink ranges = {.shape = SINK_RANGES, .page_shift = 12};

	put(&pages, 1, 100);
	put(&ranges, 1, 3);
	put(&ranges, 3, 9);
	put(&ranges, 10, 11);
	cr_assert(!sink_full(&pages) && !sink_full(&ranges));
	cr_assert(pages.count == 99 && ranges.count == 2);
}

Test(sink, bitmaps_set_exactly_the_bits)
{
	for (size_t first = 0; first < 130; first += 7) {
		for (size_t behind = first + 1; behind <= 192; behind += 3) {
			uint64_t bits[3] = {0};
			struct sink sink = {.shape = SINK_BITMAP, .list.bits = bits, .room = 3,
					    .base = 7 * PAGE, .page_shift = 12};

			put(&sink, 7 + first, 7 + behind);
			cr_assert_eq(sink.count, behind - first);
			for (size_t i = 0; i < 192; i++)
				cr_assert((bits[i / 64] >> i % 64 & 1) == (i >= first && i < behind),
					  "bit %zu for [%zu, %zu)", i, first, behind);
		}
	}
}
