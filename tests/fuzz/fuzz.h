/* SPDX-License-Identifier: MIT */
#ifndef TEST_FUZZ_H
#define TEST_FUZZ_H

/*
 * Bytes become calls of the library and changes of memory; a model of every page knows what a query
 * has to report, must not report, or is free to report. Whoever makes the bytes, a fuzzer or a
 * corpus, calls LLVMFuzzerTestOneInput(); the first disagreement is printed and aborts.
 */

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <writewatch/writewatch.h>

#define PAGES 1260
#define ATTIC_PAGES 16
#define SOURCE_PAGES 4
#define LOG_ENTRIES 32
#define RW (PROT_READ | PROT_WRITE)

enum page_state {
	CLEAN,
	WRITTEN,
	UNKNOWN /* the contract leaves open whether it is reported, until it is reset or written */
};

enum page_mapping {
	MAPPED,
	HOLE, /* unmapped, nothing in its place */
	STALE /* watched, and mapped anew: queries fail until it is watched again */
};

enum discards {
	KEPT,
	COUNTED,
	PERHAPS /* a call that was to add WW_DISCARDS failed somewhere */
};

struct page {
	uint64_t word; /* what its first word holds */
	uint8_t state;
	uint8_t mapping;
	uint8_t prot;
	uint8_t discards;
	bool shared;
	bool watched;
};

struct range {
	size_t first, count;
};

/* What is different on a backend; its guarantees tell the rest. */
struct traits {
	const char *name;
	const char *reported;
	bool no_discards;
	bool no_shared;
	/* Addresses are watched, whatever is mapped there: remapped memory has to be watched again at
	 * once, and what was unmapped may still be reported. */
	bool by_address;
	bool own_protect;
	bool no_second; /* two contexts may watch the same memory */
};

struct log_entry {
	size_t at;
	const char *what;
	struct range range;
	unsigned long detail;
	long result;
};

struct fuzz {
	const uint8_t *data;
	size_t size;
	size_t at;

	const struct traits *traits;
	unsigned backend;
	uint64_t guarantees;
	bool no_handler;
	struct ww *w;
	size_t page_size;
	char *base;
	char *attic;
	int memfd;
	int source_fd;
	struct range last; /* what an operation was about */
	uint64_t stamp;
	uint64_t surplus; /* pages reported without having been written */
	struct page pages[PAGES];

	/* A store or load that must not succeed. */
	sigjmp_buf back;
	volatile bool expecting;
	volatile uintptr_t last_fault;
	volatile unsigned repeated;

	const char *what;
	size_t log_next;
	struct log_entry log[LOG_ENTRIES];
	size_t operations;
};

extern struct fuzz fz;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);
/* Once in a process, before the first input. Prints and returns false if the environment asks for a
 * backend that cannot be had here. */
bool fuzz_begin(void);

/* input.c: what is behind the end of the input reads as zero. */
unsigned take(void);
uint64_t take_word(void);
/* Pages of the arena, of one piece or across several; often near the last ones. */
struct range take_range(void);
/* The same pages, but addresses that need not be aligned. */
char *take_address(struct range r, size_t *len);

/* arena.c */
void arena_open(unsigned shape);
bool context_open(unsigned backend, unsigned shape);
void context_close(void);
void map_fresh(struct range r, bool shared, int prot, bool fill);
struct range piece_of(size_t page);
size_t piece_count(void);
struct range piece_number(size_t i);

/* model.c */
void note(struct range r, unsigned long detail, long result);
void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
char *page_at(size_t page);
size_t bytes_of(size_t pages);
bool has(uint64_t guarantee);
bool any_mapping(struct range r, enum page_mapping mapping);
bool any_shared(struct range r);
bool any_watched(struct range r);
bool all_watched(struct range r);
int prot_number(unsigned i);
bool can_write(size_t page);
bool can_read(size_t page);
/* The pages of r from its start on that may be written, most of them at most. */
struct range writable(struct range r, size_t most);
void set_state(struct range r, enum page_state state);
/* What may count as written from now on; what does, still does. */
void doubt(struct range r);
void stored(size_t page);
void resync(size_t page);
/* Watches again the pages of r that are watched and were mapped anew. */
void repair(struct range r, unsigned flags);

static inline uint64_t load(const void *at)
{
	return __atomic_load_n((const uint64_t *)at, __ATOMIC_RELAXED);
}

static inline void store(void *at, uint64_t value)
{
	__atomic_store_n((uint64_t *)at, value, __ATOMIC_RELAXED);
}

/* ops_*.c */
void op_store(void);
void op_comb(void);
void op_read(void);
void op_kernel_write(void);
void op_forbidden(void);
void op_protect(void);
void op_dontneed(void);
void op_advise(void);
void op_unmap(void);
void op_remap(void);
void op_move(void);
void op_move_over(void);
void op_watch(void);
void op_unwatch(void);
void op_get(void);
void op_reset(void);
void op_mark(void);
void op_discard(void);
void op_prepare(void);
void op_info(void);
void op_odd(void);
void op_nonsense(void);
void op_renew(void);
void op_second(void);

void check_info(void);
void check_everything(void);
void watch(struct range r, unsigned flags);

#endif
