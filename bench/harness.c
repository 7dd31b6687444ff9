/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench.h"

#define WARM_UP 2
#define MAX_PAIRS 200

_Noreturn void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("bench: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(2);
}

void check(int error, const char *what)
{
	if (error < 0)
		die("%s: %s", what, strerror(-error));
}

uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* xorshift64*: the same sequence of dirty pages in every run. */
uint64_t next_random(struct bench *b)
{
	b->random ^= b->random >> 12;
	b->random ^= b->random << 25;
	b->random ^= b->random >> 27;
	return b->random * 0x2545f4914f6cdd1d;
}

/* Makes the first @count entries of @list a random choice out of all @size. */
void shuffle(struct bench *b, uint32_t *list, size_t size, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		size_t j = i + next_random(b) % (size - i);
		uint32_t t = list[i];

		list[i] = list[j];
		list[j] = t;
	}
}

size_t pairs_for(const struct bench *b, size_t pairs)
{
	return b->quick ? 4 : pairs;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *list, size_t n)
{
	qsort(list, n, sizeof(*list), compare);
	return n % 2 ? list[n / 2] : (list[n / 2 - 1] + list[n / 2]) / 2;
}

/* Order statistics: no assumption about how the noise is distributed. @list is sorted. */
static void confidence(const double *list, size_t n, struct figures *f)
{
	double half = 0.98 * sqrt((double)n);
	double low = floor((double)n / 2 - half), high = ceil((double)n / 2 + half);

	f->low = list[low < 0 ? 0 : (size_t)low];
	f->high = list[high >= (double)n ? n - 1 : (size_t)high];
}

static double run_side(const struct work *work, enum side side, size_t *found)
{
	uint64_t start, end;

	if (work->prepare[side])
		work->prepare[side](work->arg);
	start = now_ns();
	*found = work->run[side](work->arg);
	end = now_ns();
	if (work->finish[side])
		work->finish[side](work->arg);
	return (double)(end - start) / (double)work->calls;
}

/* Two pairs, one in each order, are one sample: what the order does cancels out. */
static void evaluate(const struct work *work, double list[SIDES][MAX_PAIRS], struct figures *f)
{
	size_t samples = work->pairs / 2;
	const double *lib = list[LIB], *ref = list[REF];
	double derived[MAX_PAIRS / 2];

	for (size_t i = 0; i < samples; i++)
		derived[i] = (lib[2 * i] + lib[2 * i + 1] - ref[2 * i] - ref[2 * i + 1]) / 2;
	f->extra = median(derived, samples);
	if (work->kind == LIMIT_EXTRA_NS)
		confidence(derived, samples, f);
	for (size_t i = 0; i < samples; i++)
		derived[i] = (lib[2 * i] + lib[2 * i + 1]) / (ref[2 * i] + ref[2 * i + 1]);
	f->ratio = median(derived, samples);
	if (work->kind == LIMIT_RATIO || work->kind == NO_LIMIT)
		confidence(derived, samples, f);
	for (int side = 0; side < SIDES; side++)
		f->median[side] = median(list[side], work->pairs);
	if (work->kind == LIMIT_ABSOLUTE_US)
		confidence(list[LIB], work->pairs, f);
}

void row(struct bench *b, const struct work *work)
{
	double list[SIDES][MAX_PAIRS] = {{0}};
	struct figures f;

	if (b->only && !strstr(work->name, b->only))
		return;
	for (size_t i = 0; i < work->pairs + WARM_UP; i++) {
		size_t slot = i < WARM_UP ? 0 : i - WARM_UP;
		enum side first = i % 2 ? LIB : REF, second = i % 2 ? REF : LIB;
		size_t found[SIDES];

		if (work->next)
			work->next(work->arg);
		list[first][slot] = run_side(work, first, &found[first]);
		list[second][slot] = run_side(work, second, &found[second]);
		if (found[LIB] != found[REF])
			die("%s, %g %%: the library found %zu pages, the reference %zu", work->name,
			    work->dirty, found[LIB], found[REF]);
	}
	evaluate(work, list, &f);
	table_row(b, work, &f);
}
