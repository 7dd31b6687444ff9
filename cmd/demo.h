/* SPDX-License-Identifier: MIT */
#ifndef WRITEWATCH_DEMO_H
#define WRITEWATCH_DEMO_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <writewatch/writewatch.h>

struct demo_options {
	size_t size;
	unsigned seconds;
	unsigned threads;
	bool discards;
	bool color;
};

/* demo.c */
int demo_run(const struct demo_options *o);

/*
 * How many writes of a page have begun and how many have ended. A writer raises @started before it
 * writes and @completed afterwards; who compares both with what the library reports knows, without
 * stopping anyone, whether a report was due.
 */
struct page_count {
	_Atomic uint32_t started;
	_Atomic uint32_t completed;
};

/* The watched memory. */
struct region {
	unsigned char *base;
	size_t size;
	size_t page_size;
	size_t pages;
	struct page_count *counts;
};

/* demo_check.c: is every report right, and is none missing? */
struct checker {
	struct region *region;
	unsigned char *shadow; /* copy of the region, kept up by reports alone */
	uint32_t *before;      /* completed writes when the running call began */
	uint32_t *covered;     /* the same for the call that reported the page last */
	uint32_t *seen;	       /* started writes once that call had returned */
	uint32_t *reported_at; /* when that was, in ms; 0: never */
	uint64_t reported;
	uint64_t missed;
	uint64_t extra;
};

int checker_init(struct checker *c, struct region *r);
void checker_free(struct checker *c);
void checker_before_get(struct checker *c);
void checker_take_report(struct checker *c, const struct ww_range *run, uint32_t now_ms);
void checker_compare(struct checker *c);

/* demo_uring.c, or demo_no_uring.c where liburing is missing. */
struct demo_uring;

int demo_uring_new(struct demo_uring **out);
void demo_uring_free(struct demo_uring *u);
int demo_uring_read(struct demo_uring *u, int fd, void *to, size_t len);

/* demo_writers.c: the threads that write. */
enum write_kind { WRITE_STORE, WRITE_READ, WRITE_URING, WRITE_DISCARD, WRITE_KINDS };

struct crew;

struct writer {
	pthread_t thread;
	struct crew *crew;
	uint64_t random;
	size_t hot;
	int pipe[2];
	struct demo_uring *uring;
	unsigned char *source;
	uint64_t count[WRITE_KINDS];
	int error[WRITE_KINDS];
};

struct crew {
	struct region *region;
	struct writer *writers;
	unsigned size;
	bool kernel_writes;
	bool discards;
	int uring_refusal;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned started;
	unsigned parked;
	bool stop;
	atomic_bool pause;
};

int crew_init(struct crew *c, struct region *r, const struct demo_options *o, uint64_t guarantees);
int crew_start(struct crew *c);
void crew_pause(struct crew *c);
void crew_resume(struct crew *c);
void crew_stop(struct crew *c);
void crew_free(struct crew *c);

/* demo_screen.c: lines, and on a terminal a picture below them. */
struct screen {
	bool terminal;
	bool color;
	bool utf8;
	unsigned drawn;
};

void screen_init(struct screen *s, bool color);
void screen_line(struct screen *s, bool bad, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void screen_keep_picture(struct screen *s);
void screen_picture(struct screen *s, const struct checker *c, uint32_t now_ms);
/* "label  word, word, word" */
void screen_words(const char *label, const char *const *words, size_t count);
/* The same with a text, which is divided at its blanks. */
void screen_text(const char *label, const char *text);

/* demo_refusal.c: why there is no backend and what to change. */
void demo_explain_refusal(void);

#endif
