/* SPDX-License-Identifier: MIT */
#include "command.h"
#include "duration.h"
#include "processes.h"
#include "record.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

static int usage_error(const char *option, const char *value, const char *why)
{
	fprintf(stderr, "writewatch record: %s '%s': %s\n", option, value, why);
	return STATUS_USAGE;
}

static int parse_time(const char *option, const char *text, uint64_t *ns)
{
	int r = duration_parse(text, ns);

	if (r == -EINVAL)
		return usage_error(option, text, "not a time; write it as in 2, 0.5 or 100ms");
	if (r < 0)
		return usage_error(option, text, "not between 1ms and 24h");
	return STATUS_OK;
}

/* What is behind the options: PID, or -- COMMAND... */
static int parse_target(int argc, char **argv, bool dashes, struct record_options *o)
{
	if (argc == 0) {
		fputs("writewatch record: the number of a process or -- COMMAND is missing\n",
		      stderr);
		return STATUS_USAGE;
	}
	if (dashes) {
		o->command = argv;
		return STATUS_OK;
	}
	if (!process_parse(argv[0], &o->pid))
		return usage_error("argument", argv[0],
				   "not the number of a process; a command comes after --");
	if (argc > 1)
		return usage_error("argument", argv[1], "one process is recorded");
	return STATUS_OK;
}

int record_parse_options(int argc, char **argv, struct record_options *o, bool *help)
{
	static const struct option options[] = {
	    {"interval", required_argument, NULL, 'i'}, {"output", required_argument, NULL, 'o'},
	    {"time", required_argument, NULL, 't'},	{"force", no_argument, NULL, 'f'},
	    {"help", no_argument, NULL, 'h'},		{NULL, 0, NULL, 0},
	};
	bool dashes;
	int c, r = STATUS_OK;

	*o = (struct record_options){.interval_ns = 100 * NS_PER_MS};
	while (r == STATUS_OK && (c = getopt_long(argc, argv, "+i:o:t:h", options, NULL)) != -1) {
		if (c == 'i')
			r = parse_time("--interval", optarg, &o->interval_ns);
		else if (c == 'o')
			o->file = optarg;
		else if (c == 't')
			r = parse_time("--time", optarg, &o->limit_ns);
		else if (c == 'f')
			o->force = true;
		else if (c == 'h')
			*help = true;
		else
			r = STATUS_USAGE;
	}
	dashes = optind > 1 && optind <= argc && strcmp(argv[optind - 1], "--") == 0;
	if (r == STATUS_OK && !*help)
		r = parse_target(argc - optind, argv + optind, dashes, o);
	return r;
}
