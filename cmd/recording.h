/* SPDX-License-Identifier: MIT */
#ifndef WRITEWATCH_RECORDING_H
#define WRITEWATCH_RECORDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/*
 * The files of 'writewatch record', which writewatch-recording(5) describes: which pages of a
 * process were written in which interval, and what was mapped there. Times are in nanoseconds on
 * the monotonic clock, since the recording began. Addresses are those of the process, in bytes.
 * Functions return 0 or more, or a negative errno value.
 */

#define RECORDING_MAX_PAYLOAD (32u << 20)
#define RECORDING_MAX_RANGES (1u << 20) /* in a record; the writer splits longer intervals */
#define RECORDING_MAX_MAPPINGS (1u << 20)
#define RECORDING_MAX_TEXT 4096
#define RECORDING_UNKNOWN UINT64_MAX

/* Numbers and bits below are those of the file. */
enum recording_type {
	RECORDING_START = 1,
	RECORDING_MAPPINGS = 2,
	RECORDING_INTERVAL = 3,
	RECORDING_END = 4,
	RECORDING_UNTRACKED = 5 /* from version 2 on */
};

enum recording_tracking { RECORDING_EXACT = 1, RECORDING_SOFT_DIRTY = 2 };

enum recording_permission {
	RECORDING_READ = 1,
	RECORDING_WRITE = 2,
	RECORDING_EXECUTE = 4,
	RECORDING_SHARED = 8
};

enum recording_interval_flag {
	RECORDING_INCOMPLETE = 1, /* pages may have been written that are not listed */
	RECORDING_MORE = 2	  /* the next record goes on with the same interval */
};

enum recording_end_kind {
	RECORDING_STOPPED = 0, /* the process lived on */
	RECORDING_EXITED = 1,
	RECORDING_KILLED = 2,
	RECORDING_ENDED = 3 /* exited or killed; from version 2 on */
};

struct recording_header {
	uint64_t page_size;
	uint64_t interval_ns;	/* as asked for */
	uint64_t wall_clock_ns; /* of the start, since 1970 */
	uint64_t pid;
	enum recording_tracking tracking;
	const char *command;
	const char *release; /* of the kernel */
};

struct recording_range {
	uint64_t start, end;
};

struct recording_mapping {
	uint64_t start, end;
	unsigned permissions;
	uint64_t resident; /* pages, or RECORDING_UNKNOWN */
	const char *name;  /* empty for anonymous memory without a name */
};

/* In ascending order, without overlaps. */
struct recording_table {
	uint64_t time_ns;
	const struct recording_mapping *mappings;
	size_t count;
};

/* Likewise; begins no earlier than the one before it ended. */
struct recording_interval {
	uint64_t begin_ns, end_ns;
	unsigned flags;
	const struct recording_range *ranges;
	size_t count;
};

/* What could be written and was not tracked, from then on; the kinds are some of all. */
struct recording_untracked {
	uint64_t time_ns;
	uint64_t mappings, pages;
	uint64_t busy;	  /* another userfaultfd watches them */
	uint64_t hugetlb; /* of hugetlbfs */
	uint64_t sealed;  /* of read-only files */
	uint64_t special; /* of devices or the kernel */
};

struct recording_end {
	uint64_t time_ns;
	enum recording_end_kind kind;
	unsigned value;	    /* exit status or signal */
	uint64_t intervals; /* the writer counts these two itself */
	uint64_t pages;	    /* the sum over all intervals */
};

struct recording_writer;

/* Takes the descriptor over if it succeeds. The caller ignores SIGXFSZ and SIGPIPE. */
int recording_create(struct recording_writer **out, int fd, const struct recording_header *h);
/* Each is in the file when it returns. After an error, all later calls return the same error. */
int recording_write_table(struct recording_writer *w, const struct recording_table *t);
/* Ranges may be as many as they are, and flags without RECORDING_MORE. */
int recording_write_interval(struct recording_writer *w, const struct recording_interval *i);
int recording_write_untracked(struct recording_writer *w, const struct recording_untracked *u);
int recording_write_end(struct recording_writer *w, const struct recording_end *e);
uint64_t recording_size(const struct recording_writer *w);
/* Returns the first error there was; NULL allowed. */
int recording_close(struct recording_writer *w);

struct recording_reader;

/* What is wrong with a file, in words, and at which byte of it. */
struct recording_problem {
	bool truncated; /* it just stops, as after a crash: all that was read is right */
	uint64_t offset;
	char text[128]; /* empty if there is none */
};

struct recording_record {
	enum recording_type type; /* never RECORDING_START */
	union {
		struct recording_table table;
		struct recording_interval interval;
		struct recording_end end;
		struct recording_untracked untracked;
	};
};

/*
 * The file must outlive the reader. Returns -EBADMSG with *problem for what is no recording, and
 * other errors of reading with an empty one.
 */
int recording_open(struct recording_reader **out, FILE *file, struct recording_problem *problem);
const struct recording_header *recording_header(const struct recording_reader *r);
/*
 * Returns 1 with a record, which is valid until the next call, or 0 at the end, with a problem if
 * the file is truncated. Whatever bytes the file has, times and ranges are in order, neither wraps,
 * and texts are UTF-8 without control characters.
 */
int recording_read(struct recording_reader *r, struct recording_record *record);
const struct recording_problem *recording_problem(const struct recording_reader *r);
/* The next record is the first one again. */
int recording_rewind(struct recording_reader *r);
void recording_free(struct recording_reader *r);

/* What writer and reader share. */
#define RECORDING_VERSION 2   /* 1 and 2 are read */
#define RECORDING_PREAMBLE 12 /* magic and version */
#define RECORDING_FRAME 12    /* type, length and checksum of a record */

enum { RECORDING_SAME_NAME = 16 /* with the permissions: the name is that of the entry before */ };

extern const unsigned char recording_magic[8];
/* That of the first 8 bytes of a frame and of the payload: CRC-32 as in Ethernet and zip. */
uint32_t recording_checksum(const unsigned char *frame, const unsigned char *payload,
			    size_t length);
void recording_put32(unsigned char *to, uint32_t value);
uint32_t recording_get32(const unsigned char *from);
/* Replaces each byte that is no text by '?'. */
void recording_clean(char *text, size_t length);

#endif
