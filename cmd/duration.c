/* SPDX-License-Identifier: MIT */
#include "duration.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const struct {
	const char *name;
	uint64_t ns;
} units[] = {
    {"", NS_PER_SECOND}, {"s", NS_PER_SECOND},	    {"ms", NS_PER_MS},
    {"us", 1000},	 {"m", 60 * NS_PER_SECOND}, {"h", 3600 * NS_PER_SECOND},
};

static int unit_of(const char *name, uint64_t *ns)
{
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(name, units[i].name) == 0) {
			*ns = units[i].ns;
			return 0;
		}
	}
	return -EINVAL;
}

/* By hand: strtod() would take a sign, blanks, hexadecimal and the locale's point. */
int duration_parse(const char *text, uint64_t *ns)
{
	uint64_t value = 0, scale = 1, unit;
	const char *point = NULL;
	const char *p = text;

	for (; isdigit((unsigned char)*p) || (*p == '.' && !point); p++) {
		if (*p == '.') {
			point = p;
			continue;
		}
		/* What is below a nanosecond is left out. */
		if (point && scale >= NS_PER_SECOND)
			continue;
		value = value * 10 + (uint64_t)(*p - '0');
		scale *= point ? 10 : 1;
		if (value > DURATION_MAX_NS * 10)
			return -ERANGE;
	}
	if (p == text || (point && p - text == 1) || unit_of(p, &unit) < 0)
		return -EINVAL;
	/* In double: the product may have more than 64 bits, and a nanosecond more or less is well.
	 */
	if ((double)value / (double)scale * (double)unit > (double)DURATION_MAX_NS)
		return -ERANGE;
	*ns = (uint64_t)((double)value / (double)scale * (double)unit + 0.5);
	return *ns < DURATION_MIN_NS ? -ERANGE : 0;
}

void duration_print(uint64_t ns, char *text, size_t size)
{
	if (ns < NS_PER_SECOND)
		snprintf(text, size, "%.6g ms", (double)ns / (double)NS_PER_MS);
	else
		snprintf(text, size, "%.6g s", (double)ns / (double)NS_PER_SECOND);
}

uint64_t duration_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

void ticker_start(struct ticker *t, uint64_t interval, uint64_t now)
{
	t->interval = interval;
	t->next = now + interval;
}

uint64_t ticker_advance(struct ticker *t, uint64_t now)
{
	uint64_t missed = now > t->next ? (now - t->next) / t->interval : 0;

	t->next += (missed + 1) * t->interval;
	return missed;
}
