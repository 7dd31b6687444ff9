/* SPDX-License-Identifier: MIT */
/* Prints a recording, for the tests: a word, and numbers that are hexadecimal where addresses. */
#include "recording.h"

#include <inttypes.h>
#include <stdio.h>

static void print(const struct recording_record *r)
{
	switch (r->type) {
	case RECORDING_MAPPINGS:
		printf("table %" PRIu64 "\n", r->table.time_ns);
		for (size_t i = 0; i < r->table.count; i++) {
			const struct recording_mapping *m = &r->table.mappings[i];

			printf("mapping %" PRIx64 " %" PRIx64 " %u %" PRId64 " %s\n", m->start,
			       m->end, m->permissions, (int64_t)m->resident, m->name);
		}
		break;
	case RECORDING_INTERVAL:
		printf("interval %" PRIu64 " %" PRIu64 " %u\n", r->interval.begin_ns,
		       r->interval.end_ns, r->interval.flags);
		for (size_t i = 0; i < r->interval.count; i++)
			printf("range %" PRIx64 " %" PRIx64 "\n", r->interval.ranges[i].start,
			       r->interval.ranges[i].end);
		break;
	case RECORDING_UNTRACKED:
		printf("untracked %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", r->untracked.mappings,
		       r->untracked.pages, r->untracked.busy);
		break;
	default:
		printf("end %d %u\n", (int)r->end.kind, r->end.value);
	}
}

int main(int argc, char **argv)
{
	struct recording_problem problem = {0};
	struct recording_record record;
	struct recording_reader *reader;
	FILE *file = argc == 2 ? fopen(argv[1], "rbe") : NULL;

	if (!file || recording_open(&reader, file, &problem) < 0) {
		fprintf(stderr, "cannot be read: %s\n", problem.text);
		return 1;
	}
	printf("start %" PRIu64 " %" PRIu64 " %" PRIu64 " %d %s\n", recording_header(reader)->pid,
	       recording_header(reader)->page_size, recording_header(reader)->interval_ns,
	       (int)recording_header(reader)->tracking, recording_header(reader)->command);
	while (recording_read(reader, &record) == 1)
		print(&record);
	if (*recording_problem(reader)->text)
		printf("%s\n", recording_problem(reader)->truncated ? "truncated" : "broken");
	recording_free(reader);
	fclose(file);
	return 0;
}
