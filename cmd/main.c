/* SPDX-License-Identifier: MIT */
#include "command.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <writewatch/writewatch.h>

struct command {
	const char *name;
	char *title;
	const char *summary;
	int (*run)(int argc, char **argv);
};

static char demo_title[] = "writewatch demo";
static char probe_title[] = "writewatch probe";
static char record_title[] = "writewatch record";
static char report_title[] = "writewatch report";
static char top_title[] = "writewatch top";

static const struct command commands[] = {
    {"demo", demo_title, "watch memory while threads write, and check every answer", command_demo},
    {"probe", probe_title, "tell which backends work here, what they cost, and what would help",
     command_probe},
    {"record", record_title, "write to a file which pages of a process are written",
     command_record},
    {"report", report_title, "tell what a recording says: how fast memory was written, and which",
     command_report},
    {"top", top_title, "show live which memory of a process is written", command_top},
};

#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

static void print_help(FILE *to)
{
	fputs("usage: writewatch COMMAND [OPTION...]\n"
	      "\n"
	      "Tells which pages of memory were written.\n"
	      "\n",
	      to);
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		fprintf(to, "  %-10s %s\n", commands[i].name, commands[i].summary);
	fputs("\n"
	      "  --help     print this and exit\n"
	      "  --version  print the version and exit\n"
	      "\n"
	      "'writewatch COMMAND --help' lists the options of a command.\n",
	      to);
}

static int run_command(int argc, char **argv)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		if (strcmp(argv[0], commands[i].name) != 0)
			continue;
		argv[0] = commands[i].title;
		/* glibc and musl begin a new scan, with the new argv, when optind is 0. */
		optind = 0;
		return commands[i].run(argc, argv);
	}
	fprintf(stderr, "writewatch: unknown command '%s'; 'writewatch --help' lists them\n",
		argv[0]);
	return STATUS_USAGE;
}

static int dispatch(int argc, char **argv)
{
	static const struct option options[] = {
	    {"help", no_argument, NULL, 'h'},
	    {"version", no_argument, NULL, 'V'},
	    {NULL, 0, NULL, 0},
	};
	int c;

	/* '+': options behind the command's name are the command's. */
	while ((c = getopt_long(argc, argv, "+hV", options, NULL)) != -1) {
		switch (c) {
		case 'h':
			print_help(stdout);
			return STATUS_OK;
		case 'V':
			printf("writewatch %d.%d.%d\n", WW_VERSION_MAJOR, WW_VERSION_MINOR,
			       WW_VERSION_PATCH);
			return STATUS_OK;
		default:
			fputs("Try 'writewatch --help'.\n", stderr);
			return STATUS_USAGE;
		}
	}
	if (optind >= argc) {
		fputs("writewatch: a command is missing\n\n", stderr);
		print_help(stderr);
		return STATUS_USAGE;
	}
	return run_command(argc - optind, argv + optind);
}

/* A pipe or ring that took the place of a closed stdout would get the text meant for people. */
static void fill_standard_descriptors(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

/* Whoever reads it has seen enough, as head(1) does; errno may be that of something later. */
static bool is_unwanted(int error)
{
	struct pollfd fd = {.fd = STDOUT_FILENO};

	return error == EPIPE || (poll(&fd, 1, 0) > 0 && fd.revents & POLLERR);
}

int main(int argc, char **argv)
{
	int status;

	fill_standard_descriptors();
	status = dispatch(argc, argv);
	/* A full disk must not look like a success. */
	if ((fflush(stdout) != 0 || ferror(stdout)) && !is_unwanted(errno)) {
		fprintf(stderr, "writewatch: cannot write the output: %s\n", strerror(errno));
		if (status == STATUS_OK)
			status = STATUS_FAILED;
	}
	return status;
}
