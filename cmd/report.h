/* SPDX-License-Identifier: MIT */
#ifndef WRITEWATCH_REPORT_H
#define WRITEWATCH_REPORT_H

#include "range_set.h"
#include "recording.h"

#define REPORT_WINDOWS 7
#define REPORT_STRAY SIZE_MAX /* the area of pages that no mapping is known for */
#define REPORT_ROUNDS 30      /* of copying while the process runs, before giving up */

/* What was mapped at overlapping addresses with one name, taken together over time. */
struct report_area {
	uint64_t start, end;
	unsigned permissions;
	char *name;
	uint64_t first_ns, last_ns; /* when it was mapped */
	uint64_t page_writes;	    /* a page counts once for each interval */
	uint64_t bytes;		    /* of the different pages that were written */
	uint64_t low, high;	    /* the first of them, and the end of the last */
	struct range_set written;
	uint64_t serial; /* scratch of whoever walks */
};

struct report_window {
	uint64_t length_ns;
	size_t count;
	double median_pages;
	uint64_t max_pages;
};

struct report {
	const char *path;
	FILE *file;
	struct recording_reader *reader;
	const struct recording_header *header;
	struct recording_problem problem;
	bool ended;
	struct recording_end end;
	struct recording_untracked untracked; /* the most mappings there were of that */

	bool collected; /* what follows, up to the intervals, is known */
	uint64_t records;
	/* In order of name, permissions and address; hottest[] has those that were written. */
	struct report_area *areas;
	size_t area_count;
	const struct report_area **hottest;
	size_t hottest_count;

	uint64_t duration_ns;
	uint64_t intervals, incomplete;
	uint64_t page_writes, stray_writes;
	uint64_t bytes;	   /* of the different pages that were written */
	uint64_t resident; /* pages: the most there were; RECORDING_UNKNOWN if any mapping's are */
	double rate_mean, rate_median, rate_max; /* bytes a second; the last two of intervals */
	struct report_window windows[REPORT_WINDOWS];
};

/* Where an area is in the table of mappings that holds at present. */
struct report_place {
	uint64_t start, end;
	size_t area;
};

/* Called in the order of the file; each may be NULL, and ends the walk with a negative value. */
struct report_visitor {
	int (*table)(void *data, const struct recording_table *t, const struct report_place *p);
	/* An interval may come in parts. Pieces of its ranges, each in one area, follow each. */
	int (*ranges)(void *data, const struct recording_interval *part);
	int (*piece)(void *data, const struct recording_interval *part, size_t area,
		     struct recording_range piece);
	int (*interval)(void *data, const struct recording_interval *last_part);
};

/*
 * These return 0, or a negative errno value: -EBADMSG for what is no recording at all. What is
 * wrong behind a good beginning is in r->problem.
 */
int report_open(struct report *r, const char *path);
int report_walk(struct report *r, const struct report_visitor *visitor, void *data);
int report_measure(struct report *r);
void report_close(struct report *r);

/* report_areas.c */
int report_collect_areas(struct report *r);
size_t report_find_area(const struct report *r, const struct recording_mapping *m);

struct report_migration {
	double bandwidth; /* bytes a second */
	double downtime;  /* the limit, in seconds */
	bool from_resident;
	bool converges;
	bool repeated; /* the recording was not long enough, and went on from its beginning */
	unsigned rounds;
	struct report_round {
		uint64_t pages;
		double seconds;
	} round[REPORT_ROUNDS];
	/* What is copied while the process stands still. */
	struct report_round stop;
	unsigned best; /* the round behind which least was left, and how much */
	struct report_round least;
};

int report_migrate(struct report *r, struct report_migration *m);

/* The outputs; a migration may be NULL. They return what report_walk() does. */
int report_print_text(struct report *r, const struct report_migration *m);
int report_print_csv(struct report *r);
int report_print_svg(struct report *r, FILE *to);
/* report_json.c, or report_no_json.c where jansson is missing: -ENOPKG. */
int report_print_json(struct report *r, const struct report_migration *m);

/* report_words.c: into text[], which they return. */
#define REPORT_WORDS 48
const char *report_size(char *text, double bytes);
const char *report_time(char *text, double seconds);
const char *report_count(char *text, uint64_t count);
const char *report_permissions(char *text, unsigned permissions);
/* What to call an area: its own name, or one made in text[]. */
const char *report_name(char *text, const struct report_area *area);
/* How many columns a text takes. */
size_t report_width(const char *text);

#endif
