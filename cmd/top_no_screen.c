/* SPDX-License-Identifier: MIT */
#include "top.h"

bool top_screen_begin(const struct top_state *s)
{
	(void)s;
	return false;
}

void top_screen_draw(const struct top_state *s)
{
	(void)s;
}

void top_screen_resize(void)
{
}

int top_screen_key(void)
{
	return 0;
}

void top_screen_end(void)
{
}

const char *top_screen_missing(void)
{
	return "built without ncurses: plain lines only";
}
