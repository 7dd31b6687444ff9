/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

static const char usage[] =
	"usage: bench [--csv FILE] [--quick] [--strict] [--only TEXT]\n"
	"  --csv FILE   write the table to FILE, too\n"
	"  --quick      small sizes and few runs: shows that everything works\n"
	"  --strict     exit with 1 when a limit is exceeded by more than the noise\n"
	"  --only TEXT  rows whose name contains TEXT\n";

static void parse(struct bench *b, int argc, char **argv)
{
	static const struct option options[] = {
		{"csv", required_argument, NULL, 'c'},
		{"quick", no_argument, NULL, 'q'},
		{"strict", no_argument, NULL, 's'},
		{"only", required_argument, NULL, 'o'},
		{NULL, 0, NULL, 0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'c':
			b->csv_path = optarg;
			break;
		case 'q':
			b->quick = true;
			break;
		case 's':
			b->strict = true;
			break;
		case 'o':
			b->only = optarg;
			break;
		default:
			fputs(usage, stderr);
			exit(2);
		}
	}
}

/* Where this is not allowed the figures are noisier, nothing else. */
static void stay_on_one_processor(void)
{
	cpu_set_t set;
	int cpu = sched_getcpu();

	if (cpu < 0)
		return;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

/* Most rows are against PAGEMAP_SCAN made by hand. */
static bool on_main_backend(const struct bench *b)
{
	struct ww_info info = {.size = sizeof(info)};

	check(ww_info(b->w, &info), "ww_info");
	if (!strcmp(info.backend, "pagemap-scan"))
		return true;
	printf("the backend is %s: no rows but those of each backend by name\n", info.backend);
	return false;
}

int main(int argc, char **argv)
{
	struct bench b = {.random = 0x9e3779b97f4a7c15};
	int error;

	parse(&b, argc, argv);
	b.page = (size_t)sysconf(_SC_PAGESIZE);
	b.room = (size_t)160000;
	b.pages = malloc(b.room * sizeof(*b.pages));
	if (!b.pages)
		die("no memory");
	memset(b.pages, 0xff, b.room * sizeof(*b.pages));
	error = ww_new(&b.w, NULL);
	if (error == -ENOTSUP) {
		printf("bench: no backend is usable here, nothing to measure\n");
		return 77;
	}
	check(error, "ww_new");
	stay_on_one_processor();
	table_open(&b);
	if (on_main_backend(&b)) {
		rows_large(&b);
		rows_shapes(&b);
		rows_fresh(&b);
		rows_single(&b);
		rows_many(&b);
		rows_process(&b);
	}
	rows_backends(&b);
	table_close(&b);
	ww_free(b.w);
	free(b.pages);
	return b.strict && b.over ? 1 : 0;
}
