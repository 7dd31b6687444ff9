/* SPDX-License-Identifier: MIT */
#include "model.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pages.h"

struct result *result;

void fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(result->failure, sizeof(result->failure), format, args);
	va_end(args);
	_exit(1);
}

bool is_exact(const struct model *m)
{
	return inject->failed == 0 && !lacks(m, NOT_EXACT);
}

static void note(enum api api, int error)
{
	size_t n = result->error_count;

	for (size_t i = 0; i < n; i++)
		if (result->errors[i].api == api && result->errors[i].error == error)
			return;
	if (n == sizeof(result->errors) / sizeof(*result->errors))
		return;
	result->errors[n].api = api;
	result->errors[n].error = error;
	result->error_count++;
}

int checked(struct model *m, enum api api, int r)
{
	if (r == 0)
		return 0;
	note(api, -r);
	if (!inject->failed)
		fail("%s: %s although nothing failed", api_names[api], error_name(-r));
	if (is_documented(api, -r) ||
	    ((m->child || inject->gave_up) && is_documented_anew(api, -r)))
		return r;
	fail("%s: undocumented error %s (%d)", api_names[api], error_name(-r), r);
}

static char *at(const struct model *m, size_t page)
{
	return m->base + page * PAGE;
}

static struct page *page_of(struct model *m, size_t page)
{
	return &m->pages[page];
}

bool all_are(const struct model *m, struct part part, enum watched watched)
{
	for (size_t i = part.first; i < part.first + part.count; i++)
		if (m->pages[i].watched != watched)
			return false;
	return true;
}

void store(struct model *m, size_t page)
{
	static uint64_t next = 1;
	struct page *p = page_of(m, page);

	if (!p->mapped || p->locked)
		return;
	p->word = next++;
	page_write(at(m, page), p->word);
	if (p->watched != NOT_WATCHED)
		p->must = p->may = true;
}

void store_all(struct model *m, struct part part)
{
	for (size_t i = part.first; i < part.first + part.count; i++)
		store(m, i);
}

void compare_content(const struct model *m)
{
	for (size_t i = 0; i < PAGES; i++)
		if (m->pages[i].mapped && page_read(at(m, i)) != m->pages[i].word)
			fail("content of page %zu changed", i);
}

/* What is repaired counts as written. */
static void repair(struct page *p)
{
	if (p->stale)
		p->must = p->may = true;
	p->stale = false;
}

static void set_watched(struct page *p)
{
	repair(p);
	if (p->watched == NOT_WATCHED)
		p->must = p->may = false;
	p->watched = WATCHED;
}

/* The kernel would not let go of protected memory, for another reason than want of mappings. */
static bool is_kept(void)
{
	return inject->failed && inject->plan.call == CALL_MPROTECT && inject->plan.error != ENOMEM;
}

int do_watch(struct model *m, struct part part, unsigned flags)
{
	int r = checked(m, API_WATCH, ww_watch(m->w, at(m, part.first), part.count * PAGE, flags));

	for (size_t i = part.first; i < part.first + part.count; i++) {
		/* What was protected before it failed, the kernel does not let go of either. */
		if (r < 0 && page_of(m, i)->watched == NOT_WATCHED)
			page_of(m, i)->locked |= is_kept() && inject->plan.mode == EVER;
		if (r == 0)
			set_watched(page_of(m, i));
		else if (!lacks(m, NO_STALE))
			/* This may have been done, and if not, queries fail. */
			repair(page_of(m, i));
	}
	return r;
}

int do_unwatch(struct model *m, struct part part)
{
	int r = ww_unwatch(m->w, at(m, part.first), part.count * PAGE);

	if (r == -ENOENT && !all_are(m, part, WATCHED))
		return r;
	checked(m, API_UNWATCH, r);
	for (size_t i = part.first; i < part.first + part.count; i++) {
		struct page *p = page_of(m, i);

		if (r == 0)
			*p = (struct page){
			    .mapped = p->mapped,
			    .locked = p->locked || is_kept(),
			    .word = p->word,
			};
		else if (p->watched == WATCHED)
			p->watched = PERHAPS_WATCHED;
	}
	return r;
}

/* Of a part that is not watched as a whole nothing is known but that the call may fail. */
static int checked_part(struct model *m, enum api api, struct part part, int r)
{
	if (r == -ENOENT && !all_are(m, part, WATCHED))
		return r;
	r = checked(m, api, r);
	for (size_t i = part.first; r == 0 && i < part.first + part.count; i++)
		if (m->pages[i].watched == NOT_WATCHED)
			fail("%s: succeeds, and page %zu is not watched", api_names[api], i);
	return r;
}

int do_mark(struct model *m, struct part part)
{
	int r =
	    checked_part(m, API_MARK, part, ww_mark(m->w, at(m, part.first), part.count * PAGE));

	for (size_t i = part.first; i < part.first + part.count; i++) {
		page_of(m, i)->may = true;
		page_of(m, i)->must |= r == 0;
	}
	return r;
}

int do_discard(struct model *m, struct part part)
{
	int r = checked_part(m, API_DISCARD, part,
			     ww_discard(m->w, at(m, part.first), part.count * PAGE));

	for (size_t i = part.first; i < part.first + part.count; i++) {
		struct page *p = page_of(m, i);
		uint64_t word = page_read(at(m, i));

		if (r == 0 ? word != 0 : word != 0 && word != p->word)
			fail("ww_discard: page %zu has wrong content", i);
		/* What was not dropped is still there to be reported. */
		if (word != 0 && r < 0)
			continue;
		p->word = word;
		p->must = false;
		p->may = r < 0;
	}
	return r;
}

int do_protect(struct model *m, struct part part, int prot)
{
	int r = ww_protect(m->w, at(m, part.first), part.count * PAGE, prot);

	checked(m, API_PROTECT, r);
	for (size_t i = part.first; i < part.first + part.count; i++)
		page_of(m, i)->locked = r < 0 || !(prot & PROT_WRITE);
	return r;
}

void do_kernel_write(struct model *m, size_t page)
{
	static const char source[sizeof(uint64_t)] = "content";
	struct page *p = page_of(m, page);
	int pipes[2];
	ssize_t n;

	if (p->locked)
		return;
	if (ww_prepare_write(m->w, NULL, 0) != -EINVAL)
		fail("ww_prepare_write: takes no bytes for some");
	if (checked(m, API_PREPARE_WRITE, ww_prepare_write(m->w, at(m, page), PAGE)) == 0)
		p->may = true;
	else if (lacks(m, NO_KERNEL_WRITES))
		return;
	if (pipe(pipes) < 0 || write(pipes[1], source, sizeof(source)) != sizeof(source))
		fail("no pipe");
	n = read(pipes[0], at(m, page), sizeof(source));
	if (n != sizeof(source) && !inject->failed)
		fail("the kernel could not write to page %zu", page);
	if (n == sizeof(source)) {
		memcpy(&p->word, source, sizeof(p->word));
		p->must |= p->watched != NOT_WATCHED;
		p->may = true;
	}
	close(pipes[0]);
	close(pipes[1]);
}
