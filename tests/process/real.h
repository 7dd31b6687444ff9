/* SPDX-License-Identifier: MIT */
#ifndef TEST_PROCESS_REAL_H
#define TEST_PROCESS_REAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <writewatch/process.h>

/* Says why and ends with 1; the process that real_stop() stopped goes on. */
_Noreturn void real_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Stops all threads of the process, and waits until they have; lets them go on. */
void real_stop(pid_t pid);
void real_continue(void);

/**
 * enum page_state - what a page of a copy is
 * @PAGE_EMPTY: nothing is there; of a private file mapping: nothing, or a page of the file
 * @PAGE_OWN:   private memory with a content of its own
 * @PAGE_UNSURE: of a private file mapping, swapped out or a page of the file that was dropped
 * @PAGE_COMMON: shared memory, whose content counts wherever it is
 */
enum page_state { PAGE_EMPTY, PAGE_OWN, PAGE_UNSURE, PAGE_COMMON };

/**
 * struct piece - a mapping, copied
 * @bytes: of pages that are not PAGE_EMPTY
 * @state: one of each page
 */
struct piece {
	uint64_t start, end;
	bool writable, shared, file;
	char name[64];
	char *bytes;
	uint8_t *state;
};

struct copy {
	struct piece *pieces;
	size_t count;
};

/* Of a process that is stopped; puts no page into private memory. */
void copy_take(struct copy *copy, pid_t pid);
/* The mapping at an address, or NULL. Addresses are asked for in ascending order. */
const struct piece *copy_find(const struct copy *copy, size_t *hint, uint64_t address);

/* What was reported so far: any order, may overlap, until it was sorted. */
struct ranges {
	struct ww_page_range *list;
	size_t count, room;
};

void ranges_add(struct ranges *r, const struct ww_page_range *ranges, size_t count);
void ranges_sort(struct ranges *r);
bool ranges_have(const struct ranges *r, uint64_t address);

/* Compares two copies, and what differs with what was reported; prints; 0 if nothing lacks. */
int compare(struct ww_process *p, const struct copy *a, const struct copy *b,
	    const struct ranges *reported, bool alone);

#endif
