/* SPDX-License-Identifier: MIT */
#ifndef WRITEWATCH_REPORT_SVG_H
#define WRITEWATCH_REPORT_SVG_H

#include "report.h"

/* All in units of the picture, which are pixels where nothing is scaled. */
#define SVG_COLUMNS 240
#define SVG_COLUMN 3
#define SVG_LEFT 240
#define SVG_PLOT (SVG_COLUMNS * SVG_COLUMN)
#define SVG_WIDTH (SVG_LEFT + SVG_PLOT + 130)
#define SVG_BANDS 24 /* the hottest areas */
#define SVG_LEVELS 7

/* An area, or the part of it that was written if that is small. */
struct svg_band {
	const struct report_area *area;
	uint64_t first_page, pages;
	unsigned rows;
	unsigned height;
	float *cells; /* rows of columns: pages written, summed over the intervals */
};

struct svg {
	struct report *report;
	struct svg_band bands[SVG_BANDS]; /* by address */
	size_t band_count;
	size_t *band_of; /* each area's band and one more, 0 if it has none */
	double intervals[SVG_COLUMNS];
	double bytes[SVG_COLUMNS];
	bool incomplete[SVG_COLUMNS];
	/* How an interval is spread over the columns. */
	size_t first_column, columns;
	double parts[SVG_COLUMNS];
};

/* report_svg_bins.c; both return what report_walk() does. */
int svg_fill(struct svg *svg, struct report *r);
void svg_free(struct svg *svg);
/* 0 if nothing was written, up to SVG_LEVELS. */
unsigned svg_level(const struct svg *svg, const struct svg_band *band, unsigned row, size_t column);
uint64_t svg_row_start(const struct svg_band *band, unsigned row);

/* The highest share of pages, in percent, of each level. */
extern const double svg_limits[SVG_LEVELS];

#endif
