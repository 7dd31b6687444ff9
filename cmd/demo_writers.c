/* SPDX-License-Identifier: MIT */
#include "demo.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Long enough to cover three pages now and then, less than what a pipe always holds. */
#define KERNEL_WRITE_MAX ((size_t)6000)
#define SOURCE_SIZE ((size_t)16384)
#define WORD sizeof(unsigned long)
#define BATCH 64
#define BATCH_PAUSE_NS 200000
/* A writer spends most of its time in a window of this part of the region, which wanders. */
#define WINDOW_PART 16

static uint64_t next_random(struct writer *w)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 7;
	w->random ^= w->random << 17;
	return w->random;
}

static size_t pick_offset(struct writer *w, size_t len)
{
	size_t size = w->crew->region->size;
	size_t window = size / WINDOW_PART;

	if (next_random(w) % 64 == 0 || window < len)
		return next_random(w) % (size - len + 1);
	return (w->hot + next_random(w) % (window - len + 1)) % (size - len + 1);
}

/*
 * Raised with full ordering before the first byte is written: the fault that a first write takes,
 * and the flush that a reset does, then make the new value visible to whoever sees the report.
 */
static void begin_write(struct region *r, size_t offset, size_t len)
{
	for (size_t p = offset / r->page_size; p <= (offset + len - 1) / r->page_size; p++)
		atomic_fetch_add_explicit(&r->counts[p].started, 1, memory_order_seq_cst);
}

static void end_write(struct region *r, size_t offset, size_t len)
{
	for (size_t p = offset / r->page_size; p <= (offset + len - 1) / r->page_size; p++)
		atomic_fetch_add_explicit(&r->counts[p].completed, 1, memory_order_seq_cst);
}

static void store_word(struct writer *w, size_t offset)
{
	struct region *r = w->crew->region;
	_Atomic unsigned long *word = (_Atomic unsigned long *)(r->base + offset);

	begin_write(r, offset, WORD);
	atomic_store_explicit(word, (unsigned long)next_random(w), memory_order_relaxed);
	end_write(r, offset, WORD);
}

/* The bare system call: a sanitizer would take read()'s buffer for plain, unordered stores. */
static int pipe_read(int fd, void *to, size_t len)
{
	long n = syscall(SYS_read, fd, to, len);

	return n < 0 ? -errno : (int)n;
}

/* Has the kernel fill [to, to + len) from the writer's pipe; by io_uring or by read(2). */
static int kernel_write(struct writer *w, unsigned char *to, size_t len, enum write_kind kind)
{
	size_t from = next_random(w) % (SOURCE_SIZE - len + 1);
	ssize_t put = write(w->pipe[1], w->source + from, len);

	if (put != (ssize_t)len)
		return put < 0 ? -errno : -EIO;
	while (len > 0) {
		int n = kind == WRITE_URING ? demo_uring_read(w->uring, w->pipe[0], to, len)
					    : pipe_read(w->pipe[0], to, len);

		if (n <= 0)
			return n < 0 ? n : -EIO;
		to += n;
		len -= (size_t)n;
	}
	return 0;
}

static void write_by_kernel(struct writer *w, enum write_kind kind)
{
	struct region *r = w->crew->region;
	size_t most = r->size < KERNEL_WRITE_MAX ? r->size : KERNEL_WRITE_MAX;
	size_t len = 1 + next_random(w) % most;
	size_t offset = pick_offset(w, len);

	if (w->error[kind])
		return;
	begin_write(r, offset, len);
	w->error[kind] = kernel_write(w, r->base + offset, len, kind);
	/* A failed one may have left pages alone that were counted just now. */
	if (w->error[kind])
		memset(r->base + offset, 0xff, len);
	end_write(r, offset, len);
	w->count[kind]++;
}

/* Dropping the content of a page counts as a write in a region watched with WW_DISCARDS. */
static void discard_page(struct writer *w)
{
	struct region *r = w->crew->region;
	size_t offset = pick_offset(w, 1) / r->page_size * r->page_size;

	begin_write(r, offset, r->page_size);
	if (madvise(r->base + offset, r->page_size, MADV_DONTNEED) < 0)
		w->error[WRITE_DISCARD] = -errno;
	end_write(r, offset, r->page_size);
	w->count[WRITE_DISCARD]++;
}

static void write_batch(struct writer *w)
{
	size_t size = w->crew->region->size;

	for (unsigned i = 0; i < BATCH; i++)
		store_word(w, pick_offset(w, WORD) / WORD * WORD);
	w->count[WRITE_STORE] += BATCH;
	if (w->crew->kernel_writes)
		write_by_kernel(w, WRITE_READ);
	if (w->uring)
		write_by_kernel(w, WRITE_URING);
	if (w->crew->discards)
		discard_page(w);
	/* Once through the region in some 20 s. */
	w->hot = (w->hot + size / 60000) % size;
}

/* Returns whether to go on. */
static bool park(struct crew *c)
{
	bool go_on;

	pthread_mutex_lock(&c->lock);
	c->parked++;
	pthread_cond_broadcast(&c->changed);
	while (atomic_load_explicit(&c->pause, memory_order_relaxed) && !c->stop)
		pthread_cond_wait(&c->changed, &c->lock);
	c->parked--;
	go_on = !c->stop;
	pthread_mutex_unlock(&c->lock);
	return go_on;
}

static void *write_until_stopped(void *arg)
{
	const struct timespec rest = {.tv_nsec = BATCH_PAUSE_NS};
	struct writer *w = arg;

	do {
		while (!atomic_load_explicit(&w->crew->pause, memory_order_relaxed)) {
			write_batch(w);
			nanosleep(&rest, NULL);
		}
	} while (park(w->crew));
	return NULL;
}

static int writer_init(struct writer *w, struct crew *c, unsigned number)
{
	w->crew = c;
	w->random = 0x9e3779b97f4a7c15u * (number + 1);
	w->hot = c->region->size / c->size * number;
	if (!c->kernel_writes)
		return 0;
	w->source = malloc(SOURCE_SIZE);
	if (!w->source)
		return -ENOMEM;
	for (size_t i = 0; i < SOURCE_SIZE; i++)
		w->source[i] = (unsigned char)next_random(w);
	if (pipe2(w->pipe, O_CLOEXEC) < 0)
		return -errno;
	if (!c->uring_refusal)
		c->uring_refusal = demo_uring_new(&w->uring);
	return 0;
}

int crew_init(struct crew *c, struct region *r, const struct demo_options *o, uint64_t guarantees)
{
	int error = 0;

	*c = (struct crew){.region = r, .size = o->threads};
	c->writers = calloc(c->size, sizeof(*c->writers));
	if (!c->writers)
		return -ENOMEM;
	for (unsigned i = 0; i < c->size; i++)
		c->writers[i].pipe[0] = c->writers[i].pipe[1] = -1;
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->changed, NULL);
	c->kernel_writes = guarantees & WW_KERNEL_WRITES;
	c->discards = o->discards;
	for (unsigned i = 0; i < c->size && error == 0; i++)
		error = writer_init(&c->writers[i], c, i);
	if (error < 0)
		crew_free(c);
	return error;
}

int crew_start(struct crew *c)
{
	sigset_t all, old;
	int r = 0;

	/* Signals go to the frame loop: a writer's system calls are never cut short. But for two that
	 * some backends learn of writes by. */
	sigfillset(&all);
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGBUS);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	while (c->started < c->size && r == 0) {
		struct writer *w = &c->writers[c->started];

		r = pthread_create(&w->thread, NULL, write_until_stopped, w);
		c->started += r == 0;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r != 0)
		crew_stop(c);
	return -r;
}

/* Returns once every writer has ended its last write and waits. */
void crew_pause(struct crew *c)
{
	pthread_mutex_lock(&c->lock);
	atomic_store_explicit(&c->pause, true, memory_order_relaxed);
	while (c->parked < c->started)
		pthread_cond_wait(&c->changed, &c->lock);
	pthread_mutex_unlock(&c->lock);
}

void crew_resume(struct crew *c)
{
	pthread_mutex_lock(&c->lock);
	atomic_store_explicit(&c->pause, false, memory_order_relaxed);
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
}

void crew_stop(struct crew *c)
{
	pthread_mutex_lock(&c->lock);
	c->stop = true;
	atomic_store_explicit(&c->pause, true, memory_order_relaxed);
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
	for (; c->started > 0; c->started--)
		pthread_join(c->writers[c->started - 1].thread, NULL);
}

void crew_free(struct crew *c)
{
	if (!c->writers)
		return;
	for (unsigned i = 0; i < c->size; i++) {
		struct writer *w = &c->writers[i];

		demo_uring_free(w->uring);
		free(w->source);
		if (w->pipe[0] >= 0) {
			close(w->pipe[0]);
			close(w->pipe[1]);
		}
	}
	free(c->writers);
	pthread_cond_destroy(&c->changed);
	pthread_mutex_destroy(&c->lock);
	*c = (struct crew){0};
}
