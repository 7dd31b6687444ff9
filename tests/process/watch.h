/* SPDX-License-Identifier: MIT */
#ifndef TEST_PROCESS_WATCH_H
#define TEST_PROCESS_WATCH_H

#include <stdbool.h>
#include <stddef.h>

/* Asynchronous write-protection by hand: what PAGEMAP_SCAN from outside meets in a process. */

/* A userfaultfd; -1 where there is none that protects asynchronously. */
int watch_open(void);
bool watch_attach(int uffd, void *at, size_t len);
bool watch_protect(int uffd, void *at, size_t len);

#endif
