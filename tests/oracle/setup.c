/* SPDX-License-Identifier: MIT */
#include "oracle.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "moves.h"
#include "pages.h"

static void *room_for(size_t count, size_t size)
{
	void *memory = calloc(count, size);

	if (memory == NULL)
		cr_fatal("no memory");
	return memory;
}

static size_t align_up(size_t value, size_t to)
{
	return (value + to - 1) / to * to;
}

/* Between two regions lie a few pages: foreign memory, and nothing. */
static void lay_out(struct oracle *o)
{
	const struct mode *m = o->mode;
	size_t next = 0;

	o->region_count = m->region_count + (m->sparse_pages != 0);
	for (size_t i = 0; i < o->region_count; i++) {
		struct range *r = &o->regions[i];

		r->first = align_up(next, m->align_pages);
		r->count = m->min_pages + rng_below(&o->rng, m->max_pages - m->min_pages + 1);
		if (i == m->region_count)
			r->count = m->sparse_pages;
		next = r->first + r->count + 2 + rng_below(&o->rng, 14);
	}
	o->page_count = next;
}

static int backing_of(struct oracle *o)
{
	char name[] = "oracle-XXXXXX";
	size_t bytes = bytes_of(o, o->page_count);
	int fd;

	if (o->mode->backing == PRIVATE_MEMORY)
		return -1;
	if (o->mode->backing == SHARED_MEMFD)
		return memfd_of(bytes);
	fd = mkstemp(name);
	if (fd < 0 || unlink(name) != 0 || ftruncate(fd, (off_t)bytes) != 0)
		cr_fatal("cannot make a file here");
	for (size_t i = 0; i < o->page_count; i++) {
		uint64_t word = rng_next(&o->rng);

		if (pwrite(fd, &word, sizeof(word), (off_t)bytes_of(o, i)) != sizeof(word))
			cr_fatal("cannot write a file here");
	}
	return fd;
}

static void map_everything(struct oracle *o)
{
	char *reserve = map_reserve(bytes_of(o, o->page_count + ATTIC_PAGES), HUGE_BYTES);
	size_t region = 0;

	o->base = reserve;
	o->attic = page_at(o, o->page_count);
	for (size_t i = 0; i < o->page_count;) {
		struct range gap = {i, 0};

		if (region < o->region_count && i == o->regions[region].first) {
			map_fresh(o, o->regions[region]);
			i += o->regions[region++].count;
			continue;
		}
		while (gap.first + gap.count < o->page_count &&
		       (region == o->region_count ||
			gap.first + gap.count < o->regions[region].first))
			gap.count++;
		i += gap.count;
		if (rng_one_in(&o->rng, 2)) {
			map_fresh(o, gap);
			continue;
		}
		unmap(page_at(o, gap.first), bytes_of(o, gap.count));
		for (size_t k = gap.first; k < i; k++)
			o->pages[k].mapping = HOLE;
	}
}

static void open_sources(struct oracle *o)
{
	size_t bytes = bytes_of(o, SOURCE_PAGES);
	int error;

	o->source = room_for(1, bytes);
	for (size_t i = 0; i < bytes; i++)
		o->source[i] = (char)rng_next(&o->rng);
	o->source_fd = memfd_of(bytes);
	if (pwrite(o->source_fd, o->source, bytes, 0) != (ssize_t)bytes ||
	    pipe2(o->pipe_fds, O_CLOEXEC) != 0)
		cr_fatal("cannot make the sources of kernel writes");
	error = io_uring_queue_init(4, &o->ring, 0);
	o->has_ring = error == 0;
	if (error != 0)
		fprintf(stderr, "# %s: io_uring is refused here and left out: %s\n", o->mode->name,
			strerror(-error));
}

void oracle_open(struct oracle *o, const struct mode *mode)
{
	memset(o, 0, sizeof(*o));
	o->mode = mode;
	o->what = "setup";
	o->page_size = page_bytes();
	o->moved_before = pages_moved();
	o->seed = random_seed(mode->name);
	o->traced = env_number("WW_PAGE", SIZE_MAX);
	o->rng.state = o->seed;
	lay_out(o);
	o->pages = room_for(o->page_count, sizeof(*o->pages));
	o->list = room_for(o->page_count + 1, sizeof(*o->list));
	o->runs = room_for(o->page_count + 1, sizeof(*o->runs));
	o->bits = room_for(o->page_count / 64 + 3, sizeof(*o->bits));
	o->hit = room_for(o->page_count, sizeof(*o->hit));
	o->backing_fd = backing_of(o);
	open_sources(o);
	map_everything(o);
	cr_assert(ww_new(&o->w, NULL) == 0, "ww_new");
	for (size_t i = 0; i < o->region_count; i++)
		mend(o, o->regions[i]);
}

void oracle_close(struct oracle *o)
{
	ww_free(o->w);
	unmap(o->base, bytes_of(o, o->page_count + ATTIC_PAGES));
	if (o->has_ring)
		io_uring_queue_exit(&o->ring);
	close(o->pipe_fds[0]);
	close(o->pipe_fds[1]);
	close(o->source_fd);
	if (o->backing_fd >= 0)
		close(o->backing_fd);
	free(o->source);
	free(o->hit);
	free(o->bits);
	free(o->runs);
	free(o->list);
	free(o->pages);
}
