/* SPDX-License-Identifier: MIT */
#include "recording_bytes.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PAGE_SIZE (1u << 30)

static int check_rest(struct recording_reader *r)
{
	if (!r->problem.text[0] && r->at < r->end)
		recording_refuse_here(r, "a record is longer than its contents");
	return r->problem.text[0] ? -EBADMSG : 1;
}

/* Returns how many entries follow; none that there is no room for in the record. */
static size_t get_count(struct recording_reader *r, size_t max, size_t least, size_t size)
{
	uint64_t count = recording_number(r);

	if (count > max || count > (size_t)(r->end - r->at) / least) {
		recording_refuse_here(
		    r, "a record has fewer entries than it says, or more than can be");
		count = 0;
	}
	free(r->entries);
	r->entries = calloc(count ? count : 1, size);
	return count;
}

/* Pages behind *last, as a range of addresses; the end goes to *last. */
static struct recording_range get_range(struct recording_reader *r, uint64_t *last, uint64_t extra)
{
	uint64_t size = r->header.page_size, limit = UINT64_MAX / size - *last / size;
	uint64_t gap = recording_number(r), pages = recording_number(r);
	struct recording_range range = {*last, *last};

	if (gap > limit || pages > limit - gap || extra > limit - gap - pages)
		recording_refuse_here(r, "a range ends behind the last address there can be");
	else if (pages + extra == 0 && !r->problem.text[0])
		recording_refuse_here(r, "a range is empty");
	if (!r->problem.text[0]) {
		range.start += gap * size;
		range.end = range.start + (pages + extra) * size;
	}
	*last = range.end;
	return range;
}

static uint64_t get_time(struct recording_reader *r)
{
	uint64_t time = recording_number(r);

	if (time > INT64_MAX)
		recording_refuse_here(r, "a time is later than can be");
	return time;
}

static int read_table(struct recording_reader *r, struct recording_table *t)
{
	struct recording_mapping *mappings;
	uint64_t last = 0;
	const char *name = NULL;

	t->time_ns = get_time(r);
	t->count = get_count(r, RECORDING_MAX_MAPPINGS, 4, sizeof(*mappings));
	t->mappings = mappings = r->entries;
	if (!mappings)
		return -ENOMEM;
	for (size_t i = 0; i < t->count && !r->problem.text[0]; i++) {
		struct recording_range range = get_range(r, &last, 0);
		uint64_t permissions = recording_number(r), resident = recording_number(r);

		if (!(permissions & RECORDING_SAME_NAME))
			name = recording_text(r);
		if (!name || permissions >= 2 * RECORDING_SAME_NAME)
			recording_refuse_here(r, "a mapping has no name, or unknown permissions");
		mappings[i] = (struct recording_mapping){
		    range.start, range.end, (unsigned)permissions & (RECORDING_SAME_NAME - 1),
		    resident ? resident - 1 : RECORDING_UNKNOWN, name};
		if (resident > (range.end - range.start) / r->header.page_size + 1)
			recording_refuse_here(r, "a mapping has more resident pages than pages");
	}
	return check_rest(r);
}

static void check_order(struct recording_reader *r, const struct recording_interval *i)
{
	if (r->more && (i->begin_ns != r->begin_ns || i->end_ns != r->end_ns))
		recording_refuse_here(r, "an interval is not continued by the record behind it");
	else if (!r->more && i->begin_ns < r->end_ns)
		recording_refuse_here(r, "an interval begins before the one before it ended");
}

static int read_interval(struct recording_reader *r, struct recording_interval *i)
{
	struct recording_range *ranges;
	uint64_t length, last = 0, flags;

	i->end_ns = get_time(r);
	length = recording_number(r);
	if (length > i->end_ns)
		recording_refuse_here(r, "an interval begins before the recording");
	i->begin_ns = i->end_ns - length;
	check_order(r, i);
	flags = recording_number(r);
	if (flags & ~(uint64_t)(RECORDING_INCOMPLETE | RECORDING_MORE))
		recording_refuse_here(r, "an interval has unknown flags");
	i->flags = (unsigned)flags;
	i->count = get_count(r, RECORDING_MAX_RANGES, 2, sizeof(*ranges));
	i->ranges = ranges = r->entries;
	if (!ranges)
		return -ENOMEM;
	for (size_t n = 0; n < i->count && !r->problem.text[0]; n++) {
		ranges[n] = get_range(r, &last, 1);
		r->pages += (ranges[n].end - ranges[n].start) / r->header.page_size;
		/* So nobody's sums wrap, in pages or in bytes. */
		if (r->pages > INT64_MAX / r->header.page_size)
			recording_refuse_here(r, "more pages were written than can be, in all");
	}
	if (r->more && i->count && ranges[0].start < r->last_address)
		recording_refuse_here(r, "the ranges of an interval are not in order");
	r->last_address = last;
	r->more = flags & RECORDING_MORE;
	r->intervals += !r->more;
	r->begin_ns = i->begin_ns;
	r->end_ns = i->end_ns;
	return check_rest(r);
}

static int read_untracked(struct recording_reader *r, struct recording_untracked *u)
{
	u->time_ns = get_time(r);
	u->mappings = recording_number(r);
	u->pages = recording_number(r);
	if (u->pages > INT64_MAX / r->header.page_size)
		recording_refuse_here(r, "more pages are not tracked than can be");
	u->busy = recording_number(r);
	u->hugetlb = recording_number(r);
	u->sealed = recording_number(r);
	u->special = recording_number(r);
	return check_rest(r);
}

static int read_end(struct recording_reader *r, struct recording_end *e)
{
	uint64_t kind, value;

	e->time_ns = get_time(r);
	kind = recording_number(r);
	value = recording_number(r);
	if (kind > (r->version < 2 ? RECORDING_KILLED : RECORDING_ENDED) || value > INT32_MAX)
		recording_refuse_here(r, "the process ended in an unknown way");
	e->kind = (enum recording_end_kind)kind;
	e->value = (unsigned)value;
	e->intervals = recording_number(r);
	e->pages = recording_number(r);
	if (!r->problem.text[0] && (e->intervals != r->intervals || e->pages != r->pages))
		recording_refuse(r, r->offset,
				 "the sums at the end are not those of the records before");
	r->ended = true;
	return check_rest(r);
}

static int read_known(struct recording_reader *r, uint32_t type, struct recording_record *record)
{
	record->type = (enum recording_type)type;
	if (r->ended)
		return recording_refuse_here(r, "a record behind the end");
	if (r->more && type != RECORDING_INTERVAL)
		return recording_refuse_here(
		    r, "an interval is not continued by the record behind it");
	if (type == RECORDING_UNTRACKED && r->version < 2)
		type = 0;
	switch (type) {
	case RECORDING_UNTRACKED:
		return read_untracked(r, &record->untracked);
	case RECORDING_MAPPINGS:
		return read_table(r, &record->table);
	case RECORDING_INTERVAL:
		return read_interval(r, &record->interval);
	case RECORDING_END:
		return read_end(r, &record->end);
	default:
		return recording_refuse_here(r, "a record of an unknown type");
	}
}

int recording_read(struct recording_reader *r, struct recording_record *record)
{
	uint32_t type;
	int error;

	if (r->problem.text[0])
		return r->problem.truncated ? 0 : -EBADMSG;
	error = recording_next(r, &type);
	if (error == 1)
		return read_known(r, type, record);
	if (error == 0 && !r->ended)
		recording_truncated(r, "the recording, before its end record");
	return error;
}

static int read_start(struct recording_reader *r)
{
	struct recording_header *h = &r->header;
	uint64_t tracking;

	h->page_size = recording_number(r);
	h->interval_ns = get_time(r);
	h->wall_clock_ns = get_time(r);
	h->pid = recording_number(r);
	tracking = recording_number(r);
	h->tracking = (enum recording_tracking)tracking;
	h->command = recording_text(r);
	h->release = recording_text(r);
	if (h->page_size < 512 || h->page_size > MAX_PAGE_SIZE || h->page_size & (h->page_size - 1))
		recording_refuse(r, RECORDING_PREAMBLE, "pages of %" PRIu64 " bytes", h->page_size);
	if (tracking != RECORDING_EXACT && tracking != RECORDING_SOFT_DIRTY)
		recording_refuse(r, RECORDING_PREAMBLE, "an unknown way of tracking");
	return check_rest(r);
}

static int read_preamble(struct recording_reader *r)
{
	unsigned char preamble[RECORDING_PREAMBLE];
	size_t n = fread(preamble, 1, sizeof(preamble), r->file);
	size_t checked = n < sizeof(recording_magic) ? n : sizeof(recording_magic);

	if (ferror(r->file))
		return errno ? -errno : -EIO;
	if (n == 0 || memcmp(preamble, recording_magic, checked) != 0)
		return recording_refuse(r, 0, "not a recording of writewatch");
	if (n < sizeof(preamble))
		return recording_refuse(r, n, "the file ends within its head");
	r->version = recording_get32(preamble + sizeof(recording_magic));
	if (r->version < 1 || r->version > RECORDING_VERSION)
		return recording_refuse(r, sizeof(recording_magic),
					"version %" PRIu32
					" of the format, which this program does not know",
					r->version);
	r->offset = sizeof(preamble);
	return 0;
}

int recording_open(struct recording_reader **out, FILE *file, struct recording_problem *problem)
{
	struct recording_reader *r = calloc(1, sizeof(*r));
	uint32_t type;
	int error;

	*problem = (struct recording_problem){0};
	if (!r)
		return -ENOMEM;
	r->file = file;
	error = read_preamble(r);
	if (!error)
		error = recording_next(r, &type);
	if (error == 0 && !r->problem.text[0])
		recording_truncated(r, "its head");
	if (error == 1 && type != RECORDING_START)
		error =
		    recording_refuse(r, RECORDING_PREAMBLE, "the first record is of another type");
	if (error == 1)
		error = read_start(r);
	if (error <= 0) {
		*problem = r->problem;
		recording_free(r);
		return error ? error : -EBADMSG;
	}
	r->start = (char *)r->payload;
	r->payload = NULL;
	r->room = 0;
	r->first = r->offset;
	*out = r;
	return 0;
}

const struct recording_header *recording_header(const struct recording_reader *r)
{
	return &r->header;
}

const struct recording_problem *recording_problem(const struct recording_reader *r)
{
	return &r->problem;
}

int recording_rewind(struct recording_reader *r)
{
	if (fseeko(r->file, (off_t)r->first, SEEK_SET) != 0)
		return -errno;
	r->offset = r->first;
	r->problem = (struct recording_problem){0};
	r->ended = r->more = false;
	r->begin_ns = r->end_ns = r->last_address = r->intervals = r->pages = 0;
	return 0;
}

void recording_free(struct recording_reader *r)
{
	if (!r)
		return;
	free(r->start);
	free(r->payload);
	free(r->entries);
	free(r);
}
