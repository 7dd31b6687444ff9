/* SPDX-License-Identifier: MIT */
#include "report.h"

#include <inttypes.h>
#include <string.h>

const char *report_size(char *text, double bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	size_t unit = 0;

	for (; bytes >= 1023.95 && unit < 6; unit++)
		bytes /= 1024;
	snprintf(text, REPORT_WORDS, unit ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
	return text;
}

const char *report_time(char *text, double seconds)
{
	if (seconds <= 0)
		snprintf(text, REPORT_WORDS, "0 s");
	else if (seconds < 0.9995e-3)
		snprintf(text, REPORT_WORDS, "%.3g us", seconds * 1e6);
	else if (seconds < 0.9995)
		snprintf(text, REPORT_WORDS, "%.3g ms", seconds * 1e3);
	else if (seconds < 99.95)
		snprintf(text, REPORT_WORDS, "%.3g s", seconds);
	else
		snprintf(text, REPORT_WORDS, "%.0f s", seconds);
	return text;
}

/* With a comma between groups of three digits. */
const char *report_count(char *text, uint64_t count)
{
	char digits[24];
	int length = snprintf(digits, sizeof(digits), "%" PRIu64, count), to = 0;

	for (int i = 0; i < length; i++) {
		if (i && (length - i) % 3 == 0)
			text[to++] = ',';
		text[to++] = digits[i];
	}
	text[to] = '\0';
	return text;
}

const char *report_permissions(char *text, unsigned permissions)
{
	snprintf(text, REPORT_WORDS, "%c%c%c%c", permissions & RECORDING_READ ? 'r' : '-',
		 permissions & RECORDING_WRITE ? 'w' : '-',
		 permissions & RECORDING_EXECUTE ? 'x' : '-',
		 permissions & RECORDING_SHARED ? 's' : 'p');
	return text;
}

const char *report_name(char *text, const struct report_area *area)
{
	if (area->name[0])
		return area->name;
	snprintf(text, REPORT_WORDS, "[anonymous] %" PRIx64, area->start);
	return text;
}

size_t report_width(const char *text)
{
	size_t width = 0;

	for (; *text; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}
