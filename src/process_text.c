/* SPDX-License-Identifier: MIT */
/* Files of /proc as text. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "process.h"

static ssize_t read_more(const struct sys_file *file, char *text, size_t size)
{
	ssize_t n;

	do
		n = sys_read(file->fd, text, size);
	while (n == -EINTR);
	return n;
}

/* What one read gives; closes the file. */
static int read_once(struct sys_file *file, char *text, size_t size)
{
	ssize_t n = read_more(file, text, size - 1);

	sys_close(file);
	if (n < 0)
		return (int)n;
	text[n] = '\0';
	return 0;
}

int process_read(const char *path, char *text, size_t size)
{
	struct sys_file file;
	int r = sys_open(&file, path, O_RDONLY);

	return r < 0 ? r : read_once(&file, text, size);
}

int process_text(const struct ww_process *p, const char *name, char *text, size_t size)
{
	struct sys_file file;
	int r = process_file(p, &file, name, O_RDONLY);

	return r < 0 ? r : read_once(&file, text, size);
}

/* Returns how much is left. The label stays as long as the end of its line has not been read. */
static size_t leave_out_groups(char *text)
{
	static const char label[] = "\nGroups:";
	char *line = strstr(text, label), *end = line ? strchr(line + 1, '\n') : NULL;

	if (end)
		memmove(line, end, strlen(end) + 1);
	else if (line)
		line[sizeof(label) - 1] = '\0';
	return strlen(text);
}

/* As much as there is room for; closes the file. */
static int read_status(struct sys_file *file, char *text, size_t size)
{
	size_t have = 0;
	ssize_t n;

	while ((n = read_more(file, text + have, size - 1 - have)) > 0) {
		text[have + (size_t)n] = '\0';
		have = leave_out_groups(text);
	}
	text[have] = '\0';
	sys_close(file);
	return n < 0 ? (int)n : 0;
}

int process_read_status(const char *path, char *text, size_t size)
{
	struct sys_file file;
	int r = sys_open(&file, path, O_RDONLY);

	return r < 0 ? r : read_status(&file, text, size);
}

int process_status(const struct ww_process *p, const char *name, char *text, size_t size)
{
	struct sys_file file;
	int r = process_file(p, &file, name, O_RDONLY);

	return r < 0 ? r : read_status(&file, text, size);
}
