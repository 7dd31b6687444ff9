/* SPDX-License-Identifier: MIT */
/*
 * A game keeps its state in one block of memory. After each frame the old content of the pages it
 * wrote is put aside, so that the last frames can be undone: what a network game does when
 * the input of another player arrives late.
 */
/* With -std=c99 or c11, where the C library is strict. */
#define _DEFAULT_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <writewatch/writewatch.h>

#define STATE_SIZE ((size_t)16 << 20)
#define PAGE 4096
#define PAGES (STATE_SIZE / PAGE)
#define FRAMES 60
#define ROLLBACK 7

struct saved_page {
	size_t index;
	unsigned char content[PAGE];
};

struct frame {
	struct saved_page *undo;
	size_t undo_count;
	uint64_t checksum; /* of the state after this frame; only to verify the example */
};

static struct ww *w;
static unsigned char *state;
static unsigned char *shadow; /* the state as it was after the last frame */
static struct frame frames[FRAMES + 1];

static void check(int error, const char *what)
{
	if (error == 0)
		return;
	fprintf(stderr, "%s: %s\n", what, strerror(-error));
	exit(1);
}

static uint64_t checksum(void)
{
	uint64_t sum = 14695981039346656037u;

	for (size_t i = 0; i < STATE_SIZE; i += 8) {
		uint64_t word;

		memcpy(&word, state + i, 8);
		sum = (sum ^ word) * 1099511628211u;
	}
	return sum;
}

/* The same frame number always does the same to the same state. */
static void play(unsigned number)
{
	uint32_t random = number * 2654435761u + 1;

	for (unsigned object = 0; object < 300; object++) {
		random = random * 1664525 + 1013904223;
		for (unsigned i = 0; i < 64; i++)
			state[(random % (STATE_SIZE - 64)) + i] += (unsigned char)(object + i);
	}
}

static void verify(uint64_t expected, int number)
{
	if (checksum() == expected)
		return;
	fprintf(stderr, "the state is not that of frame %d\n", number);
	exit(1);
}

static size_t save(struct frame *f)
{
	static void *pages[PAGES];
	size_t count = PAGES;

	check(ww_get(w, state, STATE_SIZE, WW_RESET, pages, &count), "ww_get");
	free(f->undo);
	f->undo = malloc(count * sizeof(*f->undo));
	f->undo_count = count;
	check(f->undo ? 0 : -ENOMEM, "malloc");
	for (size_t i = 0; i < count; i++) {
		struct saved_page *p = &f->undo[i];

		p->index = (size_t)((unsigned char *)pages[i] - state) / PAGE;
		memcpy(p->content, shadow + p->index * PAGE, PAGE);
		memcpy(shadow + p->index * PAGE, pages[i], PAGE);
	}
	f->checksum = checksum();
	return count;
}

static void undo(const struct frame *f)
{
	for (size_t i = 0; i < f->undo_count; i++) {
		const struct saved_page *p = &f->undo[i];

		memcpy(state + p->index * PAGE, p->content, PAGE);
		memcpy(shadow + p->index * PAGE, p->content, PAGE);
	}
}

int main(void)
{
	size_t saved = 0;
	uint64_t last;

	state = mmap(NULL, STATE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	shadow = calloc(1, STATE_SIZE);
	check(state == MAP_FAILED || !shadow ? -ENOMEM : 0, "memory");
	check(ww_new(&w, NULL), "ww_new");
	check(ww_watch(w, state, STATE_SIZE, 0), "ww_watch");

	for (unsigned i = 1; i <= FRAMES; i++) {
		play(i);
		saved += save(&frames[i]);
	}
	last = frames[FRAMES].checksum;
	printf("%d frames of a state of %zu MiB: saved %.1f MiB instead of %zu MiB\n", FRAMES,
	       STATE_SIZE >> 20, (double)saved * PAGE / (1 << 20), FRAMES * STATE_SIZE >> 20);

	for (unsigned i = FRAMES; i > FRAMES - ROLLBACK; i--)
		undo(&frames[i]);
	verify(frames[FRAMES - ROLLBACK].checksum, FRAMES - ROLLBACK);
	/* Undoing wrote to the state; that is no part of the next frame. */
	check(ww_reset(w, state, STATE_SIZE), "ww_reset");
	printf("undid %d frames: the state is that of frame %d\n", ROLLBACK, FRAMES - ROLLBACK);

	for (unsigned i = FRAMES - ROLLBACK + 1; i <= FRAMES; i++) {
		play(i);
		save(&frames[i]);
	}
	verify(last, FRAMES);
	printf("played them again: the state is that of frame %d\n", FRAMES);
	for (unsigned i = 1; i <= FRAMES; i++)
		free(frames[i].undo);
	free(shadow);
	ww_free(w);
	return 0;
}
