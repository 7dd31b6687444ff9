/* SPDX-License-Identifier: MIT */
#ifndef WRITEWATCH_RECORD_H
#define WRITEWATCH_RECORD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/**
 * struct record_options - of 'writewatch record'
 * @limit_ns: for how long; 0: until the end
 * @file:     NULL: named after the process
 * @command:  what to start, or NULL to record @pid
 */
struct record_options {
	uint64_t interval_ns;
	uint64_t limit_ns;
	const char *file;
	bool force;
	pid_t pid;
	char **command;
};

/* record_options.c: STATUS_OK with *help set if nothing is to be run. */
int record_parse_options(int argc, char **argv, struct record_options *o, bool *help);

/* record_start.c */

/* Exit statuses as those of a shell, where COMMAND has none of its own. */
enum { START_NOT_RUNNABLE = 126, START_NOT_FOUND = 127, START_SIGNAL = 128 };

/* Runs a program, and stops it before its first instruction; a negative errno value if it is not.
 */
int start_stopped(char **command, pid_t *pid);
void start_continue(pid_t pid);
/* What was never continued. */
void start_kill(pid_t pid);
/* Waits for its end; *status is as of waitpid(2). */
int start_wait(pid_t pid, int *status);

/* record_guard.c: a process that continues pid, which is stopped, if this one is killed. */
int guard_start(pid_t pid);
void guard_end(void);

/* record_write.c: samples of a tracker become records of a file. */
struct record_file;
struct tracker;
struct tracker_sample;

struct record_sums {
	uint64_t intervals;
	uint64_t pages;
	uint64_t bytes; /* of the file */
	uint64_t late;	/* intervals that took longer than one and a half */
};

/* Functions return 0 or a negative errno value. Takes fd over if it succeeds. */
int record_file_new(struct record_file **out, int fd, const struct record_options *o,
		    struct tracker *t, pid_t pid);
/* No sample: the process has ended, and nobody knows what it wrote last. */
int record_file_add(struct record_file *f, struct tracker *t, const struct tracker_sample *s);
/* status as waitpid(2) gives it, NULL if it is not known, or the process has not ended. */
int record_file_end(struct record_file *f, bool ended, const int *status);
void record_file_sums(const struct record_file *f, struct record_sums *sums);
int record_file_close(struct record_file *f);

#endif
