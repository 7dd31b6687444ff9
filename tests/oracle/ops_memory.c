/* SPDX-License-Identifier: MIT */
/* What programs and the kernel do to memory without asking the library. */
#include "backends.h"
#include "oracle.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "pages.h"

#define RW (PROT_READ | PROT_WRITE)

/* A run of up to @most pages that may be written; count 0 if chance finds none. */
static struct range writable_run(struct oracle *o, size_t most)
{
	for (int tries = 0; tries < 20; tries++) {
		struct range r = {random_page(o), 0};
		size_t wanted = 1 + rng_below(&o->rng, most);

		while (r.count < wanted && r.first + r.count < o->page_count &&
		       all_prot(o, (struct range){r.first + r.count, 1}, RW))
			r.count++;
		if (r.count != 0)
			return r;
	}
	return (struct range){0, 0};
}

void op_store(struct oracle *o)
{
	struct range r = writable_run(o, rng_one_in(&o->rng, 16) ? 40 : 3);

	for (size_t i = r.first; i < r.first + r.count; i++) {
		size_t offset = rng_below(&o->rng, o->page_size / 8) * 8;
		uint64_t value = rng_next(&o->rng);

		if (rng_one_in(&o->rng, 2))
			offset = 0;
		page_write(page_at(o, i) + offset, value);
		page_stored(o, i);
		if (offset == 0)
			o->pages[i].word = value;
	}
	oracle_log(o, r, 0, 0);
}

/* Pages with clean ones between them: more runs than one answer of the kernel has room for. */
void op_store_comb(struct oracle *o)
{
	struct range r = o->regions[rng_below(&o->rng, o->region_count)];
	size_t step = 2 + rng_below(&o->rng, 3);

	oracle_log(o, r, step, 0);
	if (r.count > 1500 * step) {
		r.first += rng_below(&o->rng, r.count - 1500 * step);
		r.count = 1500 * step;
	}
	for (size_t i = r.first; i < r.first + r.count; i += step) {
		if (!all_prot(o, (struct range){i, 1}, RW))
			continue;
		page_write(page_at(o, i), o->pages[i].word);
		page_stored(o, i);
	}
}

void op_store_same(struct oracle *o)
{
	struct range r = writable_run(o, 3);

	for (size_t i = r.first; i < r.first + r.count; i++) {
		page_write(page_at(o, i), o->pages[i].word);
		page_stored(o, i);
	}
	oracle_log(o, r, 0, 0);
}

void op_read(struct oracle *o)
{
	struct range r = {random_page(o), 1};
	struct page *p = &o->pages[r.first];
	uint64_t word;

	if (p->mapping == HOLE || !(p->prot & PROT_READ))
		return;
	word = page_read(page_at(o, r.first));
	oracle_log(o, r, 0, 0);
	if (word != p->word)
		oracle_fail(o, "page %zu holds %lx, not %lx", r.first, (unsigned long)word,
			    (unsigned long)p->word);
}

/* Some bytes of one to three pages, beginning and ending anywhere in the first and the last. */
struct target {
	struct range r;
	char *to;
	size_t bytes;
};

/* Where the announcement fails for what was mapped anew, the kernel might, too. */
static bool prepared(struct oracle *o, const struct target *t)
{
	int result = ww_prepare_write(o->w, t->to, t->bytes);

	if (result == -ESTALE && is_stale(o, t->r)) {
		oracle_log(o, t->r, t->bytes, result);
		doubt(o, t->r);
		return false;
	}
	if (result != 0)
		oracle_fail(o, "ww_prepare_write: result %d", result);
	return true;
}

static bool random_target(struct oracle *o, struct target *t)
{
	size_t front, back;

	t->r = writable_run(o, 3);
	if (t->r.count == 0)
		return false;
	front = rng_one_in(&o->rng, 2) ? 0 : rng_below(&o->rng, o->page_size / 2);
	back = rng_one_in(&o->rng, 2) ? 0 : rng_below(&o->rng, o->page_size / 2);
	t->to = page_at(o, t->r.first) + front;
	t->bytes = bytes_of(o, t->r.count) - front - back;
	return prepared(o, t);
}

static void kernel_wrote(struct oracle *o, const struct target *t, long written)
{
	oracle_log(o, t->r, t->bytes, (int)written);
	if (written != (long)t->bytes)
		oracle_fail(o, "the kernel wrote %ld of %zu bytes", written, t->bytes);
	for (size_t i = t->r.first; i < t->r.first + t->r.count; i++) {
		page_stored(o, i);
		page_resync(o, i);
	}
	if (memcmp(t->to, o->source, t->bytes) != 0)
		oracle_fail(o, "the kernel wrote something else");
}

void op_write_file(struct oracle *o)
{
	struct target t;

	if (random_target(o, &t))
		kernel_wrote(o, &t, pread(o->source_fd, t.to, t.bytes, 0));
}

void op_write_pipe(struct oracle *o)
{
	struct target t;

	if (!random_target(o, &t))
		return;
	if (write(o->pipe_fds[1], o->source, t.bytes) != (ssize_t)t.bytes)
		oracle_fail(o, "write to a pipe failed");
	kernel_wrote(o, &t, read(o->pipe_fds[0], t.to, t.bytes));
}

void op_write_process(struct oracle *o)
{
	struct target t;
	struct iovec from, to;

	if (!random_target(o, &t))
		return;
	from = (struct iovec){o->source, t.bytes};
	to = (struct iovec){t.to, t.bytes};
	kernel_wrote(o, &t, syscall(SYS_process_vm_writev, getpid(), &from, 1L, &to, 1L, 0L));
}

void op_write_ring(struct oracle *o)
{
	struct target t;
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;
	int result;

	if (!o->has_ring || !random_target(o, &t))
		return;
	sqe = io_uring_get_sqe(&o->ring);
	io_uring_prep_read(sqe, o->source_fd, t.to, (unsigned)t.bytes, 0);
	io_uring_submit(&o->ring);
	if (io_uring_wait_cqe(&o->ring, &cqe) != 0)
		oracle_fail(o, "io_uring gave no answer");
	result = cqe->res;
	io_uring_cqe_seen(&o->ring, cqe);
	kernel_wrote(o, &t, result);
}

void op_protect(struct oracle *o)
{
	static const int prots[] = {PROT_NONE, PROT_READ, RW, RW, RW};
	struct range r = random_range(o);
	int prot = prots[rng_below(&o->rng, 5)];

	if (any_mapping(o, r, HOLE))
		return;
	oracle_log(o, r, (unsigned long)prot, 0);
	if (protect(o->w, page_at(o, r.first), bytes_of(o, r.count), prot) != 0)
		oracle_fail(o, "mprotect failed");
	for (size_t i = r.first; i < r.first + r.count; i++)
		o->pages[i].prot = (uint8_t)prot;
}

/* The first word of a page whose own content was dropped: the file's, or zero. */
static uint64_t word_beneath(struct oracle *o, size_t page)
{
	uint64_t word = 0;

	if (o->mode->backing == PRIVATE_FILE &&
	    pread(o->backing_fd, &word, sizeof(word), (off_t)bytes_of(o, page)) != sizeof(word))
		oracle_fail(o, "cannot read the file");
	return word;
}

void op_dontneed(struct oracle *o)
{
	struct range r = random_range(o);

	if (any_mapping(o, r, HOLE))
		return;
	oracle_log(o, r, 0, 0);
	if (madvise(page_at(o, r.first), bytes_of(o, r.count), MADV_DONTNEED) != 0)
		oracle_fail(o, "madvise failed");
	/* Shared memory keeps its content, so nothing was discarded and nothing may change. */
	if (o->mode->backing == SHARED_MEMFD)
		return;
	for (size_t i = r.first; i < r.first + r.count; i++) {
		struct page *p = &o->pages[i];

		p->word = word_beneath(o, i);
		if (p->watched && p->mapping == MAPPED)
			p->state = o->mode->watch_flags & WW_DISCARDS ? WRITTEN : UNKNOWN;
	}
}

void op_cold(struct oracle *o)
{
	struct range r = random_range(o);
	int advice = rng_one_in(&o->rng, 2) ? MADV_COLD : MADV_PAGEOUT;

	if (any_mapping(o, r, HOLE))
		return;
	oracle_log(o, r, (unsigned long)advice, 0);
	madvise(page_at(o, r.first), bytes_of(o, r.count), advice);
}
