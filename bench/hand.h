/* SPDX-License-Identifier: MIT */
#ifndef HAND_H
#define HAND_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * References that watch one range each, written by hand for one backend of the library. They have
 * one range, no arguments to check and exit on errors; what they promise is the same: threads may
 * write at any time, and what they write is reported sooner or later.
 */
struct hand {
	/* NULL, or why there is no reference here. */
	const char *(*open)(void);
	void (*close)(void);
	void (*watch)(char *base, size_t len);
	void (*unwatch)(void);
	/* Around writes to the range: its faults go to the reference, then to the library again. */
	void (*enter)(void);
	void (*leave)(void);
	size_t (*get)(bool reset, void **pages);
};

extern const struct hand hand_async;
extern const struct hand hand_sigbus;
extern const struct hand hand_thread;
extern const struct hand hand_mprotect;
extern const struct hand hand_sigsegv;
extern const struct hand hand_soft_dirty;

/* hand_mprotect.c, also for the handler that libsigsegv calls: whether the fault was ours. */
bool hand_mprotect_fault(uintptr_t addr);

/* hand_pagemap.c: dirty is an entry with @bits equal to @value; @reset may be NULL. */
#define HAND_PIECE ((size_t)64 << 10)

int hand_pagemap_open(void);
size_t hand_pagemap_get(int fd, const char *base, size_t len, uint64_t bit, uint64_t value,
			void (*reset)(uintptr_t start, uintptr_t end), void **pages);
void hand_pagemap_read(int fd, const char *base, size_t len);

#endif
