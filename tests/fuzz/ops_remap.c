/* SPDX-License-Identifier: MIT */
/* What is mapped changes behind the library's back. */
#include "fuzz.h"

#include <errno.h>
#include <string.h>

void op_unmap(void)
{
	struct range r = take_range();

	note(r, 0, 0);
	if (munmap(page_at(r.first), bytes_of(r.count)) != 0)
		fail("munmap: %s", strerror(errno));
	for (size_t i = r.first; i < r.first + r.count; i++)
		fz.pages[i].mapping = HOLE;
}

/* Other memory in the place of what was there. */
void op_remap(void)
{
	unsigned how = take();
	struct range r = take_range();
	int prot = fz.traits->by_address ? RW : prot_number(how >> 4);
	bool shared = how & 2 && !fz.traits->no_shared;

	note(r, how, prot);
	if (how & 1)
		munmap(page_at(r.first), bytes_of(r.count));
	map_fresh(r, shared, prot, how & 4);
	if (how & 128)
		repair(r, WW_DISCARDS);
	if (how & 8 || fz.traits->by_address)
		repair(r, 0);
}

static void reserve_attic(size_t bytes)
{
	if (mmap(fz.attic, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) !=
	    fz.attic)
		fail("mmap: %s", strerror(errno));
}

static void move(char *from, char *to)
{
	if (mremap(from, fz.page_size, fz.page_size, MREMAP_MAYMOVE | MREMAP_FIXED, to) != to)
		fail("mremap: %s", strerror(errno));
}

/* Away, and perhaps back; page by page, as not every kernel moves several mappings in one call. */
void op_move(void)
{
	/* Memory that is only protected cannot tell that it was away. */
	bool back = take() % 2 && !fz.traits->by_address;
	struct range r = take_range();

	if (r.count > ATTIC_PAGES)
		r.count = ATTIC_PAGES;
	if (any_mapping(r, HOLE))
		return;
	note(r, back, 0);
	for (size_t i = 0; i < r.count; i++)
		move(page_at(r.first + i), fz.attic + bytes_of(i));
	for (size_t i = 0; i < r.count; i++) {
		struct page *p = &fz.pages[r.first + i];

		if (back)
			move(fz.attic + bytes_of(i), page_at(r.first + i));
		p->mapping = !back ? HOLE : p->watched ? STALE : MAPPED;
	}
	reserve_attic(bytes_of(r.count));
}

/* Memory of the program's is moved to where something else was. */
void op_move_over(void)
{
	unsigned how = take();
	struct range r = take_range();
	size_t bytes;

	if (r.count > ATTIC_PAGES)
		r.count = ATTIC_PAGES;
	bytes = bytes_of(r.count);
	note(r, how, 0);
	if (mprotect(fz.attic, bytes, RW) != 0)
		fail("mprotect: %s", strerror(errno));
	if (how & 1)
		store(fz.attic, ++fz.stamp);
	for (size_t i = 0; i < r.count; i++)
		move(fz.attic + bytes_of(i), page_at(r.first + i));
	reserve_attic(bytes);
	for (size_t i = r.first; i < r.first + r.count; i++) {
		struct page *p = &fz.pages[i];

		*p = (struct page){
			.watched = p->watched,
			.state = p->state,
			.discards = p->discards,
			.mapping = p->watched ? STALE : MAPPED,
			.prot = RW,
			.word = how & 1 && i == r.first ? fz.stamp : 0,
		};
	}
	if (how & 2 || fz.traits->by_address)
		repair(r, 0);
}
