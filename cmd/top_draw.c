/* SPDX-License-Identifier: MIT */
#include "duration.h"
#include "text.h"
#include "top.h"
#include "top_screen.h"

#include <curses.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define WIDE 104 /* columns from which on there is one for addresses */
#define MIN_STRIP 8
#define MAX_STRIP 256
#define NAME 14 /* columns that a mapping's name always has: those without one show an address */
#define HEIGHTS 8

static const char *const blocks[HEAT_LEVELS] = {"·", "░", "▒", "▓", "█"};
static const char *const letters[HEAT_LEVELS] = {".", ":", "+", "*", "#"};
static const char *const bars[HEIGHTS] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
static const char *const ascii_bars[HEIGHTS] = {"_", ".", "-", "~", "=", "+", "*", "#"};

static void put_cell(unsigned char level)
{
	attr_t attributes = level ? A_NORMAL : A_DIM;

	if (screen.color && level)
		attributes |= COLOR_PAIR(level);
	attron(attributes);
	addstr(screen.utf8 ? blocks[level] : letters[level]);
	attroff(attributes);
}

__attribute__((format(printf, 2, 3))) static void put_right(int line, const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if ((int)strlen(text) < COLS)
		mvaddstr(line, COLS - (int)strlen(text), text);
}

static const struct target *first_target(const struct top_state *s)
{
	return s->targets->count ? &s->targets->list[0] : NULL;
}

static void draw_history(int line, const struct targets *t)
{
	size_t have = t->rate_count < TOP_HISTORY ? t->rate_count : TOP_HISTORY;
	size_t room = COLS > 30 ? (size_t)COLS - 24 : 0;
	double highest = 0;
	char text[12];

	have = have < room ? have : room;
	for (size_t i = 1; i <= have; i++) {
		double rate = t->rates[(t->rate_count - i) % TOP_HISTORY];

		highest = rate > highest ? rate : highest;
	}
	move(line, 1);
	for (size_t i = have; i > 0; i--) {
		double rate = t->rates[(t->rate_count - i) % TOP_HISTORY];
		size_t height = highest > 0 ? (size_t)(rate / highest * (HEIGHTS - 1) + 0.5) : 0;

		addstr(rate > 0 ? (screen.utf8 ? bars : ascii_bars)[height] : " ");
	}
	text_count(text, highest);
	if (have)
		put_right(line, " peak %s pages/s ", text);
}

/* What the line has no room for is left out. */
__attribute__((format(printf, 1, 2))) static void put(const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	/* The last column stays free: behind it the next line would go on. */
	addnstr(text, COLS > getcurx(stdscr) + 1 ? COLS - 1 - getcurx(stdscr) : 0);
}

static void draw_sums(int line, const struct top_sums *sums, uint64_t page_size)
{
	char rate[12], bytes[8], share[8], size[8];

	text_count(rate, sums->rate);
	text_bytes(bytes, sums->rate * (double)page_size);
	text_share(share, sums->written, sums->pages);
	text_bytes(size, (double)(sums->pages * page_size));
	move(line, 1);
	attron(A_BOLD);
	put("%s pages/s   %s/s", rate, bytes);
	attroff(A_BOLD);
	put("   %s of %s   %zu of %zu mappings%s", share, size, sums->written_mappings,
	    sums->mappings, sums->incomplete ? "   incomplete" : "");
}

static void draw_head(const struct top_state *s, const struct target *t)
{
	unsigned seconds = (unsigned)((duration_now() - s->started_ns) / NS_PER_SECOND);
	struct top_sums sums = targets_sums(s->targets);
	struct tracker_skipped untracked = {0};
	char delay[32], skipped[256];

	duration_print(s->delay_ns, delay, sizeof(delay));
	attron(A_BOLD);
	move(0, 1);
	put("%s (%d)", t->name, (int)t->pid);
	if (s->targets->count > 1)
		put(" and %zu more", s->targets->count - 1);
	attroff(A_BOLD);
	if (s->paused) {
		attron(A_REVERSE);
		put_right(0, " paused ");
		attroff(A_REVERSE);
	} else {
		put_right(0, "every %s   %u:%02u:%02u ", delay, seconds / 3600, seconds / 60 % 60,
			  seconds % 60);
	}
	if (s->targets->rate_count)
		draw_sums(1, &sums, s->targets->page_size);
	else
		mvaddstr(1, 1, "the first interval has begun");
	draw_history(2, s->targets);
	attron(A_DIM);
	move(3, 1);
	put("Tracked %s", text_way(t->tracker ? tracker_way(t->tracker) : TRACKER_EXACT));
	attroff(A_DIM);
	if (t->tracker)
		tracker_skipped(t->tracker, &untracked);
	text_skipped(skipped, sizeof(skipped), &untracked);
	move(4, 1);
	put("%s", skipped);
}

/* Widths; 0: there is none. */
struct columns {
	int strip;
	int address;
};

static struct columns layout(void)
{
	struct columns c = {.address = COLS >= WIDE ? 14 : 0};
	int left = COLS - 33 - c.address;

	c.strip = left * 11 / 20 < left - NAME ? left * 11 / 20 : left - NAME;
	c.strip = c.strip < MIN_STRIP ? 0 : c.strip;
	c.strip = c.strip < MAX_STRIP ? c.strip : MAX_STRIP;
	return c;
}

static void draw_titles(int line, const struct top_state *s, const struct columns *c)
{
	static const char *const titles[SORT_COUNT] = {"PAGES/S", "SHARE", "SIZE", "START",
						       "MAPPING"};
	char text[512];
	const char *sorted;

	snprintf(text, sizeof(text), "%8s%8s%8s%8s %-*.*s %-*.*sMAPPING", "PAGES/S", "BYTES/S",
		 "SHARE", "SIZE", c->strip, c->strip, "WRITTEN WHERE", c->address, c->address,
		 c->address ? "START" : "");
	sorted = strstr(text, titles[s->sort]);
	attron(A_REVERSE);
	mvhline(line, 0, ' ', COLS);
	put("%s", text);
	if (sorted) {
		attron(A_BOLD | A_UNDERLINE);
		move(line, (int)(sorted - text));
		put("%s", titles[s->sort]);
		attroff(A_BOLD | A_UNDERLINE);
	}
	attroff(A_REVERSE);
}

/* The four columns of numbers; dashes for what was not written. */
static void draw_numbers(int line, double rate, uint64_t written, uint64_t pages,
			 uint64_t page_size)
{
	char text[12], bytes[8], share[8], size[8];

	text_count(text, rate);
	text_bytes(bytes, rate * (double)page_size);
	text_share(share, written, pages);
	text_bytes(size, (double)(pages * page_size));
	move(line, 0);
	put("%8s%8s%8s%8s ", written ? text : "-", written ? bytes : "-", written ? share : "-",
	    size);
}

/* To the end of the line. A cut is marked: an address is another one without its last digits. */
static void put_name(char *name)
{
	int room = COLS - 1 - getcurx(stdscr);

	if (room > 0 && (int)strlen(name) > room) {
		name[room - 1] = '~';
		name[room] = '\0';
	}
	put("%s", name);
}

static void draw_row(int line, const struct target *t, const struct top_row *row,
		     uint64_t page_size, const struct columns *c)
{
	double rate = t->seconds > 0 ? (double)row->written / t->seconds : 0;
	attr_t attributes = row->written ? A_NORMAL : A_DIM;
	unsigned char levels[MAX_STRIP];
	char name[256];

	text_mapping(name, sizeof(name), row->mapping, !c->address);
	attron(attributes);
	draw_numbers(line, rate, row->written, row->pages, page_size);
	attroff(attributes);
	top_heat(row, page_size, levels, (size_t)c->strip);
	for (int i = 0; i < c->strip; i++)
		put_cell(levels[i]);
	attron(attributes);
	if (c->address)
		put(" %12" PRIx64 " ", row->mapping->start);
	put(" ");
	put_name(name);
	attroff(attributes);
}

/* The line of a process among others. */
static void draw_process(int line, const struct top_state *s, const struct target *t)
{
	struct top_sums sums = target_sums(t);
	char text[PROCESS_NAME + 64 + TRACKER_WHY];
	bool tracked = t->state == TARGET_TRACKED;

	if (tracked)
		snprintf(text, sizeof(text), "%s (%d), %zu of %zu mappings", t->name, (int)t->pid,
			 sums.written_mappings, sums.mappings);
	else
		snprintf(text, sizeof(text), "%s (%d) %s", t->name, (int)t->pid, t->why);
	attron(A_BOLD);
	if (tracked)
		draw_numbers(line, sums.rate, sums.written, sums.pages, s->targets->page_size);
	move(line, tracked ? 33 : 1);
	put("%s", text);
	attroff(A_BOLD);
}

/* Goes through all lines of the list, and draws those that are in sight. */
static void draw_list(const struct top_state *s, const struct columns *c)
{
	const struct targets *targets = s->targets;
	size_t line = 0, end = screen.first + screen_page_lines();

	for (size_t i = 0; i < targets->count; i++) {
		const struct target *t = &targets->list[i];

		if (targets->count > 1) {
			if (line >= screen.first && line < end)
				draw_process(HEAD_LINES + (int)(line - screen.first), s, t);
			line++;
		}
		for (size_t k = 0; k < t->rows.count; k++) {
			if (!screen.all && !t->rows.list[k].written)
				continue;
			if (line >= screen.first && line < end)
				draw_row(HEAD_LINES + (int)(line - screen.first), t,
					 &t->rows.list[k], targets->page_size, c);
			line++;
		}
	}
	screen.lines = line;
}

static void draw_foot(int line)
{
	static const char *const legend[HEAT_LEVELS] = {" 0  ", " <1%  ", " <10%  ", " <50%  ",
							" more "};

	attron(A_DIM);
	mvaddstr(line, 1, "q quit  space pause  tab sort  h help");
	attroff(A_DIM);
	if (COLS < 78)
		return;
	move(line, COLS - 37);
	for (unsigned char i = 0; i < HEAT_LEVELS; i++) {
		put_cell(i);
		addstr(legend[i]);
	}
}

static void draw_help(void)
{
	static const char *const lines[] = {
	    "q          quit; the process goes on as before",
	    "space      pause, or go on",
	    "+  -       longer or shorter intervals",
	    "tab        sort by the next column, or by",
	    "p s z a n  pages, share, size, address, name",
	    "w          all mappings, or only written ones",
	    "arrows, page keys, home, end: scroll",
	    "",
	    "A page counts once in an interval, however often",
	    "it is written. The strip is the mapping from its",
	    "first page to its last; SHARE is of all its pages.",
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		mvaddnstr(1 + (int)i, 3, lines[i], COLS > 4 ? COLS - 4 : 0);
	mvaddstr(LINES - 1, 1, "any key: back");
}

void top_screen_draw(const struct top_state *s)
{
	const struct target *t = first_target(s);
	struct columns c = layout();

	erase();
	if (screen.help) {
		draw_help();
	} else {
		if (t)
			draw_head(s, t);
		draw_titles(HEAD_LINES - 1, s, &c);
		draw_list(s, &c);
		draw_foot(LINES - 1);
	}
	refresh();
}
