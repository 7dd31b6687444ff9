/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <writewatch/process.h>

#include "bench.h"
#include "raw.h"

/* A large process that watches its memory and writes 1 % of it when told to, seen from outside. */

#define PERCENT 1
#define WORDS ((size_t)64 << 7)

struct target {
	struct bench *b;
	pid_t pid;
	int order[2];  /* pipes: to the child, and back */
	int answer[2];
	char *base;
	size_t len;
	int pagemap;
	uint64_t from; /* what is looked at: the memory, or the whole process */
	uint64_t to;
	uint64_t also; /* a category to tell the memory from the rest of the process */
	struct ww_process *scanned;
	struct ww_process *read;
	struct ww_page_range *ranges;
	size_t room;
};

static struct wwk_page_region vec[RAW_VEC];
static uint64_t words[WORDS];

static _Noreturn void run_child(struct target *t)
{
	struct raw *raw = raw_new();
	struct picks picks;
	char c;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	picks_init(t->b, &picks, t->len / t->b->page, 100);
	picks.count = t->len / t->b->page * PERCENT / 100;
	populate(t->base, t->len);
	raw_watch(raw, t->base, t->len);
	do {
		picks_next(t->b, &picks);
		picks_write(&picks, t->base, t->b->page);
	} while (write(t->answer[1], "", 1) == 1 && read(t->order[0], &c, 1) == 1);
	_exit(0);
}

static void await(struct target *t)
{
	char c;

	if (read(t->answer[0], &c, 1) != 1)
		die("the child of the benchmark ended");
}

static void start(struct target *t)
{
	char path[64];

	t->base = map_memory(t->len, 0);
	if (pipe(t->order) || pipe(t->answer))
		die("pipe: %s", strerror(errno));
	t->pid = fork();
	if (t->pid < 0)
		die("fork: %s", strerror(errno));
	if (t->pid == 0)
		run_child(t);
	await(t);
	snprintf(path, sizeof(path), "/proc/%d/pagemap", t->pid);
	t->pagemap = open(path, O_RDONLY | O_CLOEXEC);
	if (t->pagemap < 0)
		die("%s: %s", path, strerror(errno));
	check(ww_process_open(&t->scanned, t->pid, 0), "ww_process_open");
	check(ww_process_open(&t->read, t->pid, WW_PROCESS_READ_PAGEMAP), "ww_process_open");
	t->room = t->len / t->b->page;
	t->ranges = calloc(t->room, sizeof(*t->ranges));
	if (!t->ranges)
		die("no memory");
	memset(t->ranges, 0xff, t->room * sizeof(*t->ranges));
	t->from = (uintptr_t)t->base;
	t->to = t->from + t->len;
}

static void look_at_all(struct target *t)
{
	struct ww_process_query q = {.size = sizeof(q), .required = WW_PAGE_WATCHED};
	size_t count = t->room;

	check(ww_process_scan(t->scanned, &q, t->ranges, &count), "ww_process_scan");
	t->from = q.start;
	t->to = q.end;
	t->also = WW_PAGE_WATCHED;
}

static void stop(struct target *t)
{
	kill(t->pid, SIGKILL);
	waitpid(t->pid, NULL, 0);
	ww_process_close(t->scanned);
	ww_process_close(t->read);
	for (int i = 0; i < 2; i++) {
		close(t->order[i]);
		close(t->answer[i]);
	}
	close(t->pagemap);
	free(t->ranges);
	unmap_memory(t->base, t->len);
}

static void write_pages(void *arg)
{
	struct target *t = arg;

	if (write(t->order[1], "", 1) != 1)
		die("the child of the benchmark ended");
	await(t);
}

static uint64_t scan(struct target *t, struct ww_process *p, uint64_t required, uint64_t flags)
{
	struct ww_process_query q = {
		.size = sizeof(q),
		.start = t->from,
		.end = t->to,
		.required = required,
		.returned = WW_PAGE_WRITTEN,
		.flags = flags,
	};
	size_t count = t->room;

	check(ww_process_scan(p, &q, t->ranges, &count), "ww_process_scan");
	return q.pages;
}

static size_t lib_get(void *arg)
{
	struct target *t = arg;

	return scan(t, t->scanned, WW_PAGE_WRITTEN | t->also, 0);
}

static size_t lib_take(void *arg)
{
	struct target *t = arg;

	return scan(t, t->scanned, WW_PAGE_WRITTEN, WW_SCAN_RESET);
}

/* Into the ranges of the library, as the results are to be kept. */
static size_t raw_scan(struct target *t, uint64_t flags)
{
	struct wwk_pm_scan_arg arg = {
		.size = sizeof(arg),
		.flags = flags,
		.start = t->from,
		.end = t->to,
		.vec = (uintptr_t)vec,
		.vec_len = RAW_VEC,
		.category_mask = WWK_PAGE_IS_WRITTEN | t->also,
		.return_mask = WWK_PAGE_IS_WRITTEN,
	};
	size_t count = 0, pages = 0;
	long n;

	do {
		n = ioctl(t->pagemap, WWK_PAGEMAP_SCAN, &arg);
		if (n < 0)
			die("PAGEMAP_SCAN: %s", strerror(errno));
		for (long i = 0; i < n; i++) {
			t->ranges[count++] = (struct ww_page_range){
				vec[i].start, vec[i].end, vec[i].categories,
			};
			pages += (vec[i].end - vec[i].start) / t->b->page;
		}
		if (n)
			arg.start = arg.walk_end > vec[n - 1].end ? arg.walk_end : vec[n - 1].end;
	} while (n == RAW_VEC && arg.start < arg.end);
	return pages;
}

static size_t ref_get(void *arg)
{
	return raw_scan(arg, 0);
}

static size_t ref_take(void *arg)
{
	return raw_scan(arg, WWK_PM_SCAN_WP_MATCHING);
}

/* Which pages were written cannot be told by reading alone: both count those that were read. */
static size_t lib_read(void *arg)
{
	struct target *t = arg;

	scan(t, t->read, WW_PAGE_WRITTEN, 0);
	return t->len / t->b->page;
}

static size_t ref_read(void *arg)
{
	struct target *t = arg;
	size_t first = (uintptr_t)t->base / t->b->page, pages = t->len / t->b->page, done;
	ssize_t n;

	for (done = 0; done < pages; done += (size_t)n / sizeof(*words)) {
		size_t left = pages - done;

		n = pread(t->pagemap, words, (left < WORDS ? left : WORDS) * sizeof(*words),
			  (off_t)((first + done) * sizeof(*words)));
		if (n <= 0)
			die("pagemap cannot be read");
	}
	return pages;
}

static void process_row(struct target *t, const char *name, size_t (*lib)(void *),
			size_t (*ref)(void *), bool writes)
{
	struct work work = {
		.name = name, .dirty = PERCENT, .pairs = pairs_for(t->b, writes ? 60 : 40),
		.calls = 1, .kind = LIMIT_RATIO, .limit = 1.1,
		.prepare = {[LIB] = writes ? write_pages : NULL, [REF] = writes ? write_pages : NULL},
		.run = {[LIB] = lib, [REF] = ref}, .arg = t,
	};

	/* Nothing but what is written before each call. */
	if (writes)
		ref(t);
	row(t->b, &work);
}

void rows_process(struct bench *b)
{
	struct target t = {.b = b, .len = (size_t)4 << 30};

	if (b->quick)
		t.len = (size_t)16 << 20;
	else if ((uint64_t)sysconf(_SC_AVPHYS_PAGES) * b->page < 2 * t.len)
		t.len = (size_t)1 << 30;
	start(&t);
	process_row(&t, "process, scan", lib_get, ref_get, false);
	process_row(&t, "process, scan+reset", lib_take, ref_take, true);
	process_row(&t, "process, read from pagemap", lib_read, ref_read, false);
	look_at_all(&t);
	process_row(&t, "process, scan of all mappings", lib_get, ref_get, false);
	stop(&t);
}
