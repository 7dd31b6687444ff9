/* SPDX-License-Identifier: MIT */
#include "report_svg.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#define RATE_TOP 92
#define RATE_HEIGHT 54
#define BANDS_TOP 196
#define BAND_GAP 8
#define NO_BAND 40
#define BELOW 112      /* the last band: axis and legend */
#define LABEL_WIDTH 30 /* characters that fit to the left of the plot */
#define TICKS 8

static const char style[] =
    "text{font-family:system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif;"
    "font-size:12px;fill:#1c2430}"
    ".title{font-size:20px;font-weight:600}.small{font-size:10.5px}\n"
    ".muted{fill:#5b6675}.middle{text-anchor:middle}.end{text-anchor:end}\n"
    ".paper{fill:#fff}.back{fill:#eff2f6}.rule{stroke:#cfd5dd;fill:none}\n"
    ".rate{fill:#3567b5}.gap{fill:#c22f2f}path{shape-rendering:crispEdges}\n"
    ".h1{fill:#fbe3a2}.h2{fill:#fbc871}.h3{fill:#f8a04f}.h4{fill:#ee7341}\n"
    ".h5{fill:#d4433d}.h6{fill:#a41f45}.h7{fill:#5e0d3f}\n"
    "@media (prefers-color-scheme: dark){\n"
    "text{fill:#e6eaf1}.muted{fill:#9aa5b6}\n"
    ".paper{fill:#14171d}.back{fill:#20252e}.rule{stroke:#3a4250}\n"
    ".rate{fill:#6ea3f5}.gap{fill:#ff6b6b}\n"
    ".h1{fill:#43204c}.h2{fill:#672160}.h3{fill:#94285e}.h4{fill:#c33f4e}\n"
    ".h5{fill:#e66a38}.h6{fill:#f8a63f}.h7{fill:#fff0a8}\n"
    "}\n";

static void print_escaped(FILE *to, const char *text, size_t length)
{
	for (size_t i = 0; i < length && text[i]; i++) {
		switch (text[i]) {
		case '&':
			fputs("&amp;", to);
			break;
		case '<':
			fputs("&lt;", to);
			break;
		case '>':
			fputs("&gt;", to);
			break;
		default:
			putc(text[i], to);
		}
	}
}

/* The end of a text that does not fit; bytes behind the first of a character take no room. */
static void print_fitting(FILE *to, const char *text, size_t room)
{
	size_t width = report_width(text);

	if (width > room) {
		fputs("\xe2\x80\xa6", to);
		for (size_t drop = width - room + 1; drop; drop--) {
			do
				text++;
			while (((unsigned char)*text & 0xc0) == 0x80);
		}
	}
	print_escaped(to, text, strlen(text));
}

static void print_label(FILE *to, const char *classes, double x, double y, const char *text)
{
	fprintf(to, "<text class=\"%s\" x=\"%g\" y=\"%g\">", classes, x, y);
	print_escaped(to, text, strlen(text));
	fputs("</text>\n", to);
}

static void print_head(const struct report *r, FILE *to, unsigned height)
{
	const struct recording_header *h = r->header;
	char duration[REPORT_WORDS], interval[REPORT_WORDS], size[REPORT_WORDS], text[512];

	fprintf(to,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%u\" "
		"viewBox=\"0 0 %d %u\" role=\"img\">\n<title>Memory written by ",
		SVG_WIDTH, height, SVG_WIDTH, height);
	print_escaped(to, h->command, strlen(h->command));
	fprintf(to,
		"</title>\n<style>%s</style>\n"
		"<rect class=\"paper\" width=\"100%%\" height=\"100%%\"/>\n"
		"<text class=\"title\" x=\"20\" y=\"34\">Memory written by ",
		style);
	print_fitting(to, h->command, 60);
	fputs("</text>\n", to);
	snprintf(text, sizeof(text),
		 "Process %" PRIu64 ", %s in %" PRIu64 " interval%s of %s, %s. Written: %s in "
		 "different pages.",
		 h->pid, report_time(duration, (double)r->duration_ns / 1e9), r->intervals,
		 r->intervals == 1 ? "" : "s", report_time(interval, (double)h->interval_ns / 1e9),
		 h->tracking == RECORDING_EXACT ? "tracked exactly" : "tracked by soft-dirty bits",
		 report_size(size, (double)r->bytes));
	print_label(to, "muted", 20, 56, text);
}

static double rate_of(const struct svg *svg, size_t column)
{
	double seconds = (double)svg->report->duration_ns / 1e9 / SVG_COLUMNS;

	return seconds > 0 ? svg->bytes[column] / seconds : 0;
}

/* What was written a second, as an area; and where tracking was incomplete. */
static void print_rate(const struct svg *svg, FILE *to)
{
	char size[REPORT_WORDS], text[REPORT_WORDS + 8];
	const int bottom = RATE_TOP + RATE_HEIGHT;
	double most = 0;

	for (size_t i = 0; i < SVG_COLUMNS; i++)
		most = fmax(most, rate_of(svg, i));
	fprintf(to, "<path class=\"rule\" d=\"M%d %dh%dM%d %dh%d\"/>\n", SVG_LEFT, RATE_TOP,
		SVG_PLOT, SVG_LEFT, bottom, SVG_PLOT);
	if (most > 0) {
		fprintf(to, "<path class=\"rate\" d=\"M%d %d", SVG_LEFT, bottom);
		for (size_t i = 0; i < SVG_COLUMNS; i++)
			fprintf(to, "V%.1fh%d", bottom - RATE_HEIGHT * rate_of(svg, i) / most,
				SVG_COLUMN);
		fprintf(to, "V%dz\"/>\n", bottom);
	}
	snprintf(text, sizeof(text), "%s/s", report_size(size, most));
	print_label(to, "end small muted", SVG_LEFT - 8, RATE_TOP + 4, text);
	print_label(to, "end small muted", SVG_LEFT - 8, bottom + 4, "0");
	print_label(to, "", 20, RATE_TOP + RATE_HEIGHT / 2 + 4, "Written each second");
	for (size_t i = 0; i < SVG_COLUMNS; i++) {
		if (svg->incomplete[i])
			fprintf(
			    to,
			    "<rect class=\"gap\" x=\"%zu\" y=\"%d\" width=\"%d\" height=\"4\"/>\n",
			    SVG_LEFT + i * SVG_COLUMN, bottom + 2, SVG_COLUMN);
	}
}

/* One path for each level, with one shape for neighbours in a row. */
static void print_cells(const struct svg *svg, const struct svg_band *band, unsigned top, FILE *to)
{
	for (unsigned level = 1; level <= SVG_LEVELS; level++) {
		bool any = false;

		for (unsigned row = 0; row < band->rows; row++) {
			unsigned y = band->height * row / band->rows;
			unsigned height = band->height * (row + 1) / band->rows - y;

			for (size_t from = 0, i = 0; i < SVG_COLUMNS; from = i) {
				size_t width;

				for (i = from;
				     i < SVG_COLUMNS && svg_level(svg, band, row, i) == level; i++)
					;
				width = (i - from) * SVG_COLUMN;
				if (i == from) {
					i++;
					continue;
				}
				if (!any)
					fprintf(to, "<path class=\"h%u\" d=\"", level);
				any = true;
				fprintf(to, "M%zu %uh%zuv%uh-%zuz", SVG_LEFT + from * SVG_COLUMN,
					top + y, width, height, width);
			}
		}
		if (any)
			fputs("\"/>\n", to);
	}
}

static void print_band_labels(const struct svg *svg, const struct svg_band *band, unsigned top,
			      FILE *to)
{
	const struct report_area *area = band->area;
	const struct report *r = svg->report;
	double length = (double)(area->end - area->start);
	double seconds = r->duration_ns ? (double)r->duration_ns / 1e9 : 1;
	double rate = (double)area->page_writes * (double)r->header->page_size / seconds;
	char name[REPORT_WORDS], size[REPORT_WORDS], shown[REPORT_WORDS], text[256];

	fprintf(to, "<text x=\"20\" y=\"%u\">", top + 12);
	print_fitting(to, area->name[0] ? area->name : "anonymous", LABEL_WIDTH);
	report_size(size, length);
	report_size(shown, (double)band->pages * (double)r->header->page_size);
	snprintf(text, sizeof(text), "%s%s%s at %" PRIx64, strcmp(size, shown) ? shown : "",
		 strcmp(size, shown) ? " of " : "", size, band->first_page * r->header->page_size);
	fputs("</text>\n", to);
	print_label(to, "small muted", 20, top + 26, text);
	snprintf(text, sizeof(text), "%s/s", report_size(name, rate));
	print_label(to, "", SVG_LEFT + SVG_PLOT + 10, top + 12, text);
	snprintf(text, sizeof(text), "%.3g %% written", 100 * (double)area->bytes / length);
	print_label(to, "small muted", SVG_LEFT + SVG_PLOT + 10, top + 26, text);
}

static double column_of(const struct report *r, uint64_t ns)
{
	if (r->duration_ns == 0)
		return SVG_LEFT;
	return SVG_LEFT + SVG_PLOT * ((double)ns / (double)r->duration_ns);
}

static void print_band(const struct svg *svg, const struct svg_band *band, unsigned top, FILE *to)
{
	const struct report_area *area = band->area;
	char permissions[REPORT_WORDS], name[REPORT_WORDS];
	double left = column_of(svg->report, area->first_ns);
	double right = column_of(svg->report, area->last_ns);

	fputs("<g class=\"mapping\"><title>", to);
	print_escaped(to, report_name(name, area), RECORDING_MAX_TEXT);
	fprintf(to, "\n%" PRIx64 "-%" PRIx64 " %s</title>\n", area->start, area->end,
		report_permissions(permissions, area->permissions));
	fprintf(to, "<rect class=\"back\" x=\"%.6g\" y=\"%u\" width=\"%.6g\" height=\"%u\"/>\n",
		left, top, fmax(right - left, 0), band->height);
	print_cells(svg, band, top, to);
	print_band_labels(svg, band, top, to);
	fputs("</g>\n", to);
}

/* At 1, 2 or 5 of a power of ten. */
static void print_time_axis(const struct report *r, FILE *to, unsigned y)
{
	static const double steps[] = {1, 2, 5, 10};
	double duration = (double)r->duration_ns / 1e9;
	double power = pow(10, floor(log10(fmax(duration, 1e-9) / TICKS)));
	size_t step = 0;

	while (step < 3 && steps[step] * power * TICKS < duration * 0.999)
		step++;
	for (unsigned i = 0; i <= TICKS && i * steps[step] * power <= duration * 1.001; i++) {
		double x = column_of(r, (uint64_t)(i * steps[step] * power * 1e9));

		fprintf(to,
			"<path class=\"rule\" d=\"M%.6g %uv6\"/>"
			"<text class=\"small muted middle\" x=\"%.6g\" y=\"%u\">%.6g</text>\n",
			x, y, x, y + 18, i * steps[step] * power);
	}
	print_label(to, "middle", SVG_LEFT + SVG_PLOT / 2, y + 36, "Time in seconds");
}

static void print_legend(const struct svg *svg, FILE *to, unsigned y)
{
	char interval[REPORT_WORDS], text[128];
	const unsigned box = 44, x = SVG_LEFT + SVG_PLOT - SVG_LEVELS * box;

	snprintf(text, sizeof(text), "Heat: share of the pages written in each interval of %s",
		 report_time(interval, (double)svg->report->header->interval_ns / 1e9));
	print_label(to, "end", x - 12, y + 11, text);
	for (unsigned i = 0; i < SVG_LEVELS; i++) {
		fprintf(to, "<rect class=\"h%u\" x=\"%u\" y=\"%u\" width=\"%u\" height=\"14\"/>\n",
			i + 1, x + i * box, y, box);
		snprintf(text, sizeof(text), i + 1 == SVG_LEVELS ? "%g %%" : "%g", svg_limits[i]);
		print_label(to, "end small muted", x + (i + 1) * box, y + 27, text);
	}
}

/* What the picture does not show, and what a mark means that it has. */
static void print_notes(const struct svg *svg, FILE *to, unsigned y)
{
	const struct report *r = svg->report;
	size_t count = r->hottest_count - svg->band_count;
	uint64_t hidden = r->stray_writes;
	char text[256];

	for (size_t i = svg->band_count; i < r->hottest_count; i++)
		hidden += r->hottest[i]->page_writes;
	if (hidden) {
		snprintf(text, sizeof(text), "Not shown: %.2g %% of the writes, in %zu mapping%s%s",
			 100 * (double)hidden / (double)r->page_writes, count,
			 count == 1 ? "" : "s", r->stray_writes ? " and outside of all" : "");
		print_label(to, "small muted", 20, y + 27, text);
	}
	if (r->incomplete) {
		fprintf(to, "<rect class=\"gap\" x=\"20\" y=\"%u\" width=\"9\" height=\"4\"/>\n",
			y + 5);
		print_label(to, "small muted", 34, y + 11, "tracking was incomplete");
	}
}

/* Returns where they end. */
static unsigned print_bands(const struct svg *svg, FILE *to)
{
	const int right = SVG_LEFT + SVG_PLOT, above = BANDS_TOP - 14;
	unsigned y = BANDS_TOP;

	print_label(to, "", 20, above, "Written where");
	print_label(to, "end small muted", right, above,
		    "each band is one mapping, its lowest address on top");
	print_label(to, "small muted", right + 10, above, "on average");
	if (svg->band_count == 0)
		print_label(to, "middle muted", SVG_LEFT + SVG_PLOT / 2, y + 20,
			    "nothing was written in any mapping");
	for (size_t i = 0; i < svg->band_count; y += svg->bands[i++].height + BAND_GAP)
		print_band(svg, &svg->bands[i], y, to);
	return svg->band_count ? y : y + NO_BAND;
}

int report_print_svg(struct report *r, FILE *to)
{
	struct svg svg;
	int error = svg_fill(&svg, r);
	unsigned y, height = svg.band_count ? 0 : NO_BAND;

	if (!error) {
		for (size_t i = 0; i < svg.band_count; i++)
			height += svg.bands[i].height + BAND_GAP;
		print_head(r, to, BANDS_TOP + height + BELOW);
		print_rate(&svg, to);
		y = print_bands(&svg, to);
		print_time_axis(r, to, y);
		print_legend(&svg, to, y + 62);
		print_notes(&svg, to, y + 62);
		fputs("</svg>\n", to);
	}
	svg_free(&svg);
	return error;
}
