/* SPDX-License-Identifier: MIT */
#ifndef WW_CHOICE_H
#define WW_CHOICE_H

#include <stdbool.h>
#include <stdint.h>

#include "writewatch/writewatch.h"

struct ww;

/* Which backend a context gets: what the program and the user ask for, tried in order. */

/**
 * struct wish - what is asked for
 * @none:     no backend at all
 * @only:     this one; NULL for the first that works
 * @required: guarantees that it must give
 * @flags:    of struct ww_options
 */
struct wish {
	bool none;
	const char *only;
	uint64_t required;
	uint64_t flags;
};

/* Of options, which may be null, and WRITEWATCH_BACKEND, which has the last word; -EINVAL. */
int choice_read(const struct ww_options *options, struct wish *wish);
/*
 * Opens the backend, and keeps for each that was refused why. Where there is none, -ENOMEM, -EMFILE
 * or -ENFILE if that was what one of them lacked, else -ENOTSUP.
 */
int choice_make(struct ww *w, const struct wish *wish);
/* What the caller can mend, as against what this machine does not have. */
bool choice_is_shortage(int error);

#endif
