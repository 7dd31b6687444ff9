/* SPDX-License-Identifier: MIT */
#ifndef TEST_VM_BACKENDS_H
#define TEST_VM_BACKENDS_H

#include <stdbool.h>
#include <stddef.h>

struct ww;

struct outcome {
	size_t pages; /* that were watched */
	size_t over;  /* reported, but not written */
	size_t lost;  /* written, but not reported */
};

/* Something that a program may do with watched memory. */
struct situation {
	const char *name;
	/* 0, or a negative errno value: -ENOTSUP where this machine cannot do it. */
	int (*run)(struct ww *w, struct outcome *o);
};

/* Ends with a row without name. */
extern const struct situation situations[];

#endif
