/* SPDX-License-Identifier: MIT */
#ifndef WRITEWATCH_TEXT_H
#define WRITEWATCH_TEXT_H

/* Numbers and names in a few columns. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mappings.h"
#include "tracker.h"

void text_bytes(char text[8], double bytes);  /* "512", "31.8M" */
void text_count(char text[12], double count); /* "3.5", "8132", "12.34M" */
void text_share(char text[8], uint64_t part, uint64_t whole);
/* What a person calls the mapping; where it has no name, and that is wanted, its address. */
void text_mapping(char *text, size_t size, const struct named_mapping *m, bool address);
/* Goes behind "tracked". */
/* "2 mappings are not tracked: 1 of hugetlbfs, ..."; empty if all are. */
void text_skipped(char *text, size_t size, const struct tracker_skipped *skipped);
/* Ends a text behind so many characters; it may be UTF-8. */
void text_cut(char *text, size_t characters);
const char *text_way(enum tracker_way way);

#endif
