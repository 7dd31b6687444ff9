/* SPDX-License-Identifier: MIT */
#include "fuzz.h"

#include <errno.h>
#include <string.h>

/* For calls that need a range without gaps: whether it failed, and for a reason. */
static bool failed_rightly(struct range r, int result)
{
	bool gap = !all_watched(r), stale = any_mapping(r, STALE);

	if (result == 0 && (gap || stale))
		fail("no error, gap %d, stale %d", gap, stale);
	if (result != 0 && !(result == -ENOENT && gap) && !(result == -ESTALE && stale))
		fail("result %d, gap %d, stale %d", result, gap, stale);
	return result != 0;
}

void op_reset(void)
{
	struct range r = take_range();
	size_t len;
	char *addr = take_address(r, &len);
	int result = ww_reset(fz.w, addr, len);

	note(r, 0, result);
	if (!failed_rightly(r, result))
		set_state(r, CLEAN);
	else if (result == -ESTALE)
		set_state(r, UNKNOWN);
}

void op_mark(void)
{
	struct range r = take_range();
	size_t len;
	char *addr = take_address(r, &len);
	int result = ww_mark(fz.w, addr, len);

	note(r, 0, result);
	if (!failed_rightly(r, result))
		set_state(r, WRITTEN);
	else if (result == -ESTALE)
		doubt((struct range){0, PAGES});
}

void op_discard(void)
{
	bool odd = take() % 8 == 7;
	struct range r = take_range();
	int result = ww_discard(fz.w, page_at(r.first) + odd, bytes_of(r.count));

	note(r, odd, result);
	if (odd) {
		if (result != -EINVAL)
			fail("not aligned: result %d", result);
		return;
	}
	if (failed_rightly(r, result))
		return;
	set_state(r, CLEAN);
	for (size_t i = r.first; i < r.first + r.count; i++)
		fz.pages[i].word = 0;
}

void op_unwatch(void)
{
	struct range r = take_range();
	bool any = any_watched(r);
	size_t len;
	char *addr = take_address(r, &len);
	int result = ww_unwatch(fz.w, addr, len);

	note(r, 0, result);
	if (result != (any ? 0 : -ENOENT))
		fail("result %d", result);
	for (size_t i = r.first; i < r.first + r.count; i++) {
		struct page *p = &fz.pages[i];

		p->watched = false;
		if (p->mapping == STALE)
			p->mapping = MAPPED;
	}
}

static void watched(struct range r, unsigned flags)
{
	for (size_t i = r.first; i < r.first + r.count; i++) {
		struct page *p = &fz.pages[i];

		if (!p->watched)
			p->discards = KEPT;
		if (!p->watched)
			p->state = CLEAN;
		else if (p->mapping == STALE)
			p->state = WRITTEN;
		if (flags & WW_DISCARDS)
			p->discards = COUNTED;
		p->watched = true;
		p->mapping = MAPPED;
	}
}

void watch(struct range r, unsigned flags)
{
	bool hole = any_mapping(r, HOLE);
	bool refused = (flags & WW_DISCARDS && fz.traits->no_discards) ||
		       (fz.traits->no_shared && any_shared(r));
	int result = ww_watch(fz.w, page_at(r.first), bytes_of(r.count), flags);

	note(r, flags, result);
	if (result == 0 && !hole && !refused) {
		watched(r, flags);
		return;
	}
	if (!(hole && result == -EFAULT) && !(refused && result == -ENOTSUP))
		fail("ww_watch: result %d, hole %d, refused %d", result, hole, refused);
	for (size_t i = r.first; flags && i < r.first + r.count; i++)
		if (fz.pages[i].watched && fz.pages[i].discards == KEPT)
			fz.pages[i].discards = PERHAPS;
}

void op_watch(void)
{
	unsigned flags = take() % 2 ? WW_DISCARDS : 0;
	struct range r = take_range();

	/* Where it fails, it is open which part was repaired before. */
	if (any_mapping(r, HOLE) && any_mapping(r, STALE))
		return;
	watch(r, flags);
	check_info();
}

void op_prepare(void)
{
	struct range r = take_range();
	size_t len;
	char *addr = take_address(r, &len);
	int result = ww_prepare_write(fz.w, addr, len);

	note(r, 0, result);
	if (has(WW_KERNEL_WRITES)) {
		if (result != 0)
			fail("result %d", result);
		return;
	}
	if (result != 0 && !(result == -ESTALE && any_mapping(r, STALE)))
		fail("result %d", result);
	doubt(r);
}

void check_info(void)
{
	struct ww_info info = {.size = sizeof(info)};
	size_t pages = 0, pieces = 0;

	if (ww_info(fz.w, &info) != 0)
		fail("ww_info");
	for (size_t i = 0; i < PAGES; i++) {
		pages += fz.pages[i].watched;
		pieces += fz.pages[i].watched && (i == 0 || !fz.pages[i - 1].watched);
	}
	if (info.watched != bytes_of(pages))
		fail("%zu bytes are watched, should be %zu", info.watched, bytes_of(pages));
	if (info.range_count < pieces || info.range_count > pages)
		fail("%zu ranges for %zu pages in %zu pieces", info.range_count, pages, pieces);
	if (info.page_size != fz.page_size || info.guarantees != fz.guarantees ||
	    strcmp(info.backend, fz.traits->reported) != 0)
		fail("ww_info has changed its mind");
	if (info.widened && !fz.traits->own_protect)
		fail("%zu pages widened", (size_t)info.widened);
}

void op_info(void)
{
	size_t size = take() * 8;
	union {
		struct ww_info info;
		unsigned char bytes[256 * 8];
	} u;
	int result;

	memset(&u, 0xa5, sizeof(u));
	u.info.size = size;
	result = ww_info(fz.w, &u.info);
	note((struct range){0, 0}, size, result);
	if (result != (size < offsetof(struct ww_info, refusals) ? -EINVAL : 0))
		fail("size %zu: result %d", size, result);
	for (size_t i = size < 8 ? 8 : size; i < sizeof(u); i++)
		if (u.bytes[i] != 0xa5)
			fail("wrote behind the struct of %zu bytes", size);
	if (result == 0 && size > sizeof(u.info) && u.bytes[sizeof(u.info)] != 0)
		fail("left something behind what is known");
	check_info();
}

/* The program ends the context and makes another one. */
void op_renew(void)
{
	unsigned shape = take();

	note((struct range){0, 0}, shape, 0);
	context_close();
	if (!context_open(fz.backend, (shape & ~1u) | fz.no_handler | 8))
		fail("no backend any more");
}

/* A second context must not get what the first one watches. */
void op_second(void)
{
	struct ww_options options = {.size = sizeof(options), .backend = fz.traits->name};
	struct range r = take_range();
	size_t count = 1;
	void *page;
	struct ww *other;
	int result;

	if (fz.traits->no_second || any_mapping(r, HOLE) || any_mapping(r, STALE))
		return;
	options.flags = fz.no_handler ? WW_NO_HANDLER : 0;
	if (ww_new(&other, &options) != 0)
		fail("no second context");
	result = ww_watch(other, page_at(r.first), bytes_of(r.count), 0);
	note(r, 0, result);
	if (result != (any_watched(r) ? -EBUSY : 0))
		fail("result %d", result);
	if (result == 0 && can_write(r.first)) {
		store(page_at(r.first), ++fz.stamp);
		fz.pages[r.first].word = fz.stamp;
		result = ww_get(other, page_at(r.first), bytes_of(r.count), WW_RESET, &page, &count);
		if (result != 0 || count != 1 || page != page_at(r.first))
			fail("the second context: result %d, count %zu", result, count);
	}
	ww_free(other);
}
