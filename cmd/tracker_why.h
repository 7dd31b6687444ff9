/* SPDX-License-Identifier: MIT */
#ifndef WRITEWATCH_TRACKER_WHY_H
#define WRITEWATCH_TRACKER_WHY_H

#include <sys/types.h>

/* Why a process cannot be tracked, for people, into why[TRACKER_WHY]. */
__attribute__((format(printf, 2, 3))) void tracker_explain(char *why, const char *format, ...);
/* What an error of beginning to track means, a negative errno value. */
void tracker_explain_error(int error, pid_t pid, char *why);

#endif
