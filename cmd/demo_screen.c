/* SPDX-License-Identifier: MIT */
#include "demo.h"

#include <langinfo.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define ROWS 4
#define MAX_COLUMNS 64
#define MARGIN 2
#define INDENT 10
#define LEVELS 5

static unsigned terminal_width(void)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
		return 80;
	return size.ws_col;
}

void screen_init(struct screen *s, bool color)
{
	const char *term = getenv("TERM");
	const char *no_color = getenv("NO_COLOR");

	setlocale(LC_CTYPE, "");
	*s = (struct screen){0};
	s->terminal = isatty(STDOUT_FILENO) && term && *term && strcmp(term, "dumb") != 0;
	s->color = s->terminal && color && !(no_color && *no_color);
	s->utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

static void erase_picture(struct screen *s)
{
	if (s->drawn)
		printf("\r\033[%uA\033[J", s->drawn);
	s->drawn = 0;
}

/* What is printed next goes below the picture instead of taking its place. */
void screen_keep_picture(struct screen *s)
{
	s->drawn = 0;
}

void screen_line(struct screen *s, bool bad, const char *format, ...)
{
	va_list args;

	erase_picture(s);
	if (bad && s->color)
		fputs("\033[1;31m", stdout);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	fputs(bad && s->color ? "\033[0m\n" : "\n", stdout);
	fflush(stdout);
}

/* Goes on in this line, or below the first word before it reaches 80 columns. */
static void print_word(size_t *column, const char *word, size_t len, const char *after)
{
	if (*column > INDENT && *column + 1 + len + strlen(after) > 79) {
		printf("\n%*s", INDENT, "");
		*column = INDENT;
	} else if (*column > INDENT) {
		putchar(' ');
		++*column;
	}
	printf("%.*s%s", (int)len, word, after);
	*column += len + strlen(after);
}

void screen_words(const char *label, const char *const *words, size_t count)
{
	size_t column = INDENT;

	printf("%-*s", INDENT, label);
	for (size_t i = 0; i < count; i++)
		print_word(&column, words[i], strlen(words[i]), i + 1 < count ? "," : "");
	putchar('\n');
}

void screen_text(const char *label, const char *text)
{
	size_t column = INDENT;

	printf("%-*s", INDENT, label);
	while (*text) {
		size_t len = strcspn(text, " ");

		print_word(&column, text, len, "");
		text += len + strspn(text + len, " ");
	}
	putchar('\n');
}

/* How many of the pages were reported during the last second, as a shade from 0 to LEVELS - 1. */
static unsigned cell_level(const struct checker *c, size_t page, size_t end, uint32_t now_ms)
{
	size_t pages = end - page;
	size_t fresh = 0;

	for (; page < end; page++)
		fresh += c->reported_at[page] && now_ms - c->reported_at[page] < 1000;
	if (fresh == 0)
		return 0;
	return 1 + (unsigned)(fresh * (LEVELS - 2) / pages);
}

static void print_cell(const struct screen *s, unsigned level)
{
	static const char *const blocks[LEVELS] = {"·", "░", "▒", "▓", "█"};
	static const char *const letters[LEVELS] = {".", ":", "+", "*", "#"};
	static const char *const colors[LEVELS] = {"2", "34", "36", "33", "31"};
	const char *cell = s->utf8 ? blocks[level] : letters[level];

	if (s->color)
		printf("\033[%sm%s\033[0m", colors[level], cell);
	else
		fputs(cell, stdout);
}

void screen_picture(struct screen *s, const struct checker *c, uint32_t now_ms)
{
	size_t pages = c->region->pages;
	unsigned width = terminal_width();
	size_t columns, cells;

	if (!s->terminal || width < 4 * MARGIN)
		return;
	columns = width - 2 * MARGIN < MAX_COLUMNS ? width - 2 * MARGIN : MAX_COLUMNS;
	if (columns > (pages + ROWS - 1) / ROWS)
		columns = (pages + ROWS - 1) / ROWS;
	cells = columns * ROWS < pages ? columns * ROWS : pages;
	erase_picture(s);
	for (size_t i = 0; i < cells; i++) {
		if (i % columns == 0)
			printf("%*s", MARGIN, "");
		print_cell(s, cell_level(c, pages * i / cells, pages * (i + 1) / cells, now_ms));
		if ((i + 1) % columns == 0 || i + 1 == cells) {
			putchar('\n');
			s->drawn++;
		}
	}
	printf("%*s%.*s\n", MARGIN, "", (int)(width - 2 * MARGIN),
	       "The region, from left to right and top to bottom: written in the last second");
	s->drawn++;
	fflush(stdout);
}
