/* SPDX-License-Identifier: MIT */
#ifndef WW_TRIAL_H
#define WW_TRIAL_H

/* How backends prove on scratch pages that they work: what does a scan of them report? */

#include <stdbool.h>
#include <stddef.h>

#include "context.h"

/* Whether a resetting scan, or one that only looks, reports exactly the page with this number. */
bool trial_reports(struct ww *w, struct range *r, bool reset, size_t page);
bool trial_reports_nothing(struct ww *w, struct range *r);
/* A byte of the page, to be written or read. */
volatile unsigned char *trial_byte(const struct ww *w, const struct range *r, size_t page);
/* Stores and loads, before and after a reset, in a range of three pages or more. */
bool trial_tracks(struct ww *w, struct range *r);
/* Attaches and arms scratch pages for works() to try; *why tells what went wrong. */
int trial_run(struct ww *w, bool (*works)(struct ww *w, struct range *r), const char **why);
/* With write faults handled although the thread may have their signals blocked. */
int trial_unblocked(int (*trial)(struct ww *w, const char **why), struct ww *w, const char **why);

#endif
