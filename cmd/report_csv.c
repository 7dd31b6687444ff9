/* SPDX-License-Identifier: MIT */
#include "report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

/* One row for each interval and area that was written in it. */
struct csv {
	struct report *report;
	uint64_t *pages; /* in this interval, of each area; the last is that of none */
	size_t *touched;
	size_t touched_count;
};

static int count_piece(void *data, const struct recording_interval *part, size_t area,
		       struct recording_range piece)
{
	struct csv *csv = data;

	(void)part;
	if (area == REPORT_STRAY)
		area = csv->report->area_count;
	if (csv->pages[area] == 0)
		csv->touched[csv->touched_count++] = area;
	csv->pages[area] += (piece.end - piece.start) / csv->report->header->page_size;
	return 0;
}

static void print_quoted(const char *text)
{
	putchar('"');
	for (; *text; text++) {
		if (*text == '"')
			putchar('"');
		putchar(*text);
	}
	putchar('"');
}

static void print_row(const struct csv *csv, const struct recording_interval *i, size_t number)
{
	const struct report *r = csv->report;
	uint64_t pages = number == REPORT_STRAY ? 0 : csv->pages[number];
	char permissions[REPORT_WORDS];

	printf("%.9f,%.9f,%d,", (double)i->begin_ns / 1e9, (double)i->end_ns / 1e9,
	       i->flags & RECORDING_INCOMPLETE ? 0 : 1);
	if (number < r->area_count) {
		const struct report_area *area = &r->areas[number];

		printf("0x%" PRIx64 ",0x%" PRIx64 ",%s,", area->start, area->end,
		       report_permissions(permissions, area->permissions));
		print_quoted(area->name);
	} else {
		fputs(",,,", stdout);
	}
	printf(",%" PRIu64 ",%" PRIu64 "\n", pages, pages * r->header->page_size);
}

static int print_interval(void *data, const struct recording_interval *i)
{
	struct csv *csv = data;

	if (csv->touched_count == 0)
		print_row(csv, i, REPORT_STRAY);
	for (size_t n = 0; n < csv->touched_count; n++) {
		print_row(csv, i, csv->touched[n]);
		csv->pages[csv->touched[n]] = 0;
	}
	csv->touched_count = 0;
	return 0;
}

int report_print_csv(struct report *r)
{
	static const struct report_visitor visitor = {
	    .piece = count_piece,
	    .interval = print_interval,
	};
	struct csv csv = {
	    .report = r,
	    .pages = calloc(r->area_count + 1, sizeof(*csv.pages)),
	    .touched = calloc(r->area_count + 1, sizeof(*csv.touched)),
	};
	int error = -ENOMEM;

	if (csv.pages && csv.touched) {
		puts("begin_s,end_s,complete,start,end,permissions,name,pages,bytes");
		error = report_walk(r, &visitor, &csv);
	}
	free(csv.pages);
	free(csv.touched);
	return error;
}
