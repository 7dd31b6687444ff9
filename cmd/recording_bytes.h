/* SPDX-License-Identifier: MIT */
#ifndef WRITEWATCH_RECORDING_BYTES_H
#define WRITEWATCH_RECORDING_BYTES_H

#include "recording.h"

/* How the reader takes records apart. After a problem, there is nothing left to read. */

struct recording_reader {
	FILE *file;
	uint32_t version;
	uint64_t first;	 /* where the record behind the start is */
	uint64_t offset; /* of the next record */
	struct recording_header header;
	char *start; /* the payload that the texts of the header are in */
	struct recording_problem problem;
	/* What the records before say. */
	bool ended;
	bool more;
	uint64_t begin_ns, end_ns, last_address;
	uint64_t intervals, pages;
	/* The record that is being read. */
	unsigned char *payload;
	size_t room;
	const unsigned char *at, *end;
	void *entries; /* ranges or mappings */
};

/* Keeps the first problem, as those behind it follow from it; returns -EBADMSG. */
int recording_refuse(struct recording_reader *r, uint64_t offset, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* For what was read last of the current record. */
int recording_refuse_here(struct recording_reader *r, const char *what);
/* For an end of the file where none should be; returns 0, or the error that is the true reason. */
int recording_truncated(struct recording_reader *r, const char *within);

/* Returns 1 with the type of the next record, whose payload is there then, 0 at the end. */
int recording_next(struct recording_reader *r, uint32_t *type);
/* 0 after a problem. */
uint64_t recording_number(struct recording_reader *r);
/* NULL after a problem; valid as long as the payload. */
char *recording_text(struct recording_reader *r);

#endif
