/* SPDX-License-Identifier: MIT */
#ifndef WRITEWATCH_PROCESSES_H
#define WRITEWATCH_PROCESSES_H

/* What /proc and a pidfd tell of a process. */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define PROCESS_NAME 32

/* A decimal number that can be a process's. */
bool process_parse(const char *text, pid_t *pid);
/* Of its program, without control characters; "?" if there is no such process. */
/* That of which pid is a thread, or pid; 0 if there is none. */
pid_t process_of_thread(pid_t pid);
void process_name(pid_t pid, char name[PROCESS_NAME]);
/* The children of all its threads; returns how many were put into pids. */
size_t process_children(pid_t pid, pid_t *pids, size_t room);
/* As waitpid(2) gives it, without being its parent; false where nobody tells. */
bool process_exit_status(pid_t pid, int pidfd, int *status);
/* " with status 1", " by signal 9 (Killed)" */
void process_print_status(int status, char *text, size_t size);

#endif
