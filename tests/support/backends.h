/* SPDX-License-Identifier: MIT */
#ifndef TEST_SUPPORT_BACKENDS_H
#define TEST_SUPPORT_BACKENDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The same tests run on every backend. In what a backend differs is a row of one table; a test asks
 * for what it needs, and never for a name.
 */

enum exception {
	/* The kernel cannot write to pages that nobody wrote since the last reset. */
	NO_KERNEL_WRITES,
	/* Mappings of files on disk cannot be watched; what memfd and tmpfs hold can be. */
	NO_DISK_FILES,
	/* Shared mappings cannot be watched. */
	NO_SHARED,
	/* WW_DISCARDS is refused. */
	NO_DISCARDS,
	/* The program changes the protection of watched memory by ww_protect(). */
	NO_MPROTECT,
	/* Memory that was mapped in the place of watched memory is not told by -ESTALE. */
	NO_STALE,
	/* Nor is what the program writes there reported before it is watched again. */
	NO_ANEW,
	/* Nor what holds nothing there, as it was mapped or moved. */
	NO_EMPTY,
	/* Pages that were written, and are not mapped any more, may still be reported. */
	NO_HOLES,
	/* Pages that nobody wrote are reported. */
	NOT_EXACT,
	/* A page that is reset while the kernel moves it is reported once more: see moves.h. */
	REPEATS_MOVED,
	/* Special mappings, and files opened for reading only, can be watched like all others. */
	ANY_MAPPING,
	/* A write while SIGSEGV and SIGBUS are blocked ends the process. */
	NO_BLOCKED,
	/* It works where userfaultfd(2) is denied. */
	NO_USERFAULTFD,
	/* It works without /proc/self/pagemap, and a query needs no descriptor at all. */
	NO_PAGEMAP,
	/* After a call that failed, or without a mapping left, pages are reported that nobody wrote. */
	MORE_WHEN_SHORT,
	/* Of many separate pages that are written, neighbours count as written, too. */
	WIDENS,
	/* Tables for memory that is not watched any more stay until ww_free(). */
	KEEPS_TABLES,
	/* What is written during a get with a reset can be lost. */
	NOT_ATOMIC,
	EXCEPTIONS
};

/**
 * struct backend_row - a row of the table
 * @name:       for WRITEWATCH_BACKEND
 * @reported:   what ww_info() calls it
 * @guarantees: what ww_info() has to promise
 * @percent:    how much of what an oracle does by default it does on this backend
 * @except:     for each exception NULL, or the reason for it, which is printed
 */
struct backend_row {
	const char *name;
	const char *reported;
	uint64_t guarantees;
	unsigned percent;
	const char *except[EXCEPTIONS];
};

extern const struct backend_row backend_rows[];
extern const size_t backend_row_count;

/* The row of what ww_new(&w, NULL) gives in this environment; NULL if that is nothing. */
const struct backend_row *backend_find(void);

/* To be called before a test: skips it, with the library's reason, if there is no backend. */
void backend_begin(void);

/* backend_find() for tests that began with backend_begin(). */
const struct backend_row *backend(void);

/* NULL, or the reason why this backend is an exception. */
static inline const char *except(enum exception e)
{
	return backend()->except[e];
}

/* Skips the test on a backend that is an exception. */
void skip_if(enum exception e);

/* MORE_WHEN_SHORT, or no zero page: then there is no lazy range, of which empty pages stay clean. */
bool more_when_short(void);

/* Says, once in a process, what a test leaves out for which reason. */
void left_out(const char *what, enum exception e);

/* WW_DISCARDS, or 0 on a backend that refuses it. */
unsigned discards_flag(void);

struct ww;

/* mprotect(2), or on a backend that needs it ww_protect(); 0 or -1. */
int protect(struct ww *w, void *addr, size_t len, int prot);

#endif
