/* SPDX-License-Identifier: MIT */
#ifndef WW_GAPS_H
#define WW_GAPS_H

/* One query over many small ranges with gaps between them, without a scan for each. */

#include <stdbool.h>
#include <stdint.h>

#include "registry.h"
#include "sink.h"

struct ww;

/**
 * struct span - neighbouring ranges that are watched in one mode
 * @first:  the first of them
 * @behind: the first range behind them, or NULL
 * @mode:   that mode; a reset may give some of them another
 * @start, @end: what was asked of them
 * @gaps:   some of [start, end) is not watched
 * @reset:  reset what is reported
 */
struct span {
	struct range *first;
	struct range *behind;
	unsigned mode;
	uintptr_t start;
	uintptr_t end;
	bool gaps;
	bool reset;
};

/* As backend_ops.scan, for a span with gaps. */
int gaps_scan(struct ww *w, const struct span *span, struct sink *sink);

#endif
