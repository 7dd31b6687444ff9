/* SPDX-License-Identifier: MIT */
#include "probe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define SCRATCH ((size_t)1 << 20)
/*
 * Rounds are short and many, so that the median is of those in which nobody else had the processor.
 * On a slow machine few have to do.
 */
#define WRITES 8
#define ROUNDS_MAX 32
#define ROUNDS_MIN 5
#define BUDGET_NS 1500000.0
#define PAGES_MAX (SCRATCH / 4096)

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

void probe_scratch_init(struct probe_scratch *s, size_t page_size)
{
	void *p = mmap(NULL, SCRATCH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	*s = (struct probe_scratch){.page_size = page_size, .pages = SCRATCH / page_size};
	if (p == MAP_FAILED) {
		s->error = errno;
		return;
	}
	s->base = p;
	/* The first write to a huge page costs that of dividing it. Kernels without them refuse. */
	madvise(p, SCRATCH, MADV_NOHUGEPAGE);
	/* A fault for each page would take longer than all that is measured; before Linux 5.14 it does. */
	madvise(p, SCRATCH, MADV_POPULATE_WRITE);
	for (size_t i = 0; i < s->pages; i++)
		((volatile unsigned char *)s->base)[i * page_size] = 1;
}

void probe_scratch_free(struct probe_scratch *s)
{
	if (s->base)
		munmap(s->base, SCRATCH);
}

/* Returns the number of pages reported, or a negative errno value. */
static long get(struct ww *w, const struct probe_scratch *s, unsigned flags)
{
	struct ww_range runs[PAGES_MAX / 2 + 1];
	size_t count = PAGES_MAX / 2 + 1;
	long pages = 0;
	int r = ww_get_ranges(w, s->base, SCRATCH, flags, runs, &count);

	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++)
		pages += ((char *)runs[i].end - (char *)runs[i].start) / (long)s->page_size;
	return pages;
}

/* 0, or a positive errno value. */
static int check(long reported, long written, uint64_t guarantees, struct probe_cost *cost)
{
	if (reported < 0)
		return (int)-reported;
	if (reported < written || (reported > written && guarantees & WW_EXACT))
		return EILSEQ;
	cost->extra += reported - written;
	return 0;
}

/* Far from each other, as a program's first writes are, and elsewhere in each round. */
static void write_pages(const struct probe_scratch *s, size_t round)
{
	size_t step = s->pages / WRITES;
	size_t first = round * (step / ROUNDS_MAX);

	for (size_t i = 0; i < WRITES; i++)
		*(volatile unsigned char *)(s->base + (first + i * step) * s->page_size) = 1;
}

static int one_round(struct ww *w, const struct probe_scratch *s, uint64_t guarantees, size_t round,
		     struct probe_cost *cost)
{
	double began = now_ns();
	long reported = get(w, s, 0);
	int error;

	cost->get_ns = (now_ns() - began) / (double)s->pages;
	error = check(reported, 0, guarantees, cost);
	if (error)
		return error;
	began = now_ns();
	write_pages(s, round);
	cost->write_ns = (now_ns() - began) / WRITES;
	return check(get(w, s, WW_RESET), WRITES, guarantees, cost);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, size_t count)
{
	qsort(values, count, sizeof(*values), compare);
	return values[count / 2];
}

int probe_measure(struct ww *w, const struct probe_scratch *s, uint64_t guarantees,
		  struct probe_cost *cost)
{
	double writes[ROUNDS_MAX], gets[ROUNDS_MAX];
	double deadline = now_ns() + BUDGET_NS;
	size_t n = 0;
	int error = s->error;

	if (!error)
		error = -ww_watch(w, s->base, SCRATCH, 0);
	while (!error && n < ROUNDS_MAX && (n < ROUNDS_MIN || now_ns() < deadline)) {
		error = one_round(w, s, guarantees, n, cost);
		writes[n] = cost->write_ns;
		gets[n] = cost->get_ns;
		n++;
	}
	if (error)
		return error;
	cost->write_ns = median(writes, n);
	cost->get_ns = median(gets, n);
	return 0;
}

const char *probe_error_words(int error)
{
	return error == EILSEQ ? "what it reported is not what was written" : strerror(error);
}
