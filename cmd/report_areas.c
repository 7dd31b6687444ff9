/* SPDX-License-Identifier: MIT */
#include "report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SLACK 1024

struct collector {
	struct report *report;
	size_t room;
	size_t sorted; /* of the report's areas */
};

static int compare_keys(const char *name, unsigned permissions, const struct report_area *area)
{
	int order = strcmp(name, area->name);

	if (order)
		return order;
	return (permissions > area->permissions) - (permissions < area->permissions);
}

static int compare_areas(const void *a, const void *b)
{
	const struct report_area *x = a, *y = b;
	int order = compare_keys(x->name, x->permissions, y);

	return order ? order : (x->start > y->start) - (x->start < y->start);
}

/* The area that a mapping begins in, among the first ones; REPORT_STRAY if there is none. */
static size_t find(const struct report *r, size_t count, const struct recording_mapping *m)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct report_area *area = &r->areas[middle];
		int order = compare_keys(m->name, m->permissions, area);

		if (order > 0 || (order == 0 && m->start >= area->start))
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0 || compare_keys(m->name, m->permissions, &r->areas[low - 1]) != 0 ||
	    m->start >= r->areas[low - 1].end)
		return REPORT_STRAY;
	return low - 1;
}

size_t report_find_area(const struct report *r, const struct recording_mapping *m)
{
	return find(r, r->area_count, m);
}

/* Makes one of those that overlap. */
static void sort_areas(struct collector *c)
{
	struct report_area *areas = c->report->areas;
	size_t to = 0;

	if (c->report->area_count)
		qsort(areas, c->report->area_count, sizeof(*areas), compare_areas);
	for (size_t i = 0; i < c->report->area_count; i++) {
		struct report_area *last = to ? &areas[to - 1] : NULL;

		if (last && areas[i].start < last->end &&
		    compare_keys(areas[i].name, areas[i].permissions, last) == 0) {
			if (areas[i].end > last->end)
				last->end = areas[i].end;
			free(areas[i].name);
		} else {
			areas[to++] = areas[i];
		}
	}
	c->report->area_count = c->sorted = to;
}

static int add_area(struct collector *c, const struct recording_mapping *m)
{
	struct report *r = c->report;
	struct report_area area = {.start = m->start, .end = m->end, .permissions = m->permissions};

	if (r->area_count == c->room) {
		size_t room = c->room * 2 + SLACK;
		struct report_area *larger = realloc(r->areas, room * sizeof(*larger));

		if (!larger)
			return -ENOMEM;
		r->areas = larger;
		c->room = room;
	}
	area.name = strdup(m->name);
	if (!area.name)
		return -ENOMEM;
	r->areas[r->area_count++] = area;
	return 0;
}

static int collect_table(void *data, const struct recording_table *t, const struct report_place *p)
{
	struct collector *c = data;
	struct report *r = c->report;
	uint64_t resident = 0;

	(void)p;
	for (size_t i = 0; i < t->count; i++) {
		const struct recording_mapping *m = &t->mappings[i];
		size_t found = find(r, c->sorted, m);

		if (m->resident == RECORDING_UNKNOWN || resident == RECORDING_UNKNOWN)
			resident = RECORDING_UNKNOWN;
		else
			resident += m->resident;
		if ((found == REPORT_STRAY || m->end > r->areas[found].end) && add_area(c, m) < 0)
			return -ENOMEM;
	}
	/* The unknown is the largest number. */
	if (t->count && resident > r->resident)
		r->resident = resident;
	/* Rarely, so that many tables do not cost as many sorts. */
	if (r->area_count > c->sorted + c->sorted / 2 + SLACK)
		sort_areas(c);
	return 0;
}

static int count_interval(void *data, const struct recording_interval *i)
{
	struct collector *c = data;

	c->report->intervals++;
	c->report->duration_ns = i->end_ns;
	return 0;
}

int report_collect_areas(struct report *r)
{
	static const struct report_visitor visitor = {
	    .table = collect_table,
	    .interval = count_interval,
	};
	struct collector c = {.report = r};
	int error = report_walk(r, &visitor, &c);

	sort_areas(&c);
	return error;
}
