/* SPDX-License-Identifier: MIT */
#include "command.h"
#include "demo.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#define DEFAULT_SECONDS 10
#define MAX_SECONDS (24 * 60 * 60)
#define MAX_THREADS 64

static void print_help(void)
{
	printf("usage: writewatch demo [OPTION...]\n"
	       "\n"
	       "Watches memory that threads and the kernel write at random, asks again and\n"
	       "again which pages were written, and compares every answer with a full copy.\n"
	       "\n"
	       "  --size SIZE    bytes to watch, with K, M, G or T for units of 1024 (256M)\n"
	       "  --seconds N    how long it runs (%d)\n"
	       "  --threads N    threads that write, 1 to %d (one for each processor, 2 to 4)\n"
	       "  --discards     let them drop the content of pages too, which is a write\n"
	       "  --no-color     no colors in the picture\n"
	       "  --help         print this and exit\n"
	       "\n"
	       "Exit status: 0 all answers were right, 1 a page was missed or over-reported, or\n"
	       "the demo failed, 2 wrong use, 3 no backend is usable here.\n",
	       DEFAULT_SECONDS, MAX_THREADS);
}

static int usage_error(const char *option, const char *value, const char *why)
{
	fprintf(stderr, "writewatch demo: %s '%s': %s\n", option, value, why);
	return STATUS_USAGE;
}

/* Returns 0, -EINVAL for what is no number, -ERANGE for what does not fit. */
static int parse_number(const char *text, char **end, unsigned long long *out)
{
	/* strtoull() would take a sign and blanks. */
	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	errno = 0;
	*out = strtoull(text, end, 10);
	return errno ? -ERANGE : 0;
}

/* What can be had without swapping or killing somebody, as far as the kernel tells. */
static unsigned long long available_memory(void)
{
	FILE *file = fopen("/proc/meminfo", "re");
	unsigned long long kib = 0;
	struct sysinfo info;
	char line[128];

	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "MemAvailable: %llu", &kib) == 1)
			break;
	}
	if (file)
		fclose(file);
	if (kib)
		return kib * 1024;
	return sysinfo(&info) == 0 ? (unsigned long long)info.totalram * info.mem_unit : 0;
}

static int parse_size(const char *text, size_t *out)
{
	static const char units[] = "KMGT";
	unsigned long long value, available = available_memory();
	const char *unit;
	char why[160];
	char *end;
	int r = parse_number(text, &end, &value);

	if (r == -EINVAL)
		return usage_error("--size", text, "not a size; write it as in 256M or 1G");
	if (r == 0 && *end) {
		unit = strchr(units, toupper((unsigned char)*end));
		if (!unit || end[1])
			return usage_error("--size", text, "not a size; write it as in 256M or 1G");
		r = value > (~0ull >> 10 * (unit - units + 1)) ? -ERANGE : 0;
		value <<= 10 * (unit - units + 1);
	}
	if (r == 0 && value == 0)
		return usage_error("--size", text, "there is nothing to watch in 0 bytes");
	/* The region, its copy, and counters of about a hundredth of it. */
	if (r == -ERANGE || value > SIZE_MAX / 4 || (available && value > available / 33 * 16)) {
		snprintf(why, sizeof(why),
			 "too large: the demo needs twice as much, and %llu MiB of memory are "
			 "available",
			 available >> 20);
		return usage_error("--size", text, why);
	}
	*out = (size_t)value;
	return STATUS_OK;
}

static int parse_count(const char *option, const char *text, unsigned max, unsigned *out)
{
	unsigned long long value;
	char why[80];
	char *end;

	if (parse_number(text, &end, &value) < 0 || *end || value == 0 || value > max) {
		snprintf(why, sizeof(why), "not a number from 1 to %u", max);
		return usage_error(option, text, why);
	}
	*out = (unsigned)value;
	return STATUS_OK;
}

static unsigned default_threads(void)
{
	long online = sysconf(_SC_NPROCESSORS_ONLN);

	if (online < 2)
		return 2;
	return online > 4 ? 4 : (unsigned)online;
}

/* Returns STATUS_OK with *@help set if nothing is to be run. */
static int parse_options(int argc, char **argv, struct demo_options *o, bool *help)
{
	static const struct option options[] = {
	    {"size", required_argument, NULL, 's'},
	    {"seconds", required_argument, NULL, 'n'},
	    {"threads", required_argument, NULL, 't'},
	    {"discards", no_argument, NULL, 'd'},
	    {"no-color", no_argument, NULL, 'c'},
	    {"help", no_argument, NULL, 'h'},
	    {NULL, 0, NULL, 0},
	};
	const char *size = NULL;
	int c, r = STATUS_OK;

	while (r == STATUS_OK && (c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (c == 's')
			size = optarg;
		else if (c == 'n')
			r = parse_count("--seconds", optarg, MAX_SECONDS, &o->seconds);
		else if (c == 't')
			r = parse_count("--threads", optarg, MAX_THREADS, &o->threads);
		else if (c == 'd')
			o->discards = true;
		else if (c == 'c')
			o->color = false;
		else if (c == 'h')
			*help = true;
		else
			r = STATUS_USAGE;
	}
	if (r == STATUS_OK && optind < argc)
		r = usage_error("argument", argv[optind], "the demo takes options only");
	/* Checked last: the default may be too large as well. */
	if (r == STATUS_OK && !*help)
		r = parse_size(size ? size : "256M", &o->size);
	return r;
}

int command_demo(int argc, char **argv)
{
	struct demo_options options = {
	    .seconds = DEFAULT_SECONDS,
	    .threads = default_threads(),
	    .color = true,
	};
	bool help = false;
	int r = parse_options(argc, argv, &options, &help);

	if (r != STATUS_OK) {
		fputs("Try 'writewatch demo --help'.\n", stderr);
		return r;
	}
	if (help) {
		print_help();
		return STATUS_OK;
	}
	return demo_run(&options);
}
