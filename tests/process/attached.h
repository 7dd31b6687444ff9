/* SPDX-License-Identifier: MIT */
#ifndef TEST_PROCESS_ATTACHED_H
#define TEST_PROCESS_ATTACHED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <writewatch/process.h>

#define MOST_TRIES 10

/* To be called before a test: skips it, with the library's reason, where attaching is refused. */
void attach_begin(void);

/* Opens and attaches, or fails the test. */
struct ww_process *attach_to(pid_t pid);
/* Opens, attaches and returns the error; *info is what came of it. Nothing is left open. */
int attach_result(pid_t pid, struct ww_attachment *info);

/* Whether a page was written, by all that ww_process_get() lists of it; resets it if wanted. */
bool is_written(struct ww_process *p, const void *page, unsigned flags);
/* How many pages of the range were written; resets them. */
size_t take_written(struct ww_process *p, const void *start, size_t bytes);

/* Memory that the test and its children share. */
void *map_common(size_t bytes);

/* What can be seen of a process from outside and may not change. Give it back by free(). */
char *look_of(pid_t pid);
/* The state letter of a process. */
char state_of(pid_t pid);
/* Waits, for a few seconds at most, until it has that state. */
void wait_for_state(pid_t pid, char state);

#endif
