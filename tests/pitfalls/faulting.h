/* SPDX-License-Identifier: MIT */
#ifndef TEST_FAULTING_H
#define TEST_FAULTING_H

#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <writewatch/writewatch.h>

/* Faults of a program's own, next to those that a backend may cause and handle. */

#define PAGE 4096
#define PAGES 64
#define ALL ((size_t)PAGES * PAGE)

extern struct ww *w;
extern char *memory;

/* What the program's handlers saw last, and how often they ran. */
struct seen {
	int calls;
	int number;
	int code;
	void *addr;
	bool had_context;
};
extern volatile struct seen seen;

/* Handlers that leave by a jump to where try_write() and its like began. */
void jump_info(int number, siginfo_t *info, void *context);
void jump_plain(int number);

/* Installs one for a signal; returns what was there. */
struct sigaction handle(int number, void (*handler)(int, siginfo_t *, void *), int flags);

/* A store, and whether it succeeded; else a handler that jumps was called. */
bool try_write(volatile char *at);
bool try_read(const volatile char *at);

/* An address where a store causes SIGSEGV, or SIGBUS. Good for the life of the test. */
char *bad_address(int number);

/* Makes w, and maps and watches memory with content. */
void watch_memory(uint64_t flags);
void unwatch_memory(void);

/* Resets, and stores to these pages; they and only they are reported. */
void expect_watched(void);

/* Runs it in a child: 0, its exit status, or 1000 + the number of the signal that ended it. */
int run_child(void (*body)(void));
#define DIES_BY(number) (1000 + (number))

#endif
