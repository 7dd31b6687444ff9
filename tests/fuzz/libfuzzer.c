/* SPDX-License-Identifier: MIT */
/* What libFuzzer has to know about this target, however it is called. */
#include "fuzz.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/*
 * The signals of write faults are the backends', and behind them ours. Short inputs are no aim: a
 * context costs more than a hundred operations. The command line overrides these.
 */
static char defaults[][32] = {
	"-handle_segv=0",
	"-handle_bus=0",
	"-timeout=30",
	"-max_len=400",
	"-len_control=0",
	"-print_final_stats=1",
};

#define DEFAULTS (sizeof(defaults) / sizeof(defaults[0]))

/* WW_SECONDS overrides the command line, as the build writes that. */
static char *seconds(void)
{
	static char option[64];
	const char *given = getenv("WW_SECONDS");

	snprintf(option, sizeof(option), "-max_total_time=%s", given ? given : "");
	return given ? option : NULL;
}

/* The first folder is where new inputs go; libFuzzer does not make it. */
static void make_folder(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (argv[i][0] == '-')
			continue;
		if (mkdir(argv[i], 0777) < 0 && errno != EEXIST)
			perror(argv[i]);
		return;
	}
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	char **args = calloc((size_t)*argc + DEFAULTS + 2, sizeof(*args));
	int n = 0;

	if (!args)
		abort();
	args[n++] = (*argv)[0];
	for (size_t i = 0; i < DEFAULTS; i++)
		args[n++] = defaults[i];
	for (int i = 1; i < *argc; i++)
		args[n++] = (*argv)[i];
	if (seconds())
		args[n++] = seconds();
	make_folder(*argc, *argv);
	*argc = n;
	*argv = args;
	if (!fuzz_begin())
		exit(77);
	return 0;
}
