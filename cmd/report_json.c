/* SPDX-License-Identifier: MIT */
#include "report.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>

/*
 * jansson's functions take null for "could not be made" and steal what they are given; the object
 * as a whole is null then, and that is where it is noticed.
 */

static json_t *number(uint64_t value)
{
	return json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value);
}

static json_t *seconds(uint64_t ns)
{
	return json_real((double)ns / 1e9);
}

/* Programs that take numbers for double precision would change it. */
static json_t *address(uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "0x%" PRIx64, value);
	return json_string(text);
}

static json_t *end(const struct report *r)
{
	static const char *const words[] = {"stopped", "exited", "killed", "ended"};

	if (!r->ended)
		return json_null();
	return json_pack("{s:s, s:o, s:o}", "reason", words[r->end.kind], "status",
			 r->end.kind == RECORDING_EXITED ? number(r->end.value) : json_null(),
			 "signal",
			 r->end.kind == RECORDING_KILLED ? number(r->end.value) : json_null());
}

static json_t *problem(const struct report *r)
{
	if (!r->problem.text[0])
		return json_null();
	return json_pack("{s:b, s:o, s:s}", "truncated", r->problem.truncated, "offset",
			 number(r->problem.offset), "message", r->problem.text);
}

static json_t *untracked(const struct report *r)
{
	const struct recording_untracked *u = &r->untracked;

	if (!u->mappings)
		return json_null();
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "mappings", number(u->mappings), "size",
			 number(u->pages * r->header->page_size), "busy", number(u->busy),
			 "hugetlb", number(u->hugetlb), "read_only", number(u->sealed), "special",
			 number(u->special));
}

static json_t *recording(const struct report *r)
{
	const struct recording_header *h = r->header;

	return json_pack("{s:o, s:s, s:s, s:o, s:o, s:o, s:s, s:o, s:o, s:o}", "pid",
			 number(h->pid), "command", h->command, "kernel", h->release,
			 "start_time_s", seconds(h->wall_clock_ns), "page_size",
			 number(h->page_size), "interval_s", seconds(h->interval_ns), "tracking",
			 h->tracking == RECORDING_EXACT ? "exact" : "soft-dirty", "untracked",
			 untracked(r), "end", end(r), "problem", problem(r));
}

static json_t *windows(const struct report *r)
{
	json_t *array = json_array();

	for (size_t i = 0; i < REPORT_WINDOWS; i++) {
		const struct report_window *w = &r->windows[i];

		if (w->count == 0)
			continue;
		if (json_array_append_new(
			array, json_pack("{s:o, s:o, s:f, s:o}", "window_s", seconds(w->length_ns),
					 "windows", number(w->count), "median_pages",
					 w->median_pages, "max_pages", number(w->max_pages))) < 0) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

static json_t *mapping(const struct report *r, const struct report_area *area)
{
	char permissions[REPORT_WORDS];
	double length = (double)(area->end - area->start);
	double page_size = (double)r->header->page_size;

	report_permissions(permissions, area->permissions);
	return json_pack(
	    "{s:s, s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:f, s:o, s:f}", "name", area->name, "start",
	    address(area->start), "end", address(area->end), "permissions", permissions, "first_s",
	    seconds(area->first_ns), "last_s", seconds(area->last_ns), "size",
	    number(area->end - area->start), "pages", number(area->bytes / r->header->page_size),
	    "share", (double)area->bytes / length, "page_writes", number(area->page_writes),
	    "bytes_per_s",
	    r->duration_ns ? (double)area->page_writes * page_size / ((double)r->duration_ns / 1e9)
			   : 0.0);
}

static json_t *mappings(const struct report *r)
{
	json_t *array = json_array();

	for (size_t i = 0; i < r->hottest_count; i++) {
		if (json_array_append_new(array, mapping(r, r->hottest[i])) < 0) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

static json_t *copy(const struct report_round *round)
{
	return json_pack("{s:o, s:f}", "pages", number(round->pages), "seconds", round->seconds);
}

static json_t *migration(const struct report_migration *m)
{
	json_t *array = json_array();

	if (!m) {
		json_decref(array);
		return json_null();
	}
	for (unsigned i = 0; i < m->rounds; i++) {
		if (json_array_append_new(array, copy(&m->round[i])) < 0) {
			json_decref(array);
			return NULL;
		}
	}
	return json_pack("{s:f, s:f, s:s, s:b, s:b, s:o, s:o, s:i, s:o}", "bytes_per_s",
			 m->bandwidth, "downtime_limit_s", m->downtime, "first_round",
			 m->from_resident ? "resident" : "written", "converges", m->converges,
			 "repeated", m->repeated, "rounds", array, "downtime", copy(&m->stop),
			 "best_rounds", (int)m->best, "best_downtime",
			 m->best ? copy(&m->least) : json_null());
}

int report_print_json(struct report *r, const struct report_migration *m)
{
	json_t *root = json_pack(
	    "{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:{s:f, s:f, s:f}, s:o, s:o, s:o}", "recording",
	    recording(r), "duration_s", seconds(r->duration_ns), "intervals", number(r->intervals),
	    "incomplete_intervals", number(r->incomplete), "page_writes", number(r->page_writes),
	    "stray_page_writes", number(r->stray_writes), "pages",
	    number(r->bytes / r->header->page_size), "bytes_per_s", "mean", r->rate_mean, "median",
	    r->rate_median, "max", r->rate_max, "working_set", windows(r), "mappings", mappings(r),
	    "migration", migration(m));
	int failed;

	if (!root)
		return -ENOMEM;
	failed = json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
	json_decref(root);
	putchar('\n');
	/* What is wrong with the output is told at the end. */
	return failed && !ferror(stdout) ? -ENOMEM : 0;
}
