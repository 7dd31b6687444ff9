/* SPDX-License-Identifier: MIT */
#include "report.h"
#include "command.h"
#include "report_picture.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum report_format { FORMAT_TEXT, FORMAT_CSV, FORMAT_JSON, FORMAT_SVG };

struct report_options {
	const char *path;
	enum report_format format;
	const char *format_option; /* as given */
	const char *svg_path;
	const char *bandwidth_text, *downtime_text;
	struct report_migration migration;
};

static void print_help(void)
{
	fputs("usage: writewatch report [OPTION...] FILE\n"
	      "\n"
	      "Tells what 'writewatch record' wrote into FILE: how fast memory was written, how\n"
	      "much of it in windows of 0.1 to 60 seconds, and which mappings. FILE may be -.\n"
	      "\n"
	      "  --csv                a table: the pages of each mapping in each interval\n"
	      "  --json               the summary as one JSON object\n"
	      "  --svg[=FILE]         a picture: time across, addresses down, to FILE if given\n"
	      "  --migrate BANDWIDTH  how many rounds of copying and how much downtime a live\n"
	      "                       migration or an incremental checkpoint would need.\n"
	      "                       BANDWIDTH: bytes a second, with K, M, G or T for units of\n"
	      "                       1024; or bits, in kbit, Mbit, Gbit or Tbit: 10Gbit\n"
	      "  --downtime TIME      that is allowed, in us, ms or s (300ms)\n"
	      "  --help               print this and exit\n"
	      "\n"
	      "Exit status: 0 it was told, also of a recording that was cut off; 1 FILE cannot\n"
	      "be read or is damaged, or the output failed; 2 wrong use.\n",
	      stdout);
}

static int usage_error(const char *option, const char *value, const char *why)
{
	fprintf(stderr, "writewatch report: %s '%s': %s\n", option, value, why);
	return STATUS_USAGE;
}

/* strtod() would take signs, blanks, exponents, hexadecimal numbers and infinity. */
static bool parse_decimal(const char *text, const char **end, double *out)
{
	size_t whole = strspn(text, "0123456789");
	size_t length = whole;
	char copy[32] = "";

	if (text[length] == '.')
		length += 1 + strspn(text + length + 1, "0123456789");
	if (whole == 0 || length >= sizeof(copy))
		return false;
	memcpy(copy, text, length);
	*out = strtod(copy, NULL);
	*end = text + length;
	return *out > 0;
}

struct unit {
	const char *name;
	double value;
};

static bool parse_units(const char *text, const struct unit *units, double *out)
{
	const char *end;

	if (!parse_decimal(text, &end, out))
		return false;
	for (; units->name; units++) {
		if (strcmp(end, units->name) == 0) {
			*out *= units->value;
			return true;
		}
	}
	return false;
}

static int parse_bandwidth(const char *text, double *out)
{
	static const struct unit units[] = {
	    {"", 1},
	    {"K", 1024.0},
	    {"M", 1048576.0},
	    {"G", 1073741824.0},
	    {"T", 1099511627776.0},
	    {"bit", 0.125},
	    {"kbit", 125},
	    {"Mbit", 125e3},
	    {"Gbit", 125e6},
	    {"Tbit", 125e9},
	    {NULL, 0},
	};

	if (parse_units(text, units, out))
		return STATUS_OK;
	return usage_error("--migrate", text,
			   "not a bandwidth; write it as in 500M, 1.25G or 10Gbit");
}

static int parse_downtime(const char *text, double *out)
{
	static const struct unit units[] = {{"us", 1e-6}, {"ms", 1e-3}, {"s", 1}, {NULL, 0}};

	if (parse_units(text, units, out))
		return STATUS_OK;
	return usage_error("--downtime", text, "not a time; write it as in 300ms or 1.5s");
}

static int set_format(struct report_options *o, enum report_format format, const char *option)
{
	if (o->format_option && o->format != format) {
		fprintf(stderr, "writewatch report: %s and %s: only one of them at a time\n",
			o->format_option, option);
		return STATUS_USAGE;
	}
	o->format = format;
	o->format_option = option;
	return STATUS_OK;
}

static int check_options(struct report_options *o, int argc, char **argv)
{
	if (optind >= argc) {
		fputs("writewatch report: the name of a recording is missing\n", stderr);
		return STATUS_USAGE;
	}
	if (optind + 1 < argc)
		return usage_error("argument", argv[optind + 1], "it takes one recording only");
	o->path = argv[optind];
	if (o->svg_path && !o->svg_path[0])
		return usage_error("--svg", o->svg_path, "the name of a file is missing");
	if (o->downtime_text && !o->bandwidth_text)
		return usage_error("--downtime", o->downtime_text, "only together with --migrate");
	if (o->bandwidth_text && (o->format == FORMAT_CSV || o->format == FORMAT_SVG))
		return usage_error("--migrate", o->bandwidth_text,
				   "not together with --csv or --svg");
	return STATUS_OK;
}

static int parse_option(struct report_options *o, int c, bool *help)
{
	switch (c) {
	case 'c':
		return set_format(o, FORMAT_CSV, "--csv");
	case 'j':
		return set_format(o, FORMAT_JSON, "--json");
	case 's':
		o->svg_path = optarg;
		return set_format(o, FORMAT_SVG, "--svg");
	case 'm':
		o->bandwidth_text = optarg;
		return parse_bandwidth(optarg, &o->migration.bandwidth);
	case 'd':
		o->downtime_text = optarg;
		return parse_downtime(optarg, &o->migration.downtime);
	case 'h':
		*help = true;
		return STATUS_OK;
	default:
		return STATUS_USAGE;
	}
}

static int parse_options(int argc, char **argv, struct report_options *o, bool *help)
{
	static const struct option options[] = {
	    {"csv", no_argument, NULL, 'c'},
	    {"json", no_argument, NULL, 'j'},
	    {"svg", optional_argument, NULL, 's'},
	    {"migrate", required_argument, NULL, 'm'},
	    {"downtime", required_argument, NULL, 'd'},
	    {"help", no_argument, NULL, 'h'},
	    {NULL, 0, NULL, 0},
	};
	int c, r = STATUS_OK;

	while (r == STATUS_OK && (c = getopt_long(argc, argv, "h", options, NULL)) != -1)
		r = parse_option(o, c, help);
	return r == STATUS_OK && !*help ? check_options(o, argc, argv) : r;
}

/* A damaged recording is told of as far as it is right; only this status says that it was not. */
static int status_of(const struct report *r, int error)
{
	const struct recording_problem *p = &r->problem;

	if (error == -ENOPKG) {
		fputs("writewatch report: built without jansson, which --json needs\n", stderr);
	} else if (error && error != -EBADMSG) {
		fprintf(stderr, "writewatch report: %s: %s\n", r->path, strerror(-error));
	} else if (p->text[0]) {
		fprintf(stderr, "writewatch report: %s: %s, at byte %" PRIu64 "%s\n", r->path,
			p->text, p->offset, error ? "" : "; this tells of what is before it");
		return error || !p->truncated ? STATUS_FAILED : STATUS_OK;
	}
	return error ? STATUS_FAILED : STATUS_OK;
}

/* Returns an exit status. */
static int write_svg(struct report *r, const char *path)
{
	struct picture picture;
	int status = STATUS_FAILED, failed;
	int error = picture_open(&picture, path, r->file);
	bool whole = false;

	if (error == -EEXIST) {
		usage_error("--svg", path, "that is the recording");
		picture_close(&picture, false);
		return STATUS_USAGE;
	}
	if (!error) {
		failed = report_print_svg(r, picture.file);
		whole = failed == 0;
		status = status_of(r, failed);
	}
	failed = picture_close(&picture, whole);
	error = error ? error : failed;
	if (!error)
		return status;
	fprintf(stderr, "writewatch report: cannot write %s: %s\n", path, strerror(-error));
	return STATUS_FAILED;
}

static int print_report(struct report *r, struct report_options *o)
{
	struct report_migration *m = o->bandwidth_text ? &o->migration : NULL;
	int error = m ? report_migrate(r, m) : 0;

	if (!error && o->svg_path)
		return write_svg(r, o->svg_path);
	if (!error && o->format == FORMAT_SVG)
		return status_of(r, report_print_svg(r, stdout));
	if (!error && o->format == FORMAT_CSV)
		error = report_print_csv(r);
	else if (!error && o->format == FORMAT_JSON)
		error = report_print_json(r, m);
	else if (!error)
		error = report_print_text(r, m);
	return status_of(r, error);
}

int command_report(int argc, char **argv)
{
	struct report_options options = {.migration = {.downtime = 0.3}};
	struct report report;
	bool help = false;
	int error, status = parse_options(argc, argv, &options, &help);

	if (status != STATUS_OK) {
		fputs("Try 'writewatch report --help'.\n", stderr);
		return status;
	}
	if (help) {
		print_help();
		return STATUS_OK;
	}
	error = report_open(&report, options.path);
	/* The table needs no more than the areas, and is wanted of long recordings. */
	if (!error && options.format != FORMAT_CSV)
		error = report_measure(&report);
	status = error ? status_of(&report, error) : print_report(&report, &options);
	report_close(&report);
	return status;
}
