/* SPDX-License-Identifier: MIT */
#include "report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct walk {
	struct report *report;
	const struct report_visitor *visitor;
	void *data;
	bool collecting; /* for the first time, when no areas are known */
	struct report_place *places;
	size_t place_count;
	uint64_t records;
	struct recording_interval open; /* of which more was to come */
};

static int walk_table(struct walk *w, const struct recording_table *t)
{
	struct report_place *places = NULL;

	if (!w->collecting) {
		places = calloc(t->count + 1, sizeof(*places));
		if (!places)
			return -ENOMEM;
		for (size_t i = 0; i < t->count; i++) {
			const struct recording_mapping *m = &t->mappings[i];

			places[i] =
			    (struct report_place){m->start, m->end, report_find_area(w->report, m)};
		}
		free(w->places);
		w->places = places;
		w->place_count = t->count;
	}
	return w->visitor->table ? w->visitor->table(w->data, t, places) : 0;
}

static int walk_pieces(struct walk *w, const struct recording_interval *part)
{
	size_t at = 0;
	int error = 0;

	for (size_t i = 0; i < part->count; i++) {
		struct recording_range rest = part->ranges[i];

		while (!error && rest.start < rest.end) {
			struct recording_range piece = rest;
			size_t area = REPORT_STRAY;

			while (at < w->place_count && w->places[at].end <= rest.start)
				at++;
			if (at < w->place_count && w->places[at].start <= rest.start) {
				area = w->places[at].area;
				if (w->places[at].end < piece.end)
					piece.end = w->places[at].end;
			} else if (at < w->place_count && w->places[at].start < piece.end) {
				piece.end = w->places[at].start;
			}
			error = w->visitor->piece(w->data, part, area, piece);
			rest.start = piece.end;
		}
	}
	return error;
}

static int walk_interval(struct walk *w, const struct recording_interval *part)
{
	int error = 0;

	w->open = *part;
	if (w->visitor->ranges)
		error = w->visitor->ranges(w->data, part);
	if (!error && w->visitor->piece)
		error = walk_pieces(w, part);
	if (error || part->flags & RECORDING_MORE)
		return error;
	return w->visitor->interval ? w->visitor->interval(w->data, part) : 0;
}

/* The rest of an interval is missing: what there is of it was written all the same. */
static int end_open_interval(struct walk *w)
{
	if (!(w->open.flags & RECORDING_MORE))
		return 0;
	w->open.flags = RECORDING_INCOMPLETE;
	w->open.count = 0;
	return walk_interval(w, &w->open);
}

/* Of a file that is still being written, what was not there the first time is left out. */
static int next_record(struct walk *w, struct recording_record *record)
{
	int got = 0;

	if (w->collecting || w->records < w->report->records)
		got = recording_read(w->report->reader, record);
	w->records += got == 1;
	return got;
}

static int walk_records(struct walk *w)
{
	struct recording_record record;
	int error;

	while ((error = next_record(w, &record)) == 1) {
		if (record.type == RECORDING_MAPPINGS) {
			error = walk_table(w, &record.table);
		} else if (record.type == RECORDING_INTERVAL) {
			error = walk_interval(w, &record.interval);
		} else if (record.type == RECORDING_UNTRACKED) {
			if (record.untracked.mappings > w->report->untracked.mappings)
				w->report->untracked = record.untracked;
		} else if (w->collecting) {
			w->report->ended = true;
			w->report->end = record.end;
		}
		if (error < 0)
			return error;
	}
	if (w->collecting) {
		w->report->records = w->records;
		w->report->problem = *recording_problem(w->report->reader);
	}
	if (error < 0 && error != -EBADMSG)
		return error;
	return end_open_interval(w);
}

int report_walk(struct report *r, const struct report_visitor *visitor, void *data)
{
	struct walk w = {
	    .report = r, .visitor = visitor, .data = data, .collecting = !r->collected};
	int error = recording_rewind(r->reader);

	if (!error)
		error = walk_records(&w);
	free(w.places);
	return error;
}

/* A recording is read more than once, which a pipe cannot be: replaces that by a copy. */
static int make_seekable(FILE **file)
{
	char bytes[1 << 14];
	size_t count;
	FILE *copy;

	if (fseeko(*file, 0, SEEK_CUR) == 0)
		return 0;
	copy = tmpfile();
	if (!copy)
		return -errno;
	while ((count = fread(bytes, 1, sizeof(bytes), *file)) > 0 &&
	       fwrite(bytes, 1, count, copy) == count)
		continue;
	if (ferror(*file) || ferror(copy) || fflush(copy) != 0) {
		int error = errno ? errno : EIO;

		fclose(copy);
		return -error;
	}
	rewind(copy);
	fclose(*file);
	*file = copy;
	return 0;
}

int report_open(struct report *r, const char *path)
{
	bool standard = strcmp(path, "-") == 0;
	int error;

	*r = (struct report){
	    .path = standard ? "the standard input" : path,
	    .file = standard ? fdopen(dup(STDIN_FILENO), "r") : fopen(path, "re"),
	};
	if (!r->file)
		return -errno;
	error = make_seekable(&r->file);
	if (error < 0)
		return error;
	error = recording_open(&r->reader, r->file, &r->problem);
	if (error < 0)
		return error;
	r->header = recording_header(r->reader);
	error = report_collect_areas(r);
	r->collected = true;
	return error;
}

void report_close(struct report *r)
{
	for (size_t i = 0; i < r->area_count; i++) {
		range_set_clear(&r->areas[i].written);
		free(r->areas[i].name);
	}
	free(r->areas);
	free(r->hottest);
	recording_free(r->reader);
	if (r->file)
		fclose(r->file);
}
