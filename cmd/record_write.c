/* SPDX-License-Identifier: MIT */
#include "duration.h"
#include "processes.h"
#include "record.h"
#include "recording.h"
#include "tracker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Counting what is resident looks at all pages: not each time that a mapping comes or goes. */
#define RESIDENT_NS NS_PER_SECOND

/**
 * struct record_file - a recording that is being made
 * @started, @last: when it began, and the last interval ended, on the monotonic clock
 * @counted:        when the resident pages were counted last; 0: never
 * @known:          the mappings in the file
 * @skipped:        what is not tracked, as the file has it
 */
struct record_file {
	struct recording_writer *writer;
	uint64_t interval;
	uint64_t page_size;
	uint64_t started, last;
	uint64_t counted;
	struct mappings known;
	struct tracker_skipped skipped;
	struct recording_mapping *table;
	uint64_t *resident;
	size_t room;
	struct record_sums sums;
};

int record_file_new(struct record_file **out, int fd, const struct record_options *o,
		    struct tracker *t, pid_t pid)
{
	struct record_file *f = calloc(1, sizeof(*f));
	char name[PROCESS_NAME];
	struct recording_header header;
	struct utsname machine;
	struct timespec now;
	int r;

	if (!f)
		return -ENOMEM;
	process_name(pid, name);
	uname(&machine);
	clock_gettime(CLOCK_REALTIME, &now);
	f->interval = o->interval_ns;
	f->page_size = (uint64_t)sysconf(_SC_PAGESIZE);
	f->started = f->last = duration_now();
	header = (struct recording_header){
	    .page_size = f->page_size,
	    .interval_ns = o->interval_ns,
	    .wall_clock_ns = (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec,
	    .pid = (uint64_t)pid,
	    .tracking = tracker_way(t) == TRACKER_EXACT ? RECORDING_EXACT : RECORDING_SOFT_DIRTY,
	    .command = name,
	    .release = machine.release,
	};
	r = recording_create(&f->writer, fd, &header);
	if (r < 0) {
		free(f);
		return r;
	}
	*out = f;
	return 0;
}

static int make_room(struct record_file *f, size_t count)
{
	struct recording_mapping *table;
	uint64_t *resident;

	if (count <= f->room)
		return 0;
	table = realloc(f->table, count * sizeof(*table));
	if (table)
		f->table = table;
	resident = realloc(f->resident, count * sizeof(*resident));
	if (resident)
		f->resident = resident;
	if (!table || !resident)
		return -ENOMEM;
	f->room = count;
	return 0;
}

static int write_table(struct record_file *f, struct tracker *t, const struct mappings *m)
{
	struct recording_table table = {.time_ns = f->last - f->started, .count = m->count};
	uint64_t now = duration_now();
	bool count = !f->counted || now - f->counted >= RESIDENT_NS;
	int r = make_room(f, m->count);

	if (r < 0)
		return r;
	if (count && tracker_resident(t, f->resident) < 0)
		count = false;
	if (count)
		f->counted = now;
	for (size_t i = 0; i < m->count; i++) {
		const struct named_mapping *from = &m->list[i];

		f->table[i] = (struct recording_mapping){
		    .start = from->start,
		    .end = from->end,
		    .permissions = from->permissions,
		    .resident = count ? f->resident[i] : RECORDING_UNKNOWN,
		    .name = from->name,
		};
	}
	table.mappings = f->table;
	r = recording_write_table(f->writer, &table);
	return r < 0 ? r : mappings_copy(&f->known, m);
}

static int write_interval(struct record_file *f, const struct tracker_sample *s)
{
	uint64_t now = duration_now();
	struct recording_interval interval = {
	    .begin_ns = f->last - f->started,
	    .end_ns = now - f->started,
	    .flags = !s || s->incomplete ? RECORDING_INCOMPLETE : 0,
	    .count = s ? s->range_count : 0,
	};
	struct recording_range *ranges = calloc(interval.count + 1, sizeof(*ranges));
	int r;

	if (!ranges)
		return -ENOMEM;
	for (size_t i = 0; i < interval.count; i++) {
		ranges[i] = (struct recording_range){s->ranges[i].start, s->ranges[i].end};
		f->sums.pages += (ranges[i].end - ranges[i].start) / f->page_size;
	}
	interval.ranges = ranges;
	r = recording_write_interval(f->writer, &interval);
	free(ranges);
	f->sums.intervals++;
	f->sums.late += (now - f->last) * 2 > f->interval * 3;
	f->last = now;
	return r;
}

static int write_skipped(struct record_file *f, const struct tracker_skipped *s)
{
	const struct recording_untracked untracked = {
	    .time_ns = f->last - f->started,
	    .mappings = s->mappings,
	    .pages = s->bytes / f->page_size,
	    .busy = s->busy,
	    .hugetlb = s->hugetlb,
	    .sealed = s->sealed,
	    .special = s->special,
	};

	f->skipped = *s;
	return recording_write_untracked(f->writer, &untracked);
}

int record_file_add(struct record_file *f, struct tracker *t, const struct tracker_sample *s)
{
	struct tracker_skipped skipped = f->skipped;
	int r = 0;

	if (s)
		tracker_skipped(t, &skipped);
	/* All of its members are numbers of one size. */
	if (memcmp(&skipped, &f->skipped, sizeof(skipped)) != 0)
		r = write_skipped(f, &skipped);
	if (r == 0 && s && !mappings_equal(&f->known, s->mappings))
		r = write_table(f, t, s->mappings);
	return r < 0 ? r : write_interval(f, s);
}

int record_file_end(struct record_file *f, bool ended, const int *status)
{
	struct recording_end end = {.time_ns = duration_now() - f->started};

	if (ended && !status) {
		end.kind = RECORDING_ENDED;
	} else if (ended && WIFSIGNALED(*status)) {
		end.kind = RECORDING_KILLED;
		end.value = (unsigned)WTERMSIG(*status);
	} else if (ended) {
		end.kind = RECORDING_EXITED;
		end.value = (unsigned)WEXITSTATUS(*status);
	}
	return recording_write_end(f->writer, &end);
}

void record_file_sums(const struct record_file *f, struct record_sums *sums)
{
	*sums = f->sums;
	sums->bytes = recording_size(f->writer);
}

int record_file_close(struct record_file *f)
{
	int r;

	if (!f)
		return 0;
	r = recording_close(f->writer);
	mappings_free(&f->known);
	free(f->table);
	free(f->resident);
	free(f);
	return r;
}
