/* SPDX-License-Identifier: MIT */
#include "report_svg.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#define MOST_HEIGHT 900 /* of all bands */
#define LEAST_BAND 30	/* two lines of text */
#define ROW 3

const double svg_limits[SVG_LEVELS] = {0.1, 0.3, 1, 3, 10, 30, 100};

static int compare_bands(const void *a, const void *b)
{
	const struct svg_band *x = a, *y = b;

	return (x->area->start > y->area->start) - (x->area->start < y->area->start);
}

/* Higher where there are more pages, but not in proportion: a stack should be seen next to a heap.
 */
static void set_heights(struct svg *svg)
{
	double wanted[SVG_BANDS], sum = 0, scale = 1;

	for (size_t i = 0; i < svg->band_count; i++) {
		wanted[i] = 9 * log2((double)svg->bands[i].pages) - 30;
		wanted[i] = fmax(wanted[i], LEAST_BAND);
		sum += wanted[i] - LEAST_BAND;
	}
	if (sum > MOST_HEIGHT - LEAST_BAND * (double)svg->band_count)
		scale = fmax(0, MOST_HEIGHT - LEAST_BAND * (double)svg->band_count) / sum;
	for (size_t i = 0; i < svg->band_count; i++) {
		struct svg_band *band = &svg->bands[i];
		double height = LEAST_BAND + scale * (wanted[i] - LEAST_BAND);

		band->height = (unsigned)(height / ROW) * ROW;
		band->rows = band->height / ROW;
		if (band->pages < band->rows)
			band->rows = (unsigned)band->pages;
	}
}

/* Most of a reserved range is often never written. */
static void crop(struct svg_band *band, uint64_t page_size)
{
	const struct report_area *area = band->area;
	uint64_t start = area->start, end = area->end;

	if ((area->high - area->low) < (end - start) / 4) {
		start = area->low;
		end = area->high;
	}
	band->first_page = start / page_size;
	band->pages = (end - start) / page_size;
}

static int make_bands(struct svg *svg)
{
	struct report *r = svg->report;

	svg->band_of = calloc(r->area_count + 1, sizeof(*svg->band_of));
	if (!svg->band_of)
		return -ENOMEM;
	for (size_t i = 0; i < r->hottest_count && i < SVG_BANDS; i++) {
		svg->bands[i].area = r->hottest[i];
		crop(&svg->bands[i], r->header->page_size);
		svg->band_count++;
	}
	set_heights(svg);
	qsort(svg->bands, svg->band_count, sizeof(svg->bands[0]), compare_bands);
	for (size_t i = 0; i < svg->band_count; i++) {
		struct svg_band *band = &svg->bands[i];

		band->cells = calloc((size_t)band->rows * SVG_COLUMNS, sizeof(*band->cells));
		if (!band->cells)
			return -ENOMEM;
		svg->band_of[band->area - r->areas] = i + 1;
	}
	return 0;
}

static int spread(void *data, const struct recording_interval *part)
{
	struct svg *svg = data;
	double width = (double)svg->report->duration_ns / SVG_COLUMNS;
	double begin = width > 0 ? (double)part->begin_ns / width : 0;
	double end = width > 0 ? (double)part->end_ns / width : 0;
	size_t last = (size_t)fmin(ceil(end), SVG_COLUMNS);

	svg->first_column = (size_t)fmin(begin, SVG_COLUMNS - 1);
	svg->columns = last > svg->first_column ? last - svg->first_column : 1;
	for (size_t i = 0; i < svg->columns; i++) {
		double column = (double)(svg->first_column + i);
		double overlap = fmin(end, column + 1) - fmax(begin, column);

		svg->parts[i] = end > begin ? fmax(overlap, 0) / (end - begin) : 1;
	}
	return 0;
}

uint64_t svg_row_start(const struct svg_band *band, unsigned row)
{
	/* The remainder apart, so that nothing overflows. */
	return band->pages / band->rows * row + band->pages % band->rows * row / band->rows;
}

static unsigned row_of(const struct svg_band *band, uint64_t page)
{
	unsigned low = 0, high = band->rows;

	while (low + 1 < high) {
		unsigned middle = (low + high) / 2;

		if (svg_row_start(band, middle) <= page)
			low = middle;
		else
			high = middle;
	}
	return low;
}

static void fill_band(struct svg *svg, struct svg_band *band, uint64_t from, uint64_t to)
{
	for (unsigned row = row_of(band, from); from < to; row++) {
		uint64_t row_end = svg_row_start(band, row + 1);
		uint64_t end = to < row_end ? to : row_end;
		float *cells = band->cells + (size_t)row * SVG_COLUMNS + svg->first_column;

		for (size_t i = 0; i < svg->columns; i++)
			cells[i] += (float)((double)(end - from) * svg->parts[i]);
		from = end;
	}
}

static int fill_piece(void *data, const struct recording_interval *part, size_t area,
		      struct recording_range piece)
{
	struct svg *svg = data;
	uint64_t page_size = svg->report->header->page_size;
	size_t band = area == REPORT_STRAY ? 0 : svg->band_of[area];

	(void)part;
	for (size_t i = 0; i < svg->columns; i++)
		svg->bytes[svg->first_column + i] +=
		    (double)(piece.end - piece.start) * svg->parts[i];
	if (band)
		fill_band(svg, &svg->bands[band - 1],
			  piece.start / page_size - svg->bands[band - 1].first_page,
			  piece.end / page_size - svg->bands[band - 1].first_page);
	return 0;
}

static int fill_interval(void *data, const struct recording_interval *i)
{
	struct svg *svg = data;

	for (size_t n = 0; n < svg->columns; n++) {
		svg->intervals[svg->first_column + n] += svg->parts[n];
		if (i->flags & RECORDING_INCOMPLETE && svg->parts[n] > 0)
			svg->incomplete[svg->first_column + n] = true;
	}
	return 0;
}

int svg_fill(struct svg *svg, struct report *r)
{
	static const struct report_visitor visitor = {
	    .ranges = spread,
	    .piece = fill_piece,
	    .interval = fill_interval,
	};
	int error;

	*svg = (struct svg){.report = r};
	error = make_bands(svg);
	return error ? error : report_walk(r, &visitor, svg);
}

void svg_free(struct svg *svg)
{
	for (size_t i = 0; i < svg->band_count; i++)
		free(svg->bands[i].cells);
	free(svg->band_of);
}

unsigned svg_level(const struct svg *svg, const struct svg_band *band, unsigned row, size_t column)
{
	double pages = band->cells[(size_t)row * SVG_COLUMNS + column];
	double all = (double)(svg_row_start(band, row + 1) - svg_row_start(band, row));
	unsigned level = 1;

	if (pages <= 0)
		return 0;
	/* The tolerance is for what adding has rounded. */
	while (level < SVG_LEVELS &&
	       pages * 100 > svg_limits[level - 1] * 1.0001 * all * svg->intervals[column])
		level++;
	return level;
}
