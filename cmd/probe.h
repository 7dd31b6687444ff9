/* SPDX-License-Identifier: MIT */
#ifndef WRITEWATCH_PROBE_H
#define WRITEWATCH_PROBE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/utsname.h>

#include <writewatch/writewatch.h>

#define PROBE_BACKENDS 5
#define PROBE_CHANGES 4
#define PROBE_TEXT 320

/* What the kernel lets this process do; errors are positive errno values, 0 where it worked. */
struct probe_machine {
	struct utsname kernel;
	size_t page_size;
	char huge_pages[16];   /* empty: cannot be read */
	long max_map_count;    /* -1: cannot be read, as for the next three */
	int unprivileged_uffd; /* vm.unprivileged_userfaultfd */
	int seccomp;	       /* 0: no filter */
	int dumpable;
	uid_t uid;
	bool cap_sys_ptrace;
	int proc_error;	      /* reading /proc/self/maps */
	int pagemap_error;    /* opening /proc/self/pagemap */
	int clear_refs_error; /* opening /proc/self/clear_refs for writing */
	int uffd_error;	      /* userfaultfd(2), for faults of the kernel too */
	int uffd_user_error;  /* userfaultfd(2) with UFFD_USER_MODE_ONLY */
	int device_error;     /* opening /dev/userfaultfd */
	bool device_exists;
	unsigned device_mode; /* its permission bits */
};

struct probe_cost {
	double write_ns; /* the first write to a clean page */
	double get_ns;	 /* a get of clean pages, for each of them */
	long extra;	 /* pages that were reported without having been written */
};

struct probe_backend {
	const char *name;
	const char *how;
	bool usable;
	bool chosen; /* by the automatic choice */
	/* What ww_info() says, if usable. */
	const char *public_name;
	uint64_t guarantees;
	int measure_error;
	struct probe_cost cost;
	/* If not; no reason if the error says it all. */
	const char *reason;
	int error;
	size_t change_count; /* all of them are needed */
	char changes[PROBE_CHANGES][PROBE_TEXT];
};

/* The environment variable WRITEWATCH_BACKEND, and what it makes of a program's ww_new(). */
struct probe_wish {
	bool set;
	char value[64]; /* printable */
	const char *backend;
	const char *reason;
	int error;
};

struct probe_report {
	struct probe_machine machine;
	struct probe_wish wish;
	struct probe_backend backends[PROBE_BACKENDS];
	const struct probe_backend *chosen;
	double elapsed_ms;
};

struct probe_guarantee {
	uint64_t bit;
	const char *key;
	const char *with;
	const char *without;
};

/* probe_collect.c; ends with a row whose bit is 0. */
extern const struct probe_guarantee probe_guarantees[];

/* Takes WRITEWATCH_BACKEND out of the environment, so that it overrides nothing here. */
void probe_collect(struct probe_report *r);

/* probe_machine.c */
void probe_machine_read(struct probe_machine *m);

/* probe_measure.c: memory that is populated once for all backends. */
struct probe_scratch {
	unsigned char *base;
	size_t page_size;
	size_t pages;
	int error;
};

void probe_scratch_init(struct probe_scratch *s, size_t page_size);
void probe_scratch_free(struct probe_scratch *s);
/* 0, or a positive errno value; EILSEQ: what was reported is not what was written. */
int probe_measure(struct ww *w, const struct probe_scratch *s, uint64_t guarantees,
		  struct probe_cost *cost);
/* Also for what errno has no words for. */
const char *probe_error_words(int error);

/* probe_advice.c: fills in what would make a backend usable. */
void probe_advise(const struct probe_machine *m, struct probe_backend *b);

/* probe_text.c */
void probe_print_text(const struct probe_report *r);

/* probe_json.c, or probe_no_json.c where jansson is missing; returns 0 or a negative errno value.
 */
int probe_print_json(const struct probe_report *r);

#endif
