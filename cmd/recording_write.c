/* SPDX-License-Identifier: MIT */
#include "recording.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct recording_writer {
	int fd;
	int error; /* the first one: what follows half a record could not be read */
	uint64_t page_size;
	uint64_t size;
	uint64_t last_ns;
	uint64_t intervals;
	uint64_t pages;
	/* The record that is being made. */
	unsigned char *bytes;
	size_t count, room;
};

static int fail(struct recording_writer *w, int error)
{
	if (!w->error)
		w->error = error;
	return w->error;
}

static void put_bytes(struct recording_writer *w, const void *bytes, size_t count)
{
	if (count > w->room - w->count) {
		size_t room = (w->count + count) * 2;
		unsigned char *larger = w->error ? NULL : realloc(w->bytes, room);

		if (!larger) {
			fail(w, -ENOMEM);
			return;
		}
		w->bytes = larger;
		w->room = room;
	}
	memcpy(w->bytes + w->count, bytes, count);
	w->count += count;
}

/* Seven bits a byte, the lowest first; the highest bit says that more follow. */
static void put(struct recording_writer *w, uint64_t value)
{
	unsigned char bytes[10];
	size_t count = 0;

	for (; value >= 0x80; value >>= 7)
		bytes[count++] = (unsigned char)(value | 0x80);
	bytes[count++] = (unsigned char)value;
	put_bytes(w, bytes, count);
}

static void put_text(struct recording_writer *w, const char *text)
{
	size_t length = strnlen(text, RECORDING_MAX_TEXT);

	put(w, length);
	put_bytes(w, text, length);
}

static void begin(struct recording_writer *w, enum recording_type type)
{
	unsigned char frame[RECORDING_FRAME] = {0};

	w->count = 0;
	recording_put32(frame, type);
	put_bytes(w, frame, sizeof(frame));
}

static int write_all(struct recording_writer *w, const unsigned char *bytes, size_t count)
{
	while (count) {
		ssize_t n = write(w->fd, bytes, count);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return fail(w, n ? -errno : -EIO);
		bytes += n;
		count -= (size_t)n;
		w->size += (uint64_t)n;
	}
	return 0;
}

static int finish(struct recording_writer *w)
{
	size_t length = w->count - RECORDING_FRAME;

	if (w->error)
		return w->error;
	if (length > RECORDING_MAX_PAYLOAD)
		return fail(w, -E2BIG);
	recording_put32(w->bytes + 4, (uint32_t)length);
	recording_put32(w->bytes + 8,
			recording_checksum(w->bytes, w->bytes + RECORDING_FRAME, length));
	return write_all(w, w->bytes, w->count);
}

static int write_start(struct recording_writer *w, const struct recording_header *h)
{
	unsigned char preamble[RECORDING_PREAMBLE];

	memcpy(preamble, recording_magic, sizeof(recording_magic));
	recording_put32(preamble + sizeof(recording_magic), RECORDING_VERSION);
	if (write_all(w, preamble, sizeof(preamble)) < 0)
		return w->error;
	begin(w, RECORDING_START);
	put(w, h->page_size);
	put(w, h->interval_ns);
	put(w, h->wall_clock_ns);
	put(w, h->pid);
	put(w, h->tracking);
	put_text(w, h->command);
	put_text(w, h->release);
	return finish(w);
}

int recording_create(struct recording_writer **out, int fd, const struct recording_header *h)
{
	struct recording_writer *w = calloc(1, sizeof(*w));
	int error;

	if (!w)
		return -ENOMEM;
	w->fd = fd;
	w->page_size = h->page_size;
	error = write_start(w, h);
	if (error < 0) {
		free(w->bytes);
		free(w);
		return error;
	}
	*out = w;
	return 0;
}

/* Is [start, end) made of whole pages, and behind what came before? */
static bool follows(const struct recording_writer *w, uint64_t start, uint64_t end, uint64_t last)
{
	return start >= last && end > start && start % w->page_size == 0 && end % w->page_size == 0;
}

int recording_write_table(struct recording_writer *w, const struct recording_table *t)
{
	uint64_t last = 0;
	const char *name = NULL;

	if (t->count > RECORDING_MAX_MAPPINGS)
		return fail(w, -E2BIG);
	begin(w, RECORDING_MAPPINGS);
	put(w, t->time_ns);
	put(w, t->count);
	for (size_t i = 0; i < t->count; i++) {
		const struct recording_mapping *m = &t->mappings[i];
		bool same = name && strcmp(m->name, name) == 0;

		if (!follows(w, m->start, m->end, last) || m->permissions >= RECORDING_SAME_NAME)
			return fail(w, -EINVAL);
		put(w, (m->start - last) / w->page_size);
		put(w, (m->end - m->start) / w->page_size);
		put(w, m->permissions | (same ? RECORDING_SAME_NAME : 0));
		put(w, m->resident == RECORDING_UNKNOWN ? 0 : m->resident + 1);
		if (!same)
			put_text(w, m->name);
		name = m->name;
		last = m->end;
	}
	return finish(w);
}

static int write_part(struct recording_writer *w, const struct recording_interval *i, size_t from,
		      size_t count)
{
	uint64_t last = 0;

	begin(w, RECORDING_INTERVAL);
	put(w, i->end_ns);
	put(w, i->end_ns - i->begin_ns);
	put(w, i->flags | (from + count < i->count ? RECORDING_MORE : 0));
	put(w, count);
	for (size_t n = from; n < from + count; n++) {
		const struct recording_range *range = &i->ranges[n];

		if (!follows(w, range->start, range->end, n ? i->ranges[n - 1].end : 0))
			return fail(w, -EINVAL);
		put(w, (range->start - last) / w->page_size);
		put(w, (range->end - range->start) / w->page_size - 1);
		w->pages += (range->end - range->start) / w->page_size;
		last = range->end;
	}
	return finish(w);
}

int recording_write_interval(struct recording_writer *w, const struct recording_interval *i)
{
	size_t from = 0;
	int error;

	if (i->begin_ns < w->last_ns || i->end_ns < i->begin_ns || i->flags & ~RECORDING_INCOMPLETE)
		return fail(w, -EINVAL);
	do {
		size_t left = i->count - from;
		size_t count = left < RECORDING_MAX_RANGES ? left : RECORDING_MAX_RANGES;

		error = write_part(w, i, from, count);
		from += count;
	} while (!error && from < i->count);
	w->last_ns = i->end_ns;
	w->intervals++;
	return error;
}

int recording_write_untracked(struct recording_writer *w, const struct recording_untracked *u)
{
	begin(w, RECORDING_UNTRACKED);
	put(w, u->time_ns);
	put(w, u->mappings);
	put(w, u->pages);
	put(w, u->busy);
	put(w, u->hugetlb);
	put(w, u->sealed);
	put(w, u->special);
	return finish(w);
}

int recording_write_end(struct recording_writer *w, const struct recording_end *e)
{
	begin(w, RECORDING_END);
	put(w, e->time_ns);
	put(w, e->kind);
	put(w, e->value);
	put(w, w->intervals);
	put(w, w->pages);
	return finish(w);
}

uint64_t recording_size(const struct recording_writer *w)
{
	return w->size;
}

int recording_close(struct recording_writer *w)
{
	int error;

	if (!w)
		return 0;
	/* Where the disk is far away, this is where it is full. */
	if (close(w->fd) < 0)
		fail(w, -errno);
	error = w->error;
	free(w->bytes);
	free(w);
	return error;
}
