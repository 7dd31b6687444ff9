/* SPDX-License-Identifier: MIT */
#include "duration.h"
#include "text.h"
#include "top.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#define STRIP 16

void plain_begin(const struct top_state *s)
{
	const struct target *t = &s->targets->list[0];
	const char *missing = top_screen_missing();
	struct tracker_skipped untracked;
	char delay[32], skipped[256];

	if (missing && !s->options->plain && isatty(STDOUT_FILENO))
		printf("# %s\n", missing);
	duration_print(s->delay_ns, delay, sizeof(delay));
	printf("# %s (%d), every %s\n# tracked %s\n", t->name, (int)t->pid, delay,
	       text_way(tracker_way(t->tracker)));
	tracker_skipped(t->tracker, &untracked);
	text_skipped(skipped, sizeof(skipped), &untracked);
	if (*skipped)
		printf("# %s\n", skipped);
	puts("# share of pages written:  . none  : <1%  + <10%  * <50%  # more");
	fflush(stdout);
}

static void print_row(const struct target *t, const struct top_row *row, uint64_t page_size)
{
	static const char letters[HEAT_LEVELS] = {'.', ':', '+', '*', '#'};
	unsigned char levels[STRIP];
	char rate[12], bytes[8], share[8], size[8], strip[STRIP + 1] = "", name[256];
	double pages = (double)row->written / t->seconds;

	text_count(rate, pages);
	text_bytes(bytes, pages * (double)page_size);
	text_share(share, row->written, row->pages);
	text_bytes(size, (double)(row->pages * page_size));
	text_mapping(name, sizeof(name), row->mapping, false);
	top_heat(row, page_size, levels, STRIP);
	for (size_t i = 0; i < STRIP; i++)
		strip[i] = letters[levels[i]];
	printf("%8s %6s %6s %6s %s %12" PRIx64 " %s\n", rate, bytes, share, size, strip,
	       row->mapping->start, name);
}

static void print_target(const struct top_state *s, const struct target *t)
{
	char rate[12], bytes[8], share[8], size[8];
	struct top_sums sums = target_sums(t);
	double seconds = (double)(t->polled_ns - s->started_ns) / (double)NS_PER_SECOND;

	if (t->state != TARGET_TRACKED) {
		printf("%s (%d) %s%s\n", t->name, (int)t->pid,
		       t->state == TARGET_REFUSED ? "is not tracked: " : "", t->why);
		return;
	}
	/* A child that was found just now. */
	if (t->seconds <= 0)
		return;
	text_count(rate, sums.rate);
	text_bytes(bytes, sums.rate * (double)s->targets->page_size);
	text_share(share, sums.written, sums.pages);
	text_bytes(size, (double)(sums.pages * s->targets->page_size));
	printf("%s (%d) at %.2f s: %s pages/s, %s bytes/s\n", t->name, (int)t->pid, seconds, rate,
	       bytes);
	printf("    %s of %s, %zu of %zu mappings%s\n", share, size, sums.written_mappings,
	       sums.mappings, sums.incomplete ? ", incomplete" : "");
	if (sums.written_mappings)
		printf("%8s %6s %6s %6s %-*s %12s %s\n", "PAGES/S", "BYTE/S", "SHARE", "SIZE",
		       STRIP, "WHERE", "START", "MAPPING");
	for (size_t i = 0; i < t->rows.count; i++) {
		if (t->rows.list[i].written)
			print_row(t, &t->rows.list[i], s->targets->page_size);
	}
}

void plain_draw(const struct top_state *s)
{
	for (size_t i = 0; i < s->targets->count; i++) {
		/* The end of the first one is told last. */
		if (s->targets->list[i].pid != s->targets->first ||
		    s->targets->list[i].state == TARGET_TRACKED)
			print_target(s, &s->targets->list[i]);
	}
	putchar('\n');
	fflush(stdout);
}
