/* SPDX-License-Identifier: MIT */
#include "probe.h"
#include "command.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static void print_help(void)
{
	fputs("usage: writewatch probe [OPTION...]\n"
	      "\n"
	      "Tries every backend as this user on this machine: is it usable, or why not and\n"
	      "what would change that; what does it guarantee, what does it cost? Which one\n"
	      "do programs get? WRITEWATCH_BACKEND is reported, but not obeyed.\n"
	      "\n"
	      "  --json  print the same as one JSON object\n"
	      "  --help  print this and exit\n"
	      "\n"
	      "Exit status: 0 the automatic choice finds a backend, 1 the output failed,\n"
	      "2 wrong use, 3 it finds none.\n",
	      stdout);
}

static int usage_error(const char *argument)
{
	if (argument)
		fprintf(stderr, "writewatch probe: argument '%s': it takes options only\n",
			argument);
	fputs("Try 'writewatch probe --help'.\n", stderr);
	return STATUS_USAGE;
}

static int print_json(const struct probe_report *r)
{
	int error = probe_print_json(r);

	if (error == -ENOPKG)
		fputs("writewatch probe: built without jansson, which --json needs\n", stderr);
	else if (error < 0)
		fprintf(stderr, "writewatch probe: cannot write JSON: %s\n", strerror(-error));
	return error < 0 ? STATUS_FAILED : STATUS_OK;
}

/* Some backends have a handler for them, and who started this may have blocked them. */
static void let_faults_come(void)
{
	sigset_t faults;

	sigemptyset(&faults);
	sigaddset(&faults, SIGBUS);
	sigaddset(&faults, SIGSEGV);
	sigprocmask(SIG_UNBLOCK, &faults, NULL);
}

static int probe(bool json)
{
	static struct probe_report report;
	int status = STATUS_OK;

	let_faults_come();
	probe_collect(&report);
	if (json)
		status = print_json(&report);
	else
		probe_print_text(&report);
	if (status == STATUS_OK && !report.chosen)
		status = STATUS_NO_BACKEND;
	return status;
}

int command_probe(int argc, char **argv)
{
	static const struct option options[] = {
	    {"json", no_argument, NULL, 'j'},
	    {"help", no_argument, NULL, 'h'},
	    {NULL, 0, NULL, 0},
	};
	bool json = false;
	bool help = false;
	int c;

	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (c == 'j')
			json = true;
		else if (c == 'h')
			help = true;
		else
			return usage_error(NULL);
	}
	if (optind < argc)
		return usage_error(argv[optind]);
	if (help) {
		print_help();
		return STATUS_OK;
	}
	return probe(json);
}
