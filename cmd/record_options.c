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

static int parse_target(char *const *command, const char *process, struct record_options *o)
{
	if (command && process)
		return usage_error("argument", process,
				   "either a process or a command is recorded");
	if (command) {
		o->command = (char **)command;
		return STATUS_OK;
	}
	if (!process_parse(process, &o->pid))
		return usage_error("argument", process,
				   "not the number of a process; a command comes after --");
	return STATUS_OK;
}

/* What is behind the options: PID, with more of them behind it, or -- COMMAND... */
static int take_argument(char **argv, const char **process)
{
	const char *text = argv[optind++];

	if (*process)
		return usage_error("argument", text, "one process is recorded");
	*process = text;
	return STATUS_OK;
}

int record_parse_options(int argc, char **argv, struct record_options *o, bool *help)
{
	static const struct option options[] = {
	    {"interval", required_argument, NULL, 'i'}, {"output", required_argument, NULL, 'o'},
	    {"time", required_argument, NULL, 't'},	{"force", no_argument, NULL, 'f'},
	    {"help", no_argument, NULL, 'h'},		{NULL, 0, NULL, 0},
	};
	const char *process = NULL;
	bool dashes = false;
	int c, r = STATUS_OK;

	*o = (struct record_options){.interval_ns = 100 * NS_PER_MS};
	while (r == STATUS_OK && !dashes) {
		int next = optind ? optind : 1;

		c = getopt_long(argc, argv, "+i:o:t:h", options, NULL);
		/* What follows these is no option, whatever it looks like. */
		dashes = c == -1 && optind == next + 1 && strcmp(argv[next], "--") == 0;
		if (c == -1 && optind >= argc)
			break;
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
		else if (c != -1)
			r = STATUS_USAGE;
		else if (!dashes)
			r = take_argument(argv, &process);
	}
	if (r != STATUS_OK || *help)
		return r;
	if (optind >= argc && !process) {
		fputs("writewatch record: the number of a process or -- COMMAND is missing\n",
		      stderr);
		return STATUS_USAGE;
	}
	return parse_target(dashes && optind < argc ? argv + optind : NULL, process, o);
}
