/* SPDX-License-Identifier: MIT */
#include "top.h"
#include "command.h"
#include "duration.h"
#include "signals.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t got_stop, got_resize;

static void on_stop(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)info;
	(void)context;
	got_stop = 1;
}

static void on_resize(int number)
{
	(void)number;
	got_resize = 1;
}

/* Delivered only while the loop waits; *waiting is the mask for that. */
static void catch_signals(sigset_t *waiting)
{
	struct sigaction action = {.sa_handler = on_resize};
	sigset_t resize;

	signals_catch(on_stop, waiting);
	sigemptyset(&resize);
	sigaddset(&resize, SIGWINCH);
	sigaction(SIGWINCH, &action, NULL);
	sigprocmask(SIG_BLOCK, &resize, NULL);
	sigdelset(waiting, SIGWINCH);
}

/**
 * struct loop - what runs until it is told to end
 * @fds: the keyboard, and for each tracked process what tells of its end
 */
struct loop {
	struct top_options options;
	struct targets targets;
	struct top_state state;
	struct ticker ticker;
	sigset_t waiting;
	struct pollfd *fds;
	size_t fds_room;
	bool screen;
	unsigned long shown;
};

static void draw(struct loop *l)
{
	for (size_t i = 0; i < l->targets.count; i++)
		top_rows_sort(&l->targets.list[i].rows, l->state.sort);
	if (l->screen)
		top_screen_draw(&l->state);
	else
		plain_draw(&l->state);
}

static void set_delay(struct loop *l, bool longer)
{
	static const unsigned steps_ms[] = {10,	  20,	50,   100,   200,   500,
					    1000, 2000, 5000, 10000, 30000, 60000};
	const size_t count = sizeof(steps_ms) / sizeof(steps_ms[0]);
	uint64_t delay = l->state.delay_ns;

	for (size_t i = 0; i < count; i++) {
		uint64_t step = steps_ms[longer ? i : count - 1 - i] * NS_PER_MS;

		if (longer ? step > delay : step < delay) {
			l->state.delay_ns = step;
			ticker_start(&l->ticker, step, duration_now());
			return;
		}
	}
}

static void take_key(struct loop *l, int key)
{
	static const char sort_keys[SORT_COUNT] = {'p', 's', 'z', 'a', 'n'};

	if (key == 'q' || key == 'Q')
		got_stop = 1;
	else if (key == ' ')
		l->state.paused = !l->state.paused;
	else if (key == '+' || key == '=')
		set_delay(l, true);
	else if (key == '-')
		set_delay(l, false);
	else if (key == '\t')
		l->state.sort = (l->state.sort + 1) % SORT_COUNT;
	for (int i = 0; i < SORT_COUNT; i++) {
		if (key == sort_keys[i])
			l->state.sort = (enum top_sort)i;
	}
}

static size_t fill_fds(struct loop *l)
{
	size_t count = 0;

	if (l->targets.count + 1 > l->fds_room) {
		struct pollfd *larger = realloc(l->fds, (l->targets.count + 8) * sizeof(*larger));

		if (!larger)
			return 0;
		l->fds = larger;
		l->fds_room = l->targets.count + 8;
	}
	l->fds[count++] = (struct pollfd){.fd = l->screen ? STDIN_FILENO : -1, .events = POLLIN};
	for (size_t i = 0; i < l->targets.count; i++) {
		struct tracker *tracker = l->targets.list[i].tracker;

		if (tracker)
			l->fds[count++] =
			    (struct pollfd){.fd = tracker_pidfd(tracker), .events = POLLIN};
	}
	return count;
}

/* Until the beat, a key, a signal, or the end of a process. */
static int wait_for_something(struct loop *l)
{
	struct timespec timeout = {0}, *limit = &timeout;
	uint64_t now = duration_now();
	size_t count = fill_fds(l);

	if (count == 0)
		return -ENOMEM;
	if (l->state.paused) {
		limit = NULL;
	} else if (l->ticker.next > now) {
		timeout.tv_sec = (time_t)((l->ticker.next - now) / NS_PER_SECOND);
		timeout.tv_nsec = (long)((l->ticker.next - now) % NS_PER_SECOND);
	}
	if (ppoll(l->fds, count, limit, &l->waiting) < 0 && errno != EINTR)
		return -errno;
	/* The terminal is gone. */
	if (l->screen && l->fds[0].revents & (POLLHUP | POLLERR | POLLNVAL))
		got_stop = 1;
	return 0;
}

/* Is what is shown to be drawn again? */
static bool handle_keys(struct loop *l)
{
	bool changed = got_resize;
	int key;

	if (!l->screen)
		return false;
	if (got_resize)
		top_screen_resize();
	got_resize = 0;
	while ((key = top_screen_key()) != 0) {
		changed = true;
		take_key(l, key);
	}
	return changed;
}

static int step(struct loop *l)
{
	bool changed;
	int r = wait_for_something(l);

	if (r < 0)
		return r;
	changed = handle_keys(l);
	if (got_stop)
		return 0;
	targets_check(&l->targets);
	if (!l->state.paused && duration_now() >= l->ticker.next) {
		r = targets_poll(&l->targets);
		ticker_advance(&l->ticker, duration_now());
		l->shown++;
		changed = true;
	}
	if (changed && r == 0)
		draw(l);
	if (l->options.count && l->shown >= l->options.count)
		got_stop = 1;
	return r;
}

static int run(struct loop *l)
{
	int r = 0;

	l->state = (struct top_state){
	    .options = &l->options,
	    .targets = &l->targets,
	    .delay_ns = l->options.delay_ns,
	    .started_ns = duration_now(),
	    .sort = l->options.sort,
	};
	ticker_start(&l->ticker, l->state.delay_ns, l->state.started_ns);
	l->screen = !l->options.plain && top_screen_begin(&l->state);
	if (l->screen)
		draw(l);
	else
		plain_begin(&l->state);
	while (!got_stop && r == 0 && targets_live(&l->targets) && !ferror(stdout))
		r = step(l);
	if (l->screen)
		top_screen_end();
	if (l->targets.failed)
		fprintf(stderr, "writewatch top: %s\n", l->targets.end);
	else if (*l->targets.end)
		printf("%s\n", l->targets.end);
	free(l->fds);
	return r;
}

static void print_help(void)
{
	puts("usage: writewatch top [OPTION...] PID\n"
	     "\n"
	     "Shows live which memory a process writes, mapping by mapping. A page counts\n"
	     "once in an interval, however often it is written. Where the output is no\n"
	     "terminal, each interval is a block of lines.\n"
	     "\n"
	     "  -d, --delay TIME  length of an interval, as in 2, 0.5 or 100ms (1 second)\n"
	     "  -n, --count N     end after so many intervals\n"
	     "  -s, --sort KEY    pages, share, size, address or name (pages)\n"
	     "  -f, --follow      show its children, and theirs, too\n"
	     "      --plain       print lines also on a terminal\n"
	     "      --no-color    no colors\n"
	     "  -h, --help        print this and exit\n"
	     "\n"
	     "Keys: q quit, space pause, + and - change the interval, w all mappings or\n"
	     "written ones, p s z a n or tab sort, arrows and page keys scroll, h help.\n"
	     "\n"
	     "Exit status: 0 also when the process has ended, 1 it cannot be looked at,\n"
	     "2 wrong use, 3 the kernel has no means to track it.");
}

int command_top(int argc, char **argv)
{
	struct loop loop = {0};
	char why[TRACKER_WHY];
	bool help = false, failed;
	int r = top_parse_options(argc, argv, &loop.options, &help);

	if (r != STATUS_OK) {
		fputs("Try 'writewatch top --help'.\n", stderr);
		return r;
	}
	if (help) {
		print_help();
		return STATUS_OK;
	}
	/* Before the process is tracked: whatever happens, it is to be left as it was. */
	catch_signals(&loop.waiting);
	r = targets_open(&loop.targets, loop.options.pid, loop.options.follow, why);
	if (r < 0) {
		fprintf(stderr, "writewatch top: process %d: %s\n", (int)loop.options.pid, why);
		targets_close(&loop.targets);
		return r == -ENOTSUP ? STATUS_NO_BACKEND : STATUS_FAILED;
	}
	r = run(&loop);
	failed = loop.targets.failed;
	targets_close(&loop.targets);
	if (r < 0)
		fprintf(stderr, "writewatch top: %s\n", strerror(-r));
	return r < 0 || failed ? STATUS_FAILED : STATUS_OK;
}
