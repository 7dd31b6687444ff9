/* SPDX-License-Identifier: MIT */
#include "sink.h"

static bool limited(const struct sink *sink, enum sink_shape shape)
{
	return sink->shape == shape && sink->list.any;
}

size_t sink_room_pages(const struct sink *sink)
{
	return limited(sink, SINK_PAGES) ? sink->room - sink->count : SIZE_MAX;
}

size_t sink_room_runs(const struct sink *sink)
{
	return limited(sink, SINK_RANGES) ? sink->room - sink->count : SIZE_MAX;
}

bool sink_full(const struct sink *sink)
{
	return sink_room_pages(sink) == 0 || sink_room_runs(sink) == 0;
}

static void put_pages(struct sink *sink, uintptr_t start, uintptr_t end)
{
	size_t n = (end - start) >> sink->page_shift;

	if (sink->list.pages) {
		void **out = sink->list.pages + sink->count;

		if (n > sink->room - sink->count)
			n = sink->room - sink->count;
		for (size_t i = 0; i < n; i++)
			out[i] = (void *)(start + (i << sink->page_shift));
	}
	sink->count += n;
}

static void put_range(struct sink *sink, uintptr_t start, uintptr_t end)
{
	bool joins = sink->count && sink->last_end == start;

	if (!joins && sink_room_runs(sink) == 0)
		return;
	if (!joins)
		sink->count++;
	sink->last_end = end;
	if (!sink->list.ranges)
		return;
	if (!joins)
		sink->list.ranges[sink->count - 1].start = (void *)start;
	sink->list.ranges[sink->count - 1].end = (void *)end;
}

static void set_bits(uint64_t *bits, size_t first, size_t behind)
{
	size_t word = first / 64, last = (behind - 1) / 64;
	uint64_t from = ~UINT64_C(0) << (first % 64);
	uint64_t to = ~UINT64_C(0) >> (63 - (behind - 1) % 64);

	if (word == last) {
		bits[word] |= from & to;
		return;
	}
	bits[word++] |= from;
	while (word < last)
		bits[word++] = ~UINT64_C(0);
	bits[last] |= to;
}

static void put_bits(struct sink *sink, uintptr_t start, uintptr_t end)
{
	size_t first = (start - sink->base) >> sink->page_shift;
	size_t behind = (end - sink->base) >> sink->page_shift;

	if (sink->list.bits)
		set_bits(sink->list.bits, first, behind);
	sink->count += behind - first;
}

void sink_put(struct sink *sink, uintptr_t start, uintptr_t end)
{
	switch (sink->shape) {
	case SINK_NOTHING:
		break;
	case SINK_PAGES:
		put_pages(sink, start, end);
		break;
	case SINK_RANGES:
		put_range(sink, start, end);
		break;
	case SINK_BITMAP:
		put_bits(sink, start, end);
		break;
	}
}
