/* SPDX-License-Identifier: MIT */
#include "context.h"
#include "inside.h"

void inside_few_splits(struct ww *w)
{
	w->most_splits = 6;
}
