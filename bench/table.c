/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include <sys/utsname.h>

#include "bench.h"

static const char *machine(void)
{
	static char line[256];
	FILE *f = fopen("/proc/cpuinfo", "re");
	char *colon = NULL;

	while (f && !colon && fgets(line, sizeof(line), f))
		if (!strncmp(line, "model name", 10))
			colon = strchr(line, ':');
	if (f)
		fclose(f);
	if (!colon)
		return "unknown processor";
	colon[strcspn(colon, "\n")] = '\0';
	return colon + 2;
}

void table_open(struct bench *b)
{
	struct ww_info info = {.size = sizeof(info)};
	struct utsname u;

	check(ww_info(b->w, &info), "ww_info");
	uname(&u);
	printf("%s, Linux %s %s, backend %s%s\n", machine(), u.release, u.machine, info.backend,
	       b->quick ? "; a quick run proves nothing about speed" : "");
	printf("%-44s %6s %12s %12s  %-24s %-10s\n", "work", "dirty", "library", "reference",
	       "judged (95 % interval)", "limit");
	if (!b->csv_path)
		return;
	b->csv = fopen(b->csv_path, "we");
	if (!b->csv)
		die("%s: %s", b->csv_path, strerror(errno));
	fprintf(b->csv, "work,dirty_percent,pairs,library_ns,reference_ns,ratio,difference_ns,"
			"interval_low,interval_high,limit_kind,limit,verdict\n");
}

static const char *duration(char *text, size_t size, double ns)
{
	if (ns < 10e3)
		snprintf(text, size, "%.0f ns", ns);
	else
		snprintf(text, size, "%.1f us", ns / 1e3);
	return text;
}

static double judged(const struct work *work, const struct figures *f)
{
	switch (work->kind) {
	case LIMIT_EXTRA_NS:
		return f->extra;
	case LIMIT_ABSOLUTE_US:
		return f->median[LIB];
	default:
		return f->ratio;
	}
}

static double limit_in_its_unit(const struct work *work)
{
	return work->kind == LIMIT_ABSOLUTE_US ? work->limit * 1e3 : work->limit;
}

/*
 * The same code on two ranges differs by up to 1 % in runs that are otherwise quiet, because page
 * tables and pages lie elsewhere. The interval does not know about that.
 */
#define PLACEMENT 0.01

/* "over?" says that the limit lies within the noise: it may be met or not. */
static const char *verdict(const struct work *work, const struct figures *f)
{
	double limit = limit_in_its_unit(work);

	if (work->kind == NO_LIMIT)
		return "";
	if (judged(work, f) <= limit)
		return "ok";
	if (work->kind == LIMIT_RATIO)
		limit += PLACEMENT;
	return f->low > limit ? "OVER" : "over?";
}

static void format_judged(char *text, size_t size, const struct work *work,
			  const struct figures *f)
{
	double value = judged(work, f);

	switch (work->kind) {
	case LIMIT_EXTRA_NS:
		snprintf(text, size, "%+.0f ns (%+.0f..%+.0f)", value, f->low, f->high);
		break;
	case LIMIT_ABSOLUTE_US:
		snprintf(text, size, "%.2f us (%.2f..%.2f)", value / 1e3, f->low / 1e3,
			 f->high / 1e3);
		break;
	default:
		snprintf(text, size, "%.3f x (%.3f..%.3f)", value, f->low, f->high);
	}
}

static void format_limit(char *text, size_t size, const struct work *work)
{
	static const char *const forms[] = {"-", "%.2f x", "%+.0f ns", "%.0f us"};

	snprintf(text, size, forms[work->kind], work->limit);
}

void table_row(struct bench *b, const struct work *work, const struct figures *f)
{
	static const char *const kinds[] = {"none", "ratio", "difference_ns", "library_us"};
	char dirty[16] = "", lib[24], ref[24], value[48], limit[24];
	const char *result = verdict(work, f);

	b->rows++;
	b->over += !strcmp(result, "OVER");
	b->unclear += !strcmp(result, "over?");
	if (work->dirty >= 0)
		snprintf(dirty, sizeof(dirty), "%g %%", work->dirty);
	format_judged(value, sizeof(value), work, f);
	format_limit(limit, sizeof(limit), work);
	printf("%-44s %6s %12s %12s  %-24s %-10s %s\n", work->name, dirty,
	       duration(lib, sizeof(lib), f->median[LIB]),
	       duration(ref, sizeof(ref), f->median[REF]), value, limit, result);
	fflush(stdout);
	if (b->csv)
		fprintf(b->csv, "\"%s\",%g,%zu,%.1f,%.1f,%.4f,%.1f,%.4f,%.4f,%s,%g,%s\n",
			work->name, work->dirty, work->pairs, f->median[LIB], f->median[REF],
			f->ratio, f->extra, f->low, f->high, kinds[work->kind], work->limit,
			*result ? result : "none");
}

/* Something counted, not timed. */
void table_fact(struct bench *b, const char *name, double value, const char *unit, double limit)
{
	const char *result = value <= limit ? "ok" : "OVER";
	char text[48], most[24];

	b->rows++;
	b->over += value > limit;
	snprintf(text, sizeof(text), "%g %s", value, unit);
	snprintf(most, sizeof(most), "%g %s", limit, unit);
	printf("%-44s %6s %12s %12s  %-24s %-10s %s\n", name, "", "", "", text, most, result);
	if (b->csv)
		fprintf(b->csv, "\"%s\",,,,,,,,,%s,%g,%s\n", name, unit, limit, result);
}

void table_close(struct bench *b)
{
	printf("%u rows, %u over their limit, %u over it by less than the noise\n", b->rows,
	       b->over, b->unclear);
	if (!b->csv)
		return;
	if (fclose(b->csv))
		die("%s: %s", b->csv_path, strerror(errno));
	printf("written to %s\n", b->csv_path);
}
