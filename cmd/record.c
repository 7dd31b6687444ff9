/* SPDX-License-Identifier: MIT */
#include "record.h"
#include "command.h"
#include "duration.h"
#include "processes.h"
#include "signals.h"
#include "text.h"
#include "tracker.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROGRESS_NS (NS_PER_SECOND / 4)

static volatile sig_atomic_t got_signal;
static volatile sig_atomic_t from_terminal;

static void on_signal(int number, siginfo_t *info, void *context)
{
	(void)context;
	got_signal = number;
	from_terminal = info->si_code == SI_KERNEL;
}

/**
 * struct session - a recording that goes on
 * @created: the file was not there before
 * @ended:   the process has, with this status if that is known
 * @skipped: that something is not tracked has been told
 * @why:     it cannot be tracked any more; else empty
 */
struct session {
	struct record_options options;
	sigset_t waiting;
	pid_t pid;
	char path[PATH_MAX];
	int fd;
	bool created;
	struct tracker *tracker;
	struct record_file *file;
	struct ticker ticker;
	uint64_t started, shown;
	bool progress;
	bool skipped;
	bool ended;
	int status;
	char why[TRACKER_WHY];
};

__attribute__((format(printf, 2, 3))) static int fail(int status, const char *format, ...)
{
	va_list args;

	fputs("writewatch record: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return status;
}

static int open_file(struct session *s)
{
	int flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY;

	if (s->options.file)
		snprintf(s->path, sizeof(s->path), "%s", s->options.file);
	else
		snprintf(s->path, sizeof(s->path), "writewatch.%d.wwr", (int)s->pid);
	/* Which memory a process writes is nobody else's business. */
	s->fd = open(s->path, flags | O_EXCL, 0600);
	s->created = s->fd >= 0;
	if (s->fd < 0 && errno == EEXIST) {
		struct stat about;

		/* A pipe or a terminal has nothing to lose. */
		if (stat(s->path, &about) == 0 && S_ISREG(about.st_mode) && !s->options.force)
			return fail(STATUS_FAILED, "%s is there already; --force overwrites it",
				    s->path);
		s->fd = open(s->path, flags, 0600);
	}
	if (s->fd < 0)
		return fail(STATUS_FAILED, "%s: %s", s->path, strerror(errno));
	return STATUS_OK;
}

static void forget_file(struct session *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	if (s->created)
		unlink(s->path);
}

/* Once: it may also come later, and the recording has all of it. */
static void tell_skipped(struct session *s)
{
	struct tracker_skipped skipped;
	char text[256];

	tracker_skipped(s->tracker, &skipped);
	text_skipped(text, sizeof(text), &skipped);
	if (*text && !s->skipped)
		fprintf(stderr, "%swritewatch record: %s\n", s->shown ? "\r\033[K" : "", text);
	s->skipped |= *text;
}

static int begin_recording(struct session *s)
{
	char why[TRACKER_WHY];
	struct stat about;
	int r = tracker_open(&s->tracker, s->pid, why);

	if (r < 0)
		return fail(r == -ENOTSUP ? STATUS_NO_BACKEND : STATUS_FAILED, "process %d: %s",
			    (int)s->pid, why);
	/* Not before it is known that there will be something else in it. */
	if (fstat(s->fd, &about) == 0 && S_ISREG(about.st_mode) && ftruncate(s->fd, 0) < 0)
		return fail(STATUS_FAILED, "%s: %s", s->path, strerror(errno));
	r = record_file_new(&s->file, s->fd, &s->options, s->tracker, s->pid);
	if (r < 0)
		return fail(STATUS_FAILED, "%s: %s", s->path, strerror(-r));
	s->fd = -1;
	tell_skipped(s);
	return STATUS_OK;
}

static int start_command(struct session *s)
{
	int r = start_stopped(s->options.command, &s->pid);

	if (r == 0)
		return STATUS_OK;
	fail(0, "%s: %s", s->options.command[0], strerror(-r));
	return r == -ENOENT ? START_NOT_FOUND : START_NOT_RUNNABLE;
}

static size_t terminal_columns(void)
{
	struct winsize size;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
		return 80;
	return size.ws_col;
}

static void show_progress(struct session *s, bool last)
{
	struct record_sums sums;
	uint64_t now = duration_now();
	double seconds = (double)(now - s->started) / (double)NS_PER_SECOND;
	char bytes[8], line[PATH_MAX + 128];

	if (!last && (!s->progress || now - s->shown < PROGRESS_NS))
		return;
	s->shown = now;
	record_file_sums(s->file, &sums);
	text_bytes(bytes, (double)sums.bytes);
	snprintf(line, sizeof(line),
		 "%.1f s, %" PRIu64 " intervals (%" PRIu64 " late), %" PRIu64 " pages, %sB in %s",
		 seconds, sums.intervals, sums.late, sums.pages, bytes, s->path);
	/* One that is broken is not overwritten by the next one. */
	if (!last)
		text_cut(line, terminal_columns() - 1);
	fprintf(stderr, "%s%s%s%s", s->progress ? "\r" : "writewatch record: ", line,
		s->progress ? "\033[K" : "", last ? "\n" : "");
}

/* The memory of a process that has ended, and what it wrote there last, are gone with it. */
static int end_of_target(struct session *s)
{
	s->ended = true;
	return record_file_add(s->file, NULL, NULL);
}

/* Until the beat, a signal, or the end of the process. */
static int wait_for_something(struct session *s, uint64_t until)
{
	struct pollfd fd = {.fd = tracker_pidfd(s->tracker), .events = POLLIN};
	uint64_t now = duration_now();
	uint64_t left = until > now ? until - now : 0;
	struct timespec timeout = {(time_t)(left / NS_PER_SECOND), (long)(left % NS_PER_SECOND)};

	if (ppoll(&fd, 1, &timeout, &s->waiting) < 0 && errno != EINTR)
		return -errno;
	return 0;
}

static int take_sample(struct session *s)
{
	struct tracker_sample sample;
	char why[TRACKER_WHY];
	int r = tracker_poll(s->tracker, &sample, why);

	if (r == -ESRCH)
		return end_of_target(s);
	if (r == 0) {
		tell_skipped(s);
		return record_file_add(s->file, s->tracker, &sample);
	}
	memcpy(s->why, why, sizeof(s->why));
	return 0;
}

static int record(struct session *s)
{
	uint64_t end = s->options.limit_ns ? s->started + s->options.limit_ns : UINT64_MAX;
	bool stop = false;
	int r = 0;

	while (r == 0 && !s->ended && !*s->why && !stop) {
		uint64_t until = s->ticker.next < end ? s->ticker.next : end;
		uint64_t now;

		r = wait_for_something(s, until);
		now = duration_now();
		/* What was written until then still belongs to it. */
		stop = got_signal || now >= end;
		if (r < 0 || (!stop && now < until && !tracker_ended(s->tracker)))
			continue;
		r = take_sample(s);
		ticker_advance(&s->ticker, duration_now());
		show_progress(s, false);
	}
	return r;
}

static int finish(struct session *s, int error)
{
	bool known = false;
	int r = error;

	if (s->ended && s->options.command)
		known = start_wait(s->pid, &s->status) == 0;
	else if (s->ended)
		known = process_exit_status(s->pid, tracker_pidfd(s->tracker), &s->status);
	if (r == 0)
		r = record_file_end(s->file, s->ended, known ? &s->status : NULL);
	show_progress(s, true);
	tracker_close(s->tracker);
	s->tracker = NULL;
	/* A later error than the one that ended it says less. */
	error = record_file_close(s->file);
	s->file = NULL;
	r = r ? r : error;
	if (r < 0)
		return fail(STATUS_FAILED, "%s: %s", s->path, strerror(-r));
	if (*s->why)
		return fail(STATUS_FAILED, "process %d cannot be tracked any more: %s", (int)s->pid,
			    s->why);
	return STATUS_OK;
}

/* It goes on without being recorded; signals that a terminal sends reach it anyway. */
static int wait_for_command(struct session *s)
{
	struct pollfd fd = {.fd = (int)syscall(SYS_pidfd_open, s->pid, 0), .events = POLLIN};
	pid_t r = 0;

	if (fd.fd < 0)
		return -errno;
	while (r == 0) {
		if (got_signal && !from_terminal)
			kill(s->pid, got_signal);
		got_signal = 0;
		ppoll(&fd, 1, NULL, &s->waiting);
		r = waitpid(s->pid, &s->status, WNOHANG);
	}
	close(fd.fd);
	return r < 0 ? -errno : 0;
}

static int command_status(struct session *s)
{
	int r = s->ended ? 0 : wait_for_command(s);

	if (r < 0)
		return fail(STATUS_FAILED, "%s: %s", s->options.command[0], strerror(-r));
	return WIFSIGNALED(s->status) ? START_SIGNAL + WTERMSIG(s->status) : WEXITSTATUS(s->status);
}

static int run(struct session *s)
{
	int status = s->options.command ? start_command(s) : STATUS_OK;

	if (status != STATUS_OK)
		return status;
	s->fd = -1;
	status = open_file(s);
	if (status == STATUS_OK)
		status = begin_recording(s);
	if (status != STATUS_OK) {
		tracker_close(s->tracker);
		forget_file(s);
		if (s->options.command)
			start_kill(s->pid);
		return status;
	}
	s->started = duration_now();
	s->progress = isatty(STDERR_FILENO);
	ticker_start(&s->ticker, s->options.interval_ns, s->started);
	if (s->options.command)
		start_continue(s->pid);
	status = finish(s, record(s));
	if (s->options.command) {
		int of_command = command_status(s);

		status = status == STATUS_OK ? of_command : status;
	}
	return status;
}

static void print_help(void)
{
	puts("usage: writewatch record [OPTION...] PID\n"
	     "       writewatch record [OPTION...] -- COMMAND [ARGUMENT...]\n"
	     "\n"
	     "Writes to a file, for 'writewatch report', which pages of a process are\n"
	     "written, interval by interval.\n"
	     "\n"
	     "  -i, --interval TIME  length of an interval, as in 0.5, 100ms or 10ms (100ms)\n"
	     "  -o, --output FILE    where to write (writewatch.PID.wwr)\n"
	     "  -t, --time TIME      end after this time\n"
	     "      --force          overwrite the file if it is there already\n"
	     "  -h, --help           print this and exit\n"
	     "\n"
	     "It ends with the process, or by SIGINT (control-C) or SIGTERM; the process\n"
	     "goes on as before. COMMAND is recorded from its first instruction on, and\n"
	     "waited for.\n"
	     "\n"
	     "Exit status: that of COMMAND (128 and the signal if one ended it, 126 or 127\n"
	     "if it cannot be run), or 0; 1 the recording failed, 2 wrong use, 3 the kernel\n"
	     "has no means to track it.");
}

int command_record(int argc, char **argv)
{
	struct session session = {0};
	bool help = false;
	int r = record_parse_options(argc, argv, &session.options, &help);

	if (r != STATUS_OK) {
		fputs("Try 'writewatch record --help'.\n", stderr);
		return r;
	}
	if (help) {
		print_help();
		return STATUS_OK;
	}
	session.pid = session.options.pid;
	/* Before the process is tracked: whatever happens, it is to be left as it was. */
	signals_catch(on_signal, &session.waiting);
	return run(&session);
}
