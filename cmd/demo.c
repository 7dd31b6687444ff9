/* SPDX-License-Identifier: MIT */
#include "demo.h"
#include "command.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

/* Calls while the writers run, and the pause between them, before the one while they wait. */
#define GETS_PER_FRAME 5
#define GET_INTERVAL_NS 10000000
#define TIMES_MAX 1024
/* One more than there can be: an answer that does not fill its room is complete. */
#define RUNS_MAX(d) ((d)->region.pages / 2 + 2)

struct demo {
	const struct demo_options *options;
	struct ww *ww;
	struct ww_info info;
	struct region region;
	struct checker checker;
	struct crew crew;
	struct screen screen;
	struct ww_range *runs;
	uint64_t began_ns;
	uint64_t frames;
	uint64_t line_frames; /* since the last line: frames, reports, times of the calls */
	uint64_t line_reported;
	uint64_t times[TIMES_MAX];
	size_t times_count;
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal)
{
	(void)signal;
	interrupted = 1;
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Since the start; never 0, which says "never" where pages keep the time of their report. */
static uint32_t now_ms(const struct demo *d)
{
	return (uint32_t)((now_ns() - d->began_ns) / 1000000) + 1;
}

static int failed(const char *what, int error)
{
	fprintf(stderr, "writewatch demo: %s: %s\n", what, strerror(-error));
	return STATUS_FAILED;
}

static int region_init(struct region *r, size_t size, size_t page_size)
{
	void *p;

	*r = (struct region){.page_size = page_size};
	r->size = (size + page_size - 1) / page_size * page_size;
	r->pages = r->size / page_size;
	r->counts = calloc(r->pages, sizeof(*r->counts));
	if (!r->counts)
		return -ENOMEM;
	p = mmap(NULL, r->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		 -1, 0);
	if (p == MAP_FAILED)
		return -ENOMEM;
	r->base = p;
	return 0;
}

static void region_free(struct region *r)
{
	if (r->base)
		munmap(r->base, r->size);
	free(r->counts);
}

static void print_backend(const struct ww_info *info)
{
	static const struct {
		uint64_t bit;
		const char *words;
	} all[] = {
	    {WW_EXACT, "reports only what was written"},
	    {WW_ATOMIC_RESET, "get and reset are one atomic step"},
	    {WW_RANGED_RESET, "resets only the range asked for"},
	    {WW_KERNEL_WRITES, "sees system calls' writes"},
	    {WW_NO_SIGNAL_HANDLER, "no signal handler"},
	    {WW_NO_THREAD, "no thread"},
	    {WW_SURVIVES_FORK, "survives fork"},
	};
	const char *words[sizeof(all) / sizeof(all[0])];
	size_t count = 0;

	printf("%-10s%s\n", "backend", info->backend);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (info->guarantees & all[i].bit)
			words[count++] = all[i].words;
	}
	screen_words("promises", words, count);
	for (size_t i = 0; i < info->refusal_count && i < WW_MAX_REFUSALS; i++) {
		char text[512];

		snprintf(text, sizeof(text), "%s: %s", info->refusals[i].backend,
			 info->refusals[i].reason);
		screen_text("not used", text);
	}
}

static void print_size(size_t size)
{
	static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
	size_t unit = 0;

	while (size % 1024 == 0 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		size /= 1024;
		unit++;
	}
	printf("%zu %s", size, units[unit]);
}

static void print_setup(const struct demo *d)
{
	const char *ways[WRITE_KINDS];
	size_t count = 1;
	char first[32];

	print_backend(&d->info);
	printf("%-10s", "region");
	print_size(d->region.size);
	printf(" of private anonymous memory, %zu page%s of %zu bytes\n", d->region.pages,
	       d->region.pages == 1 ? "" : "s", d->region.page_size);
	snprintf(first, sizeof(first), "%u thread%s: stores", d->crew.size,
		 d->crew.size == 1 ? "" : "s");
	ways[0] = first;
	if (d->crew.kernel_writes)
		ways[count++] = "read(2) from a pipe";
	if (d->crew.kernel_writes && !d->crew.uring_refusal)
		ways[count++] = "io_uring reads from a pipe";
	if (d->crew.discards)
		ways[count++] = "dropped pages (MADV_DONTNEED)";
	screen_words("writers", ways, count);
	if (!d->crew.kernel_writes)
		puts("note      this backend does not allow writes by system calls: left out");
	else if (d->crew.uring_refusal == -ENOPKG)
		puts("note      built without liburing: io_uring is left out");
	else if (d->crew.uring_refusal)
		printf("note      io_uring is left out, the kernel refuses it: %s\n",
		       strerror(-d->crew.uring_refusal));
	putchar('\n');
	fflush(stdout);
}

static int get_and_check(struct demo *d)
{
	size_t count = RUNS_MAX(d);
	uint64_t began;
	int r;

	checker_before_get(&d->checker);
	began = now_ns();
	r = ww_get_ranges(d->ww, d->region.base, d->region.size, WW_RESET, d->runs, &count);
	if (d->times_count < TIMES_MAX)
		d->times[d->times_count++] = now_ns() - began;
	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++)
		checker_take_report(&d->checker, &d->runs[i], now_ms(d));
	return 0;
}

static int run_frame(struct demo *d)
{
	const struct timespec interval = {.tv_nsec = GET_INTERVAL_NS};
	int r = 0;

	for (unsigned i = 0; i < GETS_PER_FRAME && r == 0 && !interrupted; i++) {
		nanosleep(&interval, NULL);
		r = get_and_check(d);
	}
	if (r < 0)
		return r;
	crew_pause(&d->crew);
	r = get_and_check(d);
	if (r == 0)
		checker_compare(&d->checker);
	crew_resume(&d->crew);
	d->frames++;
	d->line_frames++;
	return r;
}

static int compare_times(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a;
	uint64_t y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void print_line(struct demo *d)
{
	const struct checker *c = &d->checker;
	uint64_t median;
	bool slow;

	qsort(d->times, d->times_count, sizeof(d->times[0]), compare_times);
	median = d->times[d->times_count / 2];
	/* One more digit would make the line longer than 80 columns. */
	slow = median >= 10000000;
	screen_line(&d->screen, c->missed || c->extra,
		    "%5.1f s %7llu pages written, %2llu frames, get %4llu %s, missed %llu, "
		    "over-reported %llu",
		    (double)(now_ns() - d->began_ns) / 1e9,
		    (unsigned long long)(c->reported - d->line_reported),
		    (unsigned long long)d->line_frames,
		    (unsigned long long)(median / (slow ? 1000000 : 1000)), slow ? "ms" : "us",
		    (unsigned long long)c->missed, (unsigned long long)c->extra);
	d->line_reported = c->reported;
	d->line_frames = 0;
	d->times_count = 0;
}

static int run_frames(struct demo *d)
{
	uint64_t next_line, end;
	int r;

	d->began_ns = now_ns();
	next_line = d->began_ns + 1000000000;
	end = d->began_ns + (uint64_t)d->options->seconds * 1000000000;
	do {
		r = run_frame(d);
		if (r < 0)
			return failed("the call that gets and resets failed", r);
		if (now_ns() >= next_line || interrupted) {
			print_line(d);
			next_line += 1000000000;
		}
		screen_picture(&d->screen, &d->checker, now_ms(d));
	} while (now_ns() < end && !interrupted);
	return STATUS_OK;
}

static int check_kernel_writes(const struct crew *c)
{
	static const char *const what[] = {
	    [WRITE_READ] = "read(2) into watched memory failed",
	    [WRITE_URING] = "an io_uring read into watched memory failed",
	    [WRITE_DISCARD] = "dropping a watched page failed",
	};
	int status = STATUS_OK;

	for (unsigned i = 0; i < c->size; i++) {
		for (unsigned k = 0; k < sizeof(what) / sizeof(*what); k++) {
			if (c->writers[i].error[k] && what[k])
				status = failed(what[k], c->writers[i].error[k]);
		}
	}
	return status;
}

static int summarize(struct demo *d)
{
	const struct checker *c = &d->checker;
	uint64_t sum[WRITE_KINDS] = {0};
	bool bad = c->missed || (c->extra && (d->info.guarantees & WW_EXACT));

	for (unsigned i = 0; i < d->crew.size; i++) {
		for (unsigned k = 0; k < WRITE_KINDS; k++)
			sum[k] += d->crew.writers[i].count[k];
	}
	screen_keep_picture(&d->screen);
	printf("\n%llu stores, %llu read(2), %llu io_uring reads",
	       (unsigned long long)sum[WRITE_STORE], (unsigned long long)sum[WRITE_READ],
	       (unsigned long long)sum[WRITE_URING]);
	if (d->crew.discards)
		printf(", %llu dropped pages", (unsigned long long)sum[WRITE_DISCARD]);
	puts(".");
	screen_line(&d->screen, bad,
		    "%s: %llu pages reported in %llu frames, %llu missed, %llu over-reported.",
		    bad ? "WRONG" : "All right", (unsigned long long)c->reported,
		    (unsigned long long)d->frames, (unsigned long long)c->missed,
		    (unsigned long long)c->extra);
	return bad ? STATUS_FAILED : STATUS_OK;
}

static int demo_start(struct demo *d)
{
	const struct demo_options *o = d->options;
	int r;

	d->info.size = sizeof(d->info);
	r = ww_info(d->ww, &d->info);
	if (r == 0)
		r = region_init(&d->region, o->size, d->info.page_size);
	if (r == 0)
		r = checker_init(&d->checker, &d->region);
	if (r == 0) {
		d->runs = calloc(RUNS_MAX(d), sizeof(*d->runs));
		r = d->runs ? 0 : -ENOMEM;
	}
	if (r < 0)
		return failed("no memory for a region of this --size, its copy and counters", r);
	r = crew_init(&d->crew, &d->region, o, d->info.guarantees);
	if (r < 0)
		return failed("cannot prepare the writers", r);
	r = ww_watch(d->ww, d->region.base, d->region.size, o->discards ? WW_DISCARDS : 0);
	if (r < 0)
		return failed("cannot watch the region", r);
	print_setup(d);
	r = crew_start(&d->crew);
	return r < 0 ? failed("cannot start the writers", r) : STATUS_OK;
}

static void demo_free(struct demo *d)
{
	crew_free(&d->crew);
	ww_free(d->ww);
	free(d->runs);
	checker_free(&d->checker);
	region_free(&d->region);
}

int demo_run(const struct demo_options *o)
{
	/* The first signal ends the demo in good order, a second one at once. */
	struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = SA_RESETHAND};
	static struct demo d;
	int status, r;

	d.options = o;
	screen_init(&d.screen, o->color);
	r = ww_new(&d.ww, NULL);
	/* Without options, only an unknown name in WRITEWATCH_BACKEND is invalid. */
	if (r == -ENOTSUP || r == -EINVAL) {
		demo_explain_refusal();
		return STATUS_NO_BACKEND;
	}
	if (r < 0)
		return failed("cannot make a context", r);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	status = demo_start(&d);
	if (status == STATUS_OK) {
		status = run_frames(&d);
		crew_stop(&d.crew);
		if (status == STATUS_OK)
			status = check_kernel_writes(&d.crew);
		r = summarize(&d);
		if (status == STATUS_OK)
			status = r;
	}
	demo_free(&d);
	return status;
}
