/* SPDX-License-Identifier: MIT */
#include "report.h"

#include <errno.h>
#include <stdlib.h>

#define SECOND 1000000000ull

struct numbers {
	double *values;
	size_t count, room;
};

/* Windows are made of whole intervals, and end where they are nearest to their length. */
struct window {
	bool possible;
	bool open;
	uint64_t begin_ns;
	struct range_set set;
	struct numbers pages;
};

struct measure {
	struct report *report;
	uint64_t table; /* how many there were */
	size_t *mapped; /* the areas in the last table */
	size_t mapped_count;
	struct window windows[REPORT_WINDOWS];
	struct numbers rates;
	struct range_set written;
	uint64_t interval_pages;
	/* Pieces in one area, until one in another comes. */
	size_t area;
	struct recording_range pieces[512];
	size_t piece_count;
};

static int add_number(struct numbers *n, double value)
{
	if (n->count == n->room) {
		size_t room = n->room * 2 + 256;
		double *larger = realloc(n->values, room * sizeof(*larger));

		if (!larger)
			return -ENOMEM;
		n->values = larger;
		n->room = room;
	}
	n->values[n->count++] = value;
	return 0;
}

static int compare_numbers(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Sorts, and returns the greatest; 0 of none. */
static double greatest(struct numbers *n)
{
	if (n->count == 0)
		return 0;
	qsort(n->values, n->count, sizeof(*n->values), compare_numbers);
	return n->values[n->count - 1];
}

static double median(const struct numbers *sorted)
{
	size_t half = sorted->count / 2;

	if (sorted->count == 0)
		return 0;
	return sorted->count % 2 ? sorted->values[half]
				 : (sorted->values[half - 1] + sorted->values[half]) / 2;
}

/* Areas live from the first table that they are in to the next that they are not in. */
static int measure_table(void *data, const struct recording_table *t, const struct report_place *p)
{
	struct measure *m = data;
	struct report_area *areas = m->report->areas;
	size_t *mapped = calloc(t->count + 1, sizeof(*mapped));

	if (!mapped)
		return -ENOMEM;
	m->table++;
	for (size_t i = 0; i < t->count; i++) {
		struct report_area *area = &areas[p[i].area];

		if (!area->serial)
			area->first_ns = t->time_ns;
		area->serial = m->table;
		area->last_ns = UINT64_MAX;
		mapped[i] = p[i].area;
	}
	for (size_t i = 0; i < m->mapped_count; i++) {
		if (areas[m->mapped[i]].serial < m->table)
			areas[m->mapped[i]].last_ns = t->time_ns;
	}
	free(m->mapped);
	m->mapped = mapped;
	m->mapped_count = t->count;
	return 0;
}

static int measure_ranges(void *data, const struct recording_interval *part)
{
	struct measure *m = data;
	int error = range_set_add(&m->written, part->ranges, part->count);

	for (size_t i = 0; i < REPORT_WINDOWS && !error; i++) {
		struct window *w = &m->windows[i];

		if (!w->possible)
			continue;
		if (!w->open)
			w->begin_ns = part->begin_ns;
		w->open = true;
		error = range_set_add(&w->set, part->ranges, part->count);
	}
	return error;
}

static int flush_pieces(struct measure *m)
{
	int error = 0;

	if (m->piece_count)
		error =
		    range_set_add(&m->report->areas[m->area].written, m->pieces, m->piece_count);
	m->piece_count = 0;
	return error;
}

static void widen(struct report_area *area, struct recording_range piece)
{
	if (area->page_writes == 0 || piece.start < area->low)
		area->low = piece.start;
	if (piece.end > area->high)
		area->high = piece.end;
}

static int measure_piece(void *data, const struct recording_interval *part, size_t area,
			 struct recording_range piece)
{
	struct measure *m = data;
	uint64_t pages = (piece.end - piece.start) / m->report->header->page_size;
	size_t last = m->piece_count;
	int error = 0;

	(void)part;
	m->interval_pages += pages;
	if (area == REPORT_STRAY) {
		m->report->stray_writes += pages;
		return 0;
	}
	widen(&m->report->areas[area], piece);
	m->report->areas[area].page_writes += pages;
	if (last && (area != m->area || last == sizeof(m->pieces) / sizeof(m->pieces[0]) ||
		     piece.start < m->pieces[last - 1].end))
		error = flush_pieces(m);
	m->area = area;
	m->pieces[m->piece_count++] = piece;
	return error;
}

static int close_window(struct window *w, uint64_t page_size)
{
	uint64_t bytes;
	int error = range_set_size(&w->set, &bytes);

	if (!error)
		error = add_number(&w->pages, (double)(bytes / page_size));
	range_set_clear(&w->set);
	w->open = false;
	return error;
}

static int measure_interval(void *data, const struct recording_interval *i)
{
	struct measure *m = data;
	struct report *r = m->report;
	uint64_t length = i->end_ns - i->begin_ns;
	int error = flush_pieces(m);

	r->page_writes += m->interval_pages;
	r->incomplete += i->flags & RECORDING_INCOMPLETE ? 1 : 0;
	if (length && !error)
		error =
		    add_number(&m->rates, (double)m->interval_pages * (double)r->header->page_size /
					      ((double)length / SECOND));
	m->interval_pages = 0;
	for (size_t n = 0; n < REPORT_WINDOWS && !error; n++) {
		struct window *w = &m->windows[n];
		uint64_t tolerance = r->header->interval_ns / 2;

		if (w->possible && i->end_ns - w->begin_ns + tolerance >= r->windows[n].length_ns)
			error = close_window(w, r->header->page_size);
	}
	return error;
}

static int compare_heat(const void *a, const void *b)
{
	const struct report_area *const *x = a, *const *y = b;

	if ((*x)->page_writes != (*y)->page_writes)
		return (*x)->page_writes < (*y)->page_writes ? 1 : -1;
	return ((*x)->start > (*y)->start) - ((*x)->start < (*y)->start);
}

static int finish_areas(struct report *r)
{
	int error = 0;

	r->hottest = calloc(r->area_count + 1, sizeof(const struct report_area *));
	if (!r->hottest)
		return -ENOMEM;
	for (size_t i = 0; i < r->area_count && !error; i++) {
		struct report_area *area = &r->areas[i];

		if (area->last_ns > r->duration_ns)
			area->last_ns = r->duration_ns;
		error = range_set_size(&area->written, &area->bytes);
		range_set_clear(&area->written);
		area->serial = 0;
		if (area->page_writes)
			r->hottest[r->hottest_count++] = area;
	}
	qsort(r->hottest, r->hottest_count, sizeof(*r->hottest), compare_heat);
	return error;
}

static int finish(struct measure *m)
{
	struct report *r = m->report;
	int error = range_set_size(&m->written, &r->bytes);

	r->rate_max = greatest(&m->rates);
	r->rate_median = median(&m->rates);
	if (r->duration_ns)
		r->rate_mean = (double)r->page_writes * (double)r->header->page_size /
			       ((double)r->duration_ns / SECOND);
	for (size_t i = 0; i < REPORT_WINDOWS; i++) {
		r->windows[i].count = m->windows[i].pages.count;
		r->windows[i].max_pages = (uint64_t)greatest(&m->windows[i].pages);
		r->windows[i].median_pages = median(&m->windows[i].pages);
	}
	return error ? error : finish_areas(r);
}

int report_measure(struct report *r)
{
	static const uint64_t lengths[REPORT_WINDOWS] = {
	    SECOND / 10, SECOND / 2, SECOND, 5 * SECOND, 10 * SECOND, 30 * SECOND, 60 * SECOND};
	static const struct report_visitor visitor = {
	    measure_table,
	    measure_ranges,
	    measure_piece,
	    measure_interval,
	};
	struct measure m = {.report = r};
	int error;

	for (size_t i = 0; i < REPORT_WINDOWS; i++) {
		r->windows[i].length_ns = lengths[i];
		m.windows[i].possible = r->header->interval_ns <= lengths[i];
	}
	error = report_walk(r, &visitor, &m);
	if (!error)
		error = finish(&m);
	for (size_t i = 0; i < REPORT_WINDOWS; i++) {
		range_set_clear(&m.windows[i].set);
		free(m.windows[i].pages.values);
	}
	range_set_clear(&m.written);
	free(m.rates.values);
	free(m.mapped);
	return error;
}
