/* SPDX-License-Identifier: MIT */
#ifndef TEST_FAULTS_MODEL_H
#define TEST_FAULTS_MODEL_H

#include <stdint.h>
#include <writewatch/writewatch.h>

#include "backends.h"
#include "inject.h"

/*
 * What a program knows about its watched pages, and its calls of the library, each of which is
 * checked against that: a call fails as the header says or does what it should, and never is a page
 * lost. What else is reported is checked until the first call failed.
 */

#define PAGE ((size_t)4096)
#define PAGES ((size_t)1024)

/* Pages [first, first + count) of the model. */
struct part {
	size_t first;
	size_t count;
};

enum watched { NOT_WATCHED, PERHAPS_WATCHED, WATCHED };

/**
 * struct page - what is known about a page
 * @must:   it has to be reported
 * @may:    it may be reported
 * @stale:  it was remapped and not repaired
 * @mapped: it is there
 * @locked: it may not be written to, or that is not known
 * @word:   its content
 */
struct page {
	enum watched watched;
	bool must;
	bool may;
	bool stale;
	bool mapped;
	bool locked;
	uint64_t word;
};

/**
 * struct result - of a case, in memory that children share
 * @failure: what is wrong; empty: nothing
 * @backend: what was chosen
 * @at:      the step that ran last
 * @locked:  some of the memory is locked
 * @errors:  that calls returned, each once
 */
struct result {
	char failure[256];
	char backend[24];
	const char *at;
	bool locked;
	size_t error_count;
	struct {
		enum api api;
		int error;
	} errors[24];
};

struct model {
	struct ww *w;
	const struct backend_row *row;
	char *base;
	int fd;
	bool child;
	size_t mapped_before;
	void (*fill_hole)(const struct model *m);
	struct page pages[PAGES];
};

extern struct result *result;

/* Ends the case. */
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Nothing failed, and the backend reports exactly what was written. */
bool is_exact(const struct model *m);
static inline const char *lacks(const struct model *m, enum exception e)
{
	return m->row->except[e];
}

/* A result of the library's: 0, or an error that the header lists; ends the case otherwise. */
int checked(struct model *m, enum api api, int r);

void store(struct model *m, size_t page);
void store_all(struct model *m, struct part part);
void compare_content(const struct model *m);
bool all_are(const struct model *m, struct part part, enum watched watched);

int do_watch(struct model *m, struct part part, unsigned flags);
int do_unwatch(struct model *m, struct part part);
int do_mark(struct model *m, struct part part);
int do_discard(struct model *m, struct part part);
int do_protect(struct model *m, struct part part, int prot);
/* A system call that writes to a page. */
void do_kernel_write(struct model *m, size_t page);

/* The three shapes of a query; @room in elements, 0: as much as is needed. */
int do_get(struct model *m, struct part part, unsigned flags, size_t room);
int do_get_ranges(struct model *m, struct part part, unsigned flags, size_t room);
int do_get_bitmap(struct model *m, struct part part, unsigned flags);
int do_count(struct model *m, struct part part, unsigned flags);
int do_reset(struct model *m, struct part part);

#endif
