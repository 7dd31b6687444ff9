/* SPDX-License-Identifier: MIT */
#ifndef TEST_KINDS_H
#define TEST_KINDS_H

#include <stdbool.h>
#include <stddef.h>
#include <writewatch/writewatch.h>

#include "backends.h"

/* Every kind of memory that can be watched, each in every way; one test body runs on all. */

#define PAGE 4096
#define PAGES 1100

struct kind {
	const char *name;
	char *(*map)(void);
	unsigned flags;
	/* ww_discard() makes its pages read as zero. */
	bool discards;
	/* Dropping content by a bare madvise counts as a write. */
	bool drops_count;
	/* Of a file on disk. */
	bool on_disk;
	bool shared;
};

extern const struct kind kinds[];
extern const size_t kind_count;

/*
 * A context, the memory of the kind mapped and watched, and a list; stop() undoes it. Where the
 * backend is an exception, that it refuses the kind is tested, and start() returns NULL.
 */
struct watched {
	const struct kind *kind;
	struct ww *w;
	char *memory;
	void *pages[PAGES];
	size_t count;
	size_t moved_before; /* pages_moved() at the beginning */
};

struct watched *start(const struct kind *kind);
void stop(struct watched *t);

/* ww_get() of all of it; the result is in pages and count. */
void get(struct watched *t, unsigned flags);

/* Fails unless exactly these pages, ascending, ended by -1, were reported by the last get(). */
#define EXPECT(t, ...) expect_pages(t, __FILE__, __LINE__, (const int[]){__VA_ARGS__, -1})
#define EXPECT_NONE(t) expect_pages(t, __FILE__, __LINE__, (const int[]){-1})
void expect_pages(struct watched *t, const char *file, int line, const int *numbers);

/*
 * Whether no more than n pages are reported now. Where there may be more, there sometimes are: then
 * what counts pages is left out.
 */
bool no_more_than(struct watched *t, size_t n);

#define ON_ALL_KINDS(body) \
	do { \
		for (size_t kind_ = 0; kind_ < kind_count; kind_++) { \
			struct watched *t_ = start(&kinds[kind_]); \
			if (t_) { \
				body(t_); \
				stop(t_); \
			} \
		} \
	} while (0)

#endif
