/* SPDX-License-Identifier: MIT */
#include "report.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#define SECOND 1e9
#define NAME_WIDTH 30
#define MOST_AREAS 15

/* The end of a text that is too long, as the end of a path tells more than its beginning. */
static void print_name(const char *text)
{
	size_t width = report_width(text), dots = width > NAME_WIDTH ? 3 : 0;

	for (size_t drop = dots ? width - NAME_WIDTH + dots : 0; drop; drop--) {
		do
			text++;
		while (((unsigned char)*text & 0xc0) == 0x80);
	}
	printf("  %.*s%s%*s", (int)dots, "...", text,
	       (int)(NAME_WIDTH - (width < NAME_WIDTH ? width : NAME_WIDTH)), "");
}

static void print_untracked(const struct report *r)
{
	const struct recording_untracked *u = &r->untracked;
	const struct {
		uint64_t count;
		const char *what;
	} kinds[] = {
	    {u->busy, "watched by another userfaultfd"},
	    {u->hugetlb, "of hugetlbfs"},
	    {u->sealed, "of read-only files"},
	    {u->special, "of devices or the kernel"},
	};
	char size[REPORT_WORDS];

	if (!u->mappings)
		return;
	printf("not tracked   %" PRIu64 " mapping%s, %s, of which writes are missing\n",
	       u->mappings, u->mappings == 1 ? "" : "s",
	       report_size(size, (double)u->pages * (double)r->header->page_size));
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (kinds[i].count)
			printf("              %" PRIu64 " %s\n", kinds[i].count, kinds[i].what);
	}
}

static void print_head(const struct report *r)
{
	time_t start = (time_t)(r->header->wall_clock_ns / 1000000000);
	char when[64] = "an unknown time", interval[REPORT_WORDS], duration[REPORT_WORDS];
	struct tm tm;

	if (gmtime_r(&start, &tm))
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S UTC", &tm);
	printf("%s, process %" PRIu64 "\n", r->header->command, r->header->pid);
	printf("recorded      %s, on Linux %s\n", when, r->header->release);
	printf("duration      %s, in %" PRIu64 " interval%s of %s\n",
	       report_time(duration, (double)r->duration_ns / SECOND), r->intervals,
	       r->intervals == 1 ? "" : "s",
	       report_time(interval, (double)r->header->interval_ns / SECOND));
	puts(r->header->tracking == RECORDING_EXACT
		 ? "tracked       exactly, page by page"
		 : "tracked       by soft-dirty bits, which miss writes in the moment of a reset");
	print_untracked(r);
	if (r->incomplete)
		printf("incomplete    %" PRIu64 " interval%s, of which pages may be missing\n",
		       r->incomplete, r->incomplete == 1 ? "" : "s");
}

static void print_end(const struct report *r)
{
	if (!r->ended)
		puts("end           missing: the recording was cut off");
	else if (r->end.kind == RECORDING_EXITED)
		printf("end           the process exited with status %u\n", r->end.value);
	else if (r->end.kind == RECORDING_KILLED)
		printf("end           the process was killed by signal %u\n", r->end.value);
	else if (r->end.kind == RECORDING_ENDED)
		puts("end           the process ended; whether by itself, and how, is not known");
	else
		puts("end           recording was stopped, the process lived on");
}

static void print_sums(const struct report *r)
{
	char pages[REPORT_WORDS], size[REPORT_WORDS], size2[REPORT_WORDS], size3[REPORT_WORDS];
	double page_size = (double)r->header->page_size;

	printf("written       %s in %s pages, each once for each interval\n",
	       report_size(size, (double)r->page_writes * page_size),
	       report_count(pages, r->page_writes));
	printf("              %s in %s different pages of %" PRIu64 " bytes\n",
	       report_size(size, (double)r->bytes),
	       report_count(pages, r->bytes / r->header->page_size), r->header->page_size);
	printf("dirty rate    mean %s/s; of intervals: median %s/s, max %s/s\n",
	       report_size(size, r->rate_mean), report_size(size2, r->rate_median),
	       report_size(size3, r->rate_max));
}

static void print_windows(const struct report *r)
{
	char pages[REPORT_WORDS], size[REPORT_WORDS], pages2[REPORT_WORDS], size2[REPORT_WORDS];
	char length[REPORT_WORDS];
	double page_size = (double)r->header->page_size;
	bool any = false;

	for (size_t i = 0; i < REPORT_WINDOWS; i++) {
		const struct report_window *w = &r->windows[i];

		if (w->count == 0)
			continue;
		if (!any)
			puts("\nwrite working set: different pages written in a window\n"
			     "  window    count        median pages                 max pages");
		any = true;
		printf("  %-7s %7zu %14s %10s %14s %10s\n",
		       report_time(length, (double)w->length_ns / SECOND), w->count,
		       report_count(pages, (uint64_t)(w->median_pages + 0.5)),
		       report_size(size, w->median_pages * page_size),
		       report_count(pages2, w->max_pages),
		       report_size(size2, (double)w->max_pages * page_size));
	}
	if (!any)
		puts("\nwrite working set: the recording is too short, or its intervals too long");
}

static void print_areas(const struct report *r)
{
	char pages[REPORT_WORDS], size[REPORT_WORDS], rate[REPORT_WORDS];
	char name[REPORT_WORDS];
	double page_size = (double)r->header->page_size;
	double seconds = r->duration_ns ? (double)r->duration_ns / SECOND : 1;

	if (r->hottest_count)
		printf("\nhottest mappings\n  %-*s %10s %11s %7s %12s\n", NAME_WIDTH, "name",
		       "size", "pages", "share", "written/s");
	for (size_t i = 0; i < r->hottest_count && i < MOST_AREAS; i++) {
		const struct report_area *area = r->hottest[i];
		double length = (double)(area->end - area->start);

		print_name(report_name(name, area));
		printf(" %10s", report_size(size, length));
		printf(" %11s %6.1f%% %12s\n",
		       report_count(pages, area->bytes / r->header->page_size),
		       100 * (double)area->bytes / length,
		       report_size(rate, (double)area->page_writes * page_size / seconds));
	}
	if (r->hottest_count > MOST_AREAS)
		printf("  and %zu more, which --json lists\n", r->hottest_count - MOST_AREAS);
	if (r->stray_writes)
		printf("  and %s pages outside of what is known to have been mapped\n",
		       report_count(pages, r->stray_writes));
}

static void print_round(const char *name, const struct report *r, const struct report_round *round)
{
	char pages[REPORT_WORDS], size[REPORT_WORDS], seconds[REPORT_WORDS];

	printf("  %-9s %15s %11s %11s", name, report_count(pages, round->pages),
	       report_size(size, (double)round->pages * (double)r->header->page_size),
	       report_time(seconds, round->seconds));
}

static void print_migration(const struct report *r, const struct report_migration *m)
{
	char size[REPORT_WORDS], limit[REPORT_WORDS], name[16];

	printf("\ncopying at %s/s while the process runs, with a downtime of at most %s\n"
	       "  round               pages        size        time\n",
	       report_size(size, m->bandwidth), report_time(limit, m->downtime));
	for (unsigned i = 0; i < m->rounds; i++) {
		snprintf(name, sizeof(name), "%u", i);
		print_round(name, r, &m->round[i]);
		if (i == 0)
			fputs(m->from_resident ? "  all that is resident" : "  all ever written",
			      stdout);
		putchar('\n');
	}
	print_round("downtime", r, &m->stop);
	putchar('\n');
	if (m->converges) {
		printf("  converges after %u round%s\n", m->rounds, m->rounds == 1 ? "" : "s");
	} else {
		printf("  does not converge in %d rounds; least is left after %u of them:\n",
		       REPORT_ROUNDS, m->best);
		print_round("downtime", r, &m->least);
		putchar('\n');
	}
	if (m->repeated)
		puts("  the recording was shorter than that, and was repeated from its beginning");
}

int report_print_text(struct report *r, const struct report_migration *m)
{
	print_head(r);
	print_end(r);
	print_sums(r);
	print_windows(r);
	print_areas(r);
	if (m)
		print_migration(r, m);
	return 0;
}
