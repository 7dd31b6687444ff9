/* SPDX-License-Identifier: MIT */
#include "command.h"
#include "duration.h"
#include "top.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const sort_names[SORT_COUNT] = {
    [SORT_PAGES] = "pages",	[SORT_SHARE] = "share", [SORT_SIZE] = "size",
    [SORT_ADDRESS] = "address", [SORT_NAME] = "name",
};

const char *top_sort_name(enum top_sort sort)
{
	return sort_names[sort];
}

static int usage_error(const char *option, const char *value, const char *why)
{
	fprintf(stderr, "writewatch top: %s '%s': %s\n", option, value, why);
	return STATUS_USAGE;
}

static int parse_delay(const char *text, struct top_options *o)
{
	int r = duration_parse(text, &o->delay_ns);

	if (r == -EINVAL)
		return usage_error("--delay", text, "not a time; write it as in 2, 0.5 or 100ms");
	if (r < 0 || o->delay_ns < TOP_MIN_DELAY_NS)
		return usage_error("--delay", text, "not between 10ms and 24h");
	return STATUS_OK;
}

static int parse_count(const char *text, struct top_options *o)
{
	char *end;

	errno = 0;
	o->count = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || o->count == 0)
		return usage_error("--count", text, "not a number of at least 1");
	return STATUS_OK;
}

static int parse_sort(const char *text, struct top_options *o)
{
	for (int i = 0; i < SORT_COUNT; i++) {
		if (strcmp(text, sort_names[i]) == 0) {
			o->sort = (enum top_sort)i;
			return STATUS_OK;
		}
	}
	return usage_error("--sort", text, "not one of pages, share, size, address, name");
}

static int parse_pid(int argc, char **argv, struct top_options *o)
{
	if (argc == 0) {
		fputs("writewatch top: the number of a process is missing\n", stderr);
		return STATUS_USAGE;
	}
	if (argc > 1)
		return usage_error("argument", argv[1],
				   "one process is looked at, with --follow "
				   "its children too");
	if (!process_parse(argv[0], &o->pid))
		return usage_error("argument", argv[0], "not the number of a process");
	return STATUS_OK;
}

int top_parse_options(int argc, char **argv, struct top_options *o, bool *help)
{
	static const struct option options[] = {
	    {"delay", required_argument, NULL, 'd'}, {"count", required_argument, NULL, 'n'},
	    {"sort", required_argument, NULL, 's'},  {"follow", no_argument, NULL, 'f'},
	    {"plain", no_argument, NULL, 'p'},	     {"no-color", no_argument, NULL, 'c'},
	    {"help", no_argument, NULL, 'h'},	     {NULL, 0, NULL, 0},
	};
	int c, r = STATUS_OK;

	*o = (struct top_options){.delay_ns = NS_PER_SECOND, .color = true};
	while (r == STATUS_OK && (c = getopt_long(argc, argv, "d:n:s:fh", options, NULL)) != -1) {
		if (c == 'd')
			r = parse_delay(optarg, o);
		else if (c == 'n')
			r = parse_count(optarg, o);
		else if (c == 's')
			r = parse_sort(optarg, o);
		else if (c == 'f')
			o->follow = true;
		else if (c == 'p')
			o->plain = true;
		else if (c == 'c')
			o->color = false;
		else if (c == 'h')
			*help = true;
		else
			r = STATUS_USAGE;
	}
	if (r == STATUS_OK && !*help)
		r = parse_pid(argc - optind, argv + optind, o);
	return r;
}
