/* SPDX-License-Identifier: MIT */
/* What programs and the kernel do to memory that is mapped. */
#include "fuzz.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

void op_store(void)
{
	struct range r = take_range();
	size_t offset = take() % 2 ? 0 : take() * 8 % fz.page_size;

	note(r, offset, 0);
	for (size_t i = r.first; i < r.first + r.count; i++) {
		uint64_t value = ++fz.stamp;

		if (!can_write(i))
			continue;
		store(page_at(i) + offset, value);
		stored(i);
		if (offset == 0)
			fz.pages[i].word = value;
	}
}

/* To every second page or less, the value that is there. */
void op_comb(void)
{
	struct range r = take_range();
	size_t step = 2 + take() % 4;

	note(r, step, 0);
	for (size_t i = r.first; i < r.first + r.count; i += step) {
		if (!can_write(i))
			continue;
		store(page_at(i), fz.pages[i].word);
		stored(i);
	}
}

void op_read(void)
{
	struct range r = take_range();

	note(r, 0, 0);
	for (size_t i = r.first; i < r.first + r.count; i++)
		if (can_read(i) && load(page_at(i)) != fz.pages[i].word)
			fail("page %zu holds %lx, not %lx", i, (unsigned long)load(page_at(i)),
			     (unsigned long)fz.pages[i].word);
}

/* False: where part was mapped anew, what the kernel can write is left open. */
static bool prepare(struct range r, char *to, size_t bytes)
{
	int result = ww_prepare_write(fz.w, to, bytes);

	note(r, bytes, result);
	if (!has(WW_KERNEL_WRITES))
		doubt(r);
	if (result == 0)
		return true;
	if (result != -ESTALE || !any_mapping(r, STALE) || has(WW_KERNEL_WRITES))
		fail("ww_prepare_write: result %d", result);
	return false;
}

void op_kernel_write(void)
{
	unsigned how = take();
	struct range r = writable(take_range(), 3);
	bool sure = has(WW_KERNEL_WRITES);
	size_t bytes;
	ssize_t n;
	char *to;

	if (r.count == 0)
		return;
	to = take_address(r, &bytes);
	if (how & 1 && prepare(r, to, bytes))
		sure = true;
	n = pread(fz.source_fd, to, bytes, 0);
	note(r, bytes, n);
	if (n < 0 && errno != EFAULT)
		fail("pread: %s", strerror(errno));
	if (sure && n != (ssize_t)bytes)
		fail("the kernel wrote %zd of %zu bytes", n, bytes);
	for (size_t i = r.first; i < r.first + r.count; i++) {
		resync(i);
		if (n > 0 && page_at(i) - to < n)
			stored(i);
	}
}

/* A fault that the library must leave to the program. */
void op_forbidden(void)
{
	bool write = take() % 2;
	struct range r = take_range();
	volatile size_t page = r.first;

	if (fz.pages[page].mapping == HOLE || (write ? can_write(page) : can_read(page)))
		return;
	note(r, write, 0);
	fz.expecting = true;
	if (sigsetjmp(fz.back, 1) == 0) {
		if (write)
			store(page_at(page), 1);
		else
			load(page_at(page));
		fail("page %zu could be %s", page, write ? "written" : "read");
	}
	fz.expecting = false;
}

/* On some backends only the library may change the protection of what it watches. */
void op_protect(void)
{
	unsigned how = take();
	int prot = prot_number(how), result;
	struct range r = take_range();

	if (any_mapping(r, HOLE))
		return;
	if (how & 8 || (fz.traits->own_protect && any_watched(r)))
		result = ww_protect(fz.w, page_at(r.first), bytes_of(r.count) - (how & 128), prot);
	else
		result = mprotect(page_at(r.first), bytes_of(r.count), prot);
	note(r, (unsigned long)prot, result);
	if (result != 0)
		fail("result %d", result);
	for (size_t i = r.first; i < r.first + r.count; i++)
		fz.pages[i].prot = (uint8_t)prot;
}

void op_dontneed(void)
{
	struct range r = take_range();

	if (any_mapping(r, HOLE))
		return;
	note(r, 0, 0);
	if (madvise(page_at(r.first), bytes_of(r.count), MADV_DONTNEED) != 0)
		fail("madvise: %s", strerror(errno));
	for (size_t i = r.first; i < r.first + r.count; i++) {
		struct page *p = &fz.pages[i];

		/* Shared memory keeps its content, so nothing was dropped. */
		if (p->shared)
			continue;
		p->word = 0;
		if (p->watched && p->mapping == MAPPED)
			p->state = p->discards == COUNTED ? WRITTEN : UNKNOWN;
	}
}

#ifndef MADV_COLD
#define MADV_COLD 20
#define MADV_PAGEOUT 21
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

/* Changes neither content nor state. */
void op_advise(void)
{
	static const int advice[] = {MADV_POPULATE_READ, MADV_COLD, MADV_PAGEOUT, MADV_WILLNEED};
	int what = advice[take() % 4];
	struct range r = take_range();

	note(r, (unsigned long)what, 0);
	madvise(page_at(r.first), bytes_of(r.count), what);
}
