/* SPDX-License-Identifier: MIT */
#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void text_bytes(char text[8], double bytes)
{
	static const char units[] = " KMGTPE";
	size_t unit = 0;

	while (bytes >= 999.5 && units[unit + 1]) {
		bytes /= 1024;
		unit++;
	}
	if (unit == 0)
		snprintf(text, 8, "%.0f", bytes);
	else
		snprintf(text, 8, bytes < 99.95 ? "%.1f%c" : "%.0f%c", bytes, units[unit]);
}

void text_count(char text[12], double count)
{
	if (count >= 999999.5)
		snprintf(text, 12, "%.4gM", count / 1e6);
	else if (count > 0 && count < 9.95)
		snprintf(text, 12, "%.1f", count);
	else
		snprintf(text, 12, "%.0f", count);
}

void text_share(char text[8], uint64_t part, uint64_t whole)
{
	double share = whole ? 100.0 * (double)part / (double)whole : 0;

	if (part && share < 0.1)
		strcpy(text, "<0.1%");
	else
		snprintf(text, 8, share < 99.95 ? "%.1f%%" : "%.0f%%", share);
}

void text_mapping(char *text, size_t size, const struct named_mapping *m, bool address)
{
	const char *slash = *m->name == '/' ? strrchr(m->name, '/') : NULL;
	const char *name = slash && slash[1] ? slash + 1 : m->name;

	if (!*name && address)
		snprintf(text, size, "%" PRIx64, m->start);
	else
		snprintf(text, size, "%s", *name ? name : "anonymous");
	for (char *p = text; *p; p++) {
		if ((unsigned char)*p < ' ' || (unsigned char)*p >= 127)
			*p = '?';
	}
}

void text_skipped(char *text, size_t size, const struct tracker_skipped *skipped)
{
	const struct {
		uint64_t count;
		const char *what;
	} kinds[] = {
	    {skipped->busy, "watched by another userfaultfd"},
	    {skipped->hugetlb, "of hugetlbfs"},
	    {skipped->sealed, "of read-only files"},
	    {skipped->special, "of devices or the kernel"},
	};
	const char *between = ":";
	size_t used;

	*text = '\0';
	if (!skipped->mappings)
		return;
	used = (size_t)snprintf(text, size, "%" PRIu64 " mapping%s not tracked", skipped->mappings,
				skipped->mappings == 1 ? " is" : "s are");
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]) && used < size; i++) {
		if (!kinds[i].count)
			continue;
		used += (size_t)snprintf(text + used, size - used, "%s %" PRIu64 " %s", between,
					 kinds[i].count, kinds[i].what);
		between = ",";
	}
}

void text_cut(char *text, size_t characters)
{
	for (; *text; text++) {
		if (((unsigned char)*text & 0xc0) != 0x80 && characters-- == 0)
			break;
	}
	*text = '\0';
}

const char *text_way(enum tracker_way way)
{
	if (way == TRACKER_SOFT_DIRTY)
		return "by soft-dirty bits: writes may be missed, and others told of too often";
	return "exactly, by userfaultfd: every page that was written, and no other";
}
