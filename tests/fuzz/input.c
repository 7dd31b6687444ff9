/* SPDX-License-Identifier: MIT */
#include "fuzz.h"

unsigned take(void)
{
	return fz.at < fz.size ? fz.data[fz.at++] : 0;
}

uint64_t take_word(void)
{
	uint64_t word = 0;

	for (int i = 0; i < 8; i++)
		word = word << 8 | take();
	return word;
}

static size_t take_count(struct range piece, size_t first)
{
	unsigned length = take();

	if (length < 128)
		return 1 + length % 16;
	if (length < 208)
		return 1 + (length - 128) * 8;
	return length < 240 ? piece.first + piece.count - first : PAGES - first;
}

/* Near the beginning of a piece or near its end. */
static size_t take_first(struct range piece)
{
	unsigned offset = take();

	if (offset < 128)
		return piece.first + offset % piece.count;
	return piece.first + piece.count - 1 - (offset - 128) % piece.count;
}

/* Most operations meet where another one was. */
struct range take_range(void)
{
	unsigned how = take();
	struct range r = fz.last;

	if (how < 80) {
		struct range piece = piece_number(how % piece_count());

		r = piece;
		if (how < 64) {
			r.first = take_first(piece);
			r.count = take_count(piece, r.first);
		}
	} else if (how < 144) {
		/* The same. */
	} else if (how < 192) {
		r.first += how % 16;
		r.count = 1;
	} else if (how < 224) {
		r.first += how % 4;
		r.count = take_count(piece_of(fz.last.first), fz.last.first);
	} else if (how < 240) {
		r.first += r.count;
		r.count = 1 + how % 16;
	} else {
		r.first -= r.first < how % 16 ? 0 : how % 16;
		r.count += 2 * (how % 16);
	}
	if (r.first >= PAGES)
		r.first = PAGES - 1;
	if (r.count > PAGES - r.first)
		r.count = PAGES - r.first;
	fz.last = r;
	return r;
}

char *take_address(struct range r, size_t *len)
{
	unsigned odd = take();
	size_t front = (odd & 15) * 101, back = (odd >> 4) * 103;

	*len = bytes_of(r.count) - front - back;
	return page_at(r.first) + front;
}
