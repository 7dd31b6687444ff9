/* SPDX-License-Identifier: MIT */
#include "top_screen.h"
#include "top.h"

#include <curses.h>
#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct top_screen screen;

static SCREEN *terminal;

const char *top_screen_missing(void)
{
	return NULL;
}

/* Those of the heat, from level 1 on. */
static const short colors[HEAT_LEVELS] = {-1, COLOR_BLUE, COLOR_CYAN, COLOR_YELLOW, COLOR_RED};

bool top_screen_begin(const struct top_state *s)
{
	const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");

	if (!isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO) || !term || strcmp(term, "dumb") == 0)
		return false;
	setlocale(LC_CTYPE, "");
	screen.utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	screen.all = !s->options->follow;
	/* Unlike initscr(), it does not exit for a terminal that it does not know. */
	terminal = newterm(NULL, stdout, stdin);
	if (!terminal)
		return false;
	cbreak();
	noecho();
	nonl();
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	set_escdelay(25);
	curs_set(0);
	screen.color = s->options->color && !(no_color && *no_color) && has_colors() &&
		       start_color() == OK && use_default_colors() == OK;
	for (short i = 1; screen.color && i < HEAT_LEVELS; i++)
		init_pair(i, colors[i], -1);
	return true;
}

void top_screen_end(void)
{
	endwin();
	delscreen(terminal);
	terminal = NULL;
}

void top_screen_resize(void)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row && size.ws_col)
		resizeterm(size.ws_row, size.ws_col);
}

size_t screen_page_lines(void)
{
	return LINES > HEAD_LINES + 2 ? (size_t)(LINES - HEAD_LINES - 1) : 1;
}

static bool scroll_key(int key)
{
	size_t page = screen_page_lines();
	size_t last = screen.lines > page ? screen.lines - page : 0;
	size_t to = screen.first;

	if (key == KEY_DOWN || key == 'j')
		to++;
	else if (key == KEY_UP || key == 'k')
		to -= to > 0;
	else if (key == KEY_NPAGE)
		to += page;
	else if (key == KEY_PPAGE)
		to -= to < page ? to : page;
	else if (key == KEY_HOME)
		to = 0;
	else if (key == KEY_END)
		to = last;
	else
		return false;
	screen.first = to < last ? to : last;
	return true;
}

int top_screen_key(void)
{
	int key = getch();

	if (key == ERR)
		return 0;
	if (screen.help)
		screen.help = false;
	else if (key == 'h' || key == '?')
		screen.help = true;
	else if (key == 'w')
		screen.all = !screen.all;
	else if (!scroll_key(key))
		return key;
	/* Any number that means nothing: something on the screen has changed. */
	return KEY_RESIZE;
}
