/* SPDX-License-Identifier: MIT */
#ifndef WRITEWATCH_TOP_SCREEN_H
#define WRITEWATCH_TOP_SCREEN_H

#include <stdbool.h>
#include <stddef.h>

#define HEAD_LINES 6 /* above the list */

/**
 * struct top_screen - how things are shown
 * @help:  the help, in place of everything else
 * @all:   also mappings that were not written
 * @first: line of the list that is at the top
 * @lines: of the list, in all
 */
struct top_screen {
	bool utf8;
	bool color;
	bool help;
	bool all;
	size_t first;
	size_t lines;
};

/* top_screen.c */
extern struct top_screen screen;
size_t screen_page_lines(void);

#endif
