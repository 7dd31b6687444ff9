/* SPDX-License-Identifier: MIT */
#include "report.h"

#include <math.h>

/*
 * Plays the copying of a running process over the recording, from its beginning: each round copies
 * what was written during the one before. Times are in nanoseconds since the recording began, or
 * began anew when it was over.
 */
struct copier {
	struct report *report;
	struct report_migration *m;
	bool done;
	double begin, end; /* of the round; the first may be negative */
	bool everything;   /* a round was longer than the recording: all that it has was written */
	struct range_set written;  /* in the round so far */
	struct range_set interval; /* in the interval so far */
};

static void begin_round(struct copier *c, uint64_t pages)
{
	struct report_migration *m = c->m;
	struct report_round round = {pages, 0};

	round.seconds = (double)pages * (double)c->report->header->page_size / m->bandwidth;
	if (m->rounds && (m->best == 0 || pages < m->least.pages)) {
		m->best = m->rounds;
		m->least = round;
	}
	if (round.seconds <= m->downtime || m->rounds == REPORT_ROUNDS) {
		m->converges = round.seconds <= m->downtime;
		m->stop = round;
		c->done = true;
		return;
	}
	m->round[m->rounds++] = round;
	c->begin = c->end;
	c->end += round.seconds * 1e9;
}

static int end_round(struct copier *c)
{
	uint64_t bytes;
	int error = range_set_size(&c->written, &bytes);

	if (c->everything)
		bytes = c->report->bytes;
	c->everything = false;
	range_set_clear(&c->written);
	if (!error)
		begin_round(c, bytes / c->report->header->page_size);
	return error;
}

static int add_part(void *data, const struct recording_interval *part)
{
	struct copier *c = data;

	return c->done ? 0 : range_set_add(&c->interval, part->ranges, part->count);
}

/* What overlaps with a round counts for it as a whole: nobody knows when in it pages were written.
 */
static int add_interval(void *data, const struct recording_interval *i)
{
	struct copier *c = data;
	double begin = (double)i->begin_ns, end = (double)i->end_ns;
	const struct range_run *run = &c->interval.runs[0];
	uint64_t bytes;
	int error = range_set_size(&c->interval, &bytes);

	while (!error && !c->done && begin >= c->end)
		error = end_round(c);
	while (!error && !c->done && end > c->begin) {
		if (c->interval.depth)
			error = range_set_add(&c->written, run->ranges, run->count);
		if (error || end < c->end)
			break;
		error = end_round(c);
	}
	range_set_clear(&c->interval);
	return error;
}

/* Goes on from the beginning, as far into the recording as the round still lasts. */
static void repeat(struct copier *c)
{
	double duration = (double)c->report->duration_ns;

	c->m->repeated = true;
	c->begin -= duration;
	c->end -= duration;
	if (c->end >= duration) {
		c->everything = true;
		c->begin = -duration;
		c->end = fmod(c->end, duration);
	}
}

int report_migrate(struct report *r, struct report_migration *m)
{
	static const struct report_visitor visitor = {.ranges = add_part, .interval = add_interval};
	struct copier c = {.report = r, .m = m};
	uint64_t pages = r->bytes / r->header->page_size;
	int error = 0;

	/* Mappings that cannot be written are resident, too, and have to be copied. */
	m->from_resident = r->resident != RECORDING_UNKNOWN && r->resident > pages;
	begin_round(&c, m->from_resident ? r->resident : pages);
	while (!error && !c.done && r->duration_ns) {
		error = report_walk(r, &visitor, &c);
		if (!error && !c.done)
			repeat(&c);
	}
	if (!error && !c.done)
		begin_round(&c, 0);
	range_set_clear(&c.written);
	range_set_clear(&c.interval);
	return error;
}
