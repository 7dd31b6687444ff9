/* SPDX-License-Identifier: MIT */
#include "scan_fuzz_model.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/*
 * Regions of memory that only one thread writes to. It knows what it wrote since the last reset:
 * each of those pages has to be reported, and no other but for the reasons that are named below.
 * What happens around them, and what the kernel does to their pages, must make no difference.
 */

static const char *const kind_names[] = {"anonymous",	 "anonymous huge", "mergeable", "shmem",
					 "private file", "shared file",	   "hugetlb"};

static struct region regions[MODELS][KINDS];
static atomic_int next_model;
static _Thread_local struct wwk_page_region vec[PAGES + 1];
static _Thread_local bool reported[PAGES];

bool model_reserve(void)
{
	size_t length = (MODELS * KINDS * 2 + 1) * SLOT;
	char *room =
	    mmap(NULL, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (room == MAP_FAILED)
		return false;
	room += -(uintptr_t)room & (HUGE_PAGE - 1);
	for (int i = 0; i < MODELS * KINDS; i++) {
		struct region *region = &regions[i / KINDS][i % KINDS];

		region->kind = (enum kind)(i % KINDS);
		region->base = region->slots[0] = room + (size_t)i * 2 * SLOT;
		region->slots[1] = region->slots[0] + SLOT;
		region->uffd = region->file = -1;
	}
	return true;
}

char *model_page(struct actor *actor)
{
	struct region *region = &regions[fuzz_random(actor, MODELS)][fuzz_random(actor, KINDS)];

	return region->slots[fuzz_random(actor, 2)] + fuzz_random(actor, PAGES) * PAGE;
}

void model_note(struct region *region, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(region->history[region->events++ % HISTORY], 80, format, args);
	va_end(args);
}

void model_violation(struct region *region, const char *what, size_t page)
{
	uint64_t entry = 0;

	pread(FD_PAGEMAP, &entry, 8, (off_t)((uintptr_t)region->base / PAGE + page) * 8);
	fuzz_violation("%s, page %zu at %p: %s; flags %d, pagemap %" PRIx64,
		       kind_names[region->kind], page, (void *)(region->base + page * PAGE), what,
		       region->flags[page], entry);
	for (unsigned int i = 0; i < HISTORY; i++)
		dprintf(STDOUT_FILENO, "  before: %s\n",
			region->history[(region->events + i) % HISTORY]);
}

/* Merging forgets the protection; a huge page of hugetlbfs has none while nothing is there. */
static bool is_vague(const struct region *region)
{
	return region->kind == ANON_MERGEABLE || region->kind == HUGETLB;
}

void model_set(struct region *region, size_t page, size_t n, bool written)
{
	for (size_t i = page; i < page + n; i++)
		region->flags[i] = (uint8_t)((region->flags[i] & ~(MUST | MAY)) | written);
}

void model_may(struct region *region, size_t page, size_t n)
{
	for (size_t i = page; i < page + n; i++)
		region->flags[i] |= MAY;
}

size_t model_range(struct actor *actor, struct region *region, size_t *n)
{
	size_t page = fuzz_random(actor, PAGES);

	*n = 1 + fuzz_random(actor, fuzz_chance(actor, 4) ? PAGES : 32);
	if (region->kind == HUGETLB || fuzz_chance(actor, 6)) {
		page &= ~(size_t)511;
		*n = (*n + 511) & ~(size_t)511;
	}
	if (*n > PAGES - page)
		*n = PAGES - page;
	return page;
}

/* What may or may not have counted as written is known after it was looked at. */
static void settle(struct region *region, size_t page, size_t done)
{
	for (size_t i = page; i < done; i++) {
		if (!(region->flags[i] & MAY) || (reported[i] && is_vague(region)))
			continue;
		region->flags[i] &= (uint8_t)~MAY;
		if (reported[i])
			region->flags[i] |= MUST;
	}
}

/* Compares what was reported of [page, done), and takes over what was reset. */
static void compare(struct region *region, size_t page, size_t done, bool resets)
{
	size_t unit = region->kind == HUGETLB ? 512 : 1;

	atomic_fetch_add_explicit(&fuzz->checked_pages, done - page, memory_order_relaxed);
	for (size_t i = page; i < done; i++) {
		if (reported[i] && !region->flags[i] && !is_vague(region))
			model_violation(region, "is reported and was not written", i);
		else if (!reported[i] && (region->flags[i] & MUST))
			model_violation(region, "was written and is not reported", i);
		else
			continue;
		return;
	}
	settle(region, page, done);
	for (size_t i = page; resets && i + unit <= done; i++)
		if (i % unit == 0 && reported[i] && reported[i + unit - 1])
			model_set(region, i, unit, false);
}

static bool scan_range(struct actor *actor, struct region *region, size_t page, size_t n,
		       bool resets)
{
	struct wwk_pm_scan_arg arg = {.size = sizeof(arg)};
	uint64_t base = (uintptr_t)region->base;
	size_t done, pages = 0;
	int ret;

	arg.flags =
	    resets * WWK_PM_SCAN_WP_MATCHING | fuzz_random(actor, 2) * WWK_PM_SCAN_CHECK_WPASYNC;
	arg.start = base + page * PAGE;
	arg.end = arg.start + n * PAGE;
	arg.vec = (uintptr_t)vec;
	arg.vec_len = fuzz_chance(actor, 2) ? PAGES : 1 + fuzz_random(actor, 40);
	/* Mainline gets nowhere with a part of a hugetlb page. */
	if (fuzz_chance(actor, 3) && (fuzz->strict || region->kind != HUGETLB))
		arg.max_pages = 1 + fuzz_random(actor, n);
	arg.category_mask = WWK_PAGE_IS_WRITTEN;
	arg.return_mask = WWK_PAGE_IS_WRITTEN;
	if (fuzz_chance(actor, 2))
		arg.return_mask = fuzz_random(actor, 256);
	ret = fuzz_ioctl(FD_PAGEMAP, WWK_PAGEMAP_SCAN, &arg);
	model_note(region, "scan%s %zu %zu, vec_len %zu, max_pages %zu: %d",
		   resets ? " and reset" : "", page, n, (size_t)arg.vec_len, (size_t)arg.max_pages,
		   ret < 0 ? -errno : ret);
	if (ret < 0) {
		/* It has told nothing, so nothing may be lost of what it had reset. */
		if (!fuzz_starved())
			model_violation(region, "cannot be scanned", page);
		else if (resets)
			model_may(region, page, n);
		return false;
	}
	memset(reported, 0, sizeof(reported));
	for (int i = 0; i < ret; i++)
		for (uint64_t at = vec[i].start; at < vec[i].end; at += PAGE, pages++)
			reported[(at - base) / PAGE] = true;
	done = (arg.walk_end - base) / PAGE;
	/* Mainline's walk_end may be behind. */
	if (!fuzz->strict && ret > 0 && (vec[ret - 1].end - base) / PAGE > done)
		done = (vec[ret - 1].end - base) / PAGE;
	if ((uint64_t)ret < arg.vec_len && (arg.max_pages == 0 || pages < arg.max_pages)) {
		if (fuzz->strict && done != page + n)
			model_violation(region, "the scan ended early", done);
		done = page + n;
	}
	compare(region, page, done, resets);
	return true;
}

bool model_scan(struct actor *actor, struct region *region, bool resets)
{
	size_t n, page = model_range(actor, region, &n);

	fuzz_starve(actor, STARVE);
	return scan_range(actor, region, page, n, resets);
}

bool model_scan_starved(struct actor *actor, struct region *region)
{
	fuzz_starve(actor, 1);
	if (scan_range(actor, region, 0, PAGES, true))
		return true;
	scan_range(actor, region, 0, PAGES, false);
	return false;
}

/* Without being told what was written. */
static bool reset(struct actor *actor, struct region *region)
{
	size_t n, page = model_range(actor, region, &n);
	struct wwk_pm_scan_arg arg = {.size = sizeof(arg), .flags = WWK_PM_SCAN_WP_MATCHING};
	bool ok;

	arg.start = (uintptr_t)region->base + page * PAGE;
	arg.end = arg.start + n * PAGE;
	arg.category_mask = WWK_PAGE_IS_WRITTEN;
	fuzz_starve(actor, STARVE);
	if (fuzz_chance(actor, 2))
		ok = fuzz_ioctl(FD_PAGEMAP, WWK_PAGEMAP_SCAN, &arg) == 0;
	else
		ok = fuzz_protect(region->uffd, region->base + page * PAGE, n * PAGE,
				  WWK_UFFDIO_WRITEPROTECT_MODE_WP);
	model_note(region, "reset %zu %zu: %d", page, n, ok ? 0 : -errno);
	if (!ok && !fuzz_starved())
		model_violation(region, "cannot be reset", page);
	/* Nobody wanted to be told, so if it fails it may have reset some. */
	model_set(region, page, n, false);
	if (!ok)
		model_may(region, page, n);
	return ok;
}

static bool act(struct actor *actor, struct region *region, enum fuzz_op op)
{
	switch (op) {
	case OP_model_scan:
		return model_scan(actor, region, false);
	case OP_model_scan_wp:
		return model_scan(actor, region, true);
	case OP_model_reset:
		return reset(actor, region);
	default:
		return model_act(actor, region, op);
	}
}

static bool start(struct actor *actor, struct region *region)
{
	char name[] = "scan-fuzz-XXXXXX";

	if (region->kind == SHMEM)
		region->file = memfd_create("model", MFD_CLOEXEC);
	if (region->kind == FILE_PRIVATE || region->kind == FILE_SHARED) {
		region->file = mkstemp(name);
		unlink(name);
	}
	return model_renew(actor, region);
}

void *model_thread(void *argument)
{
	/* Often enough that whole huge pages get written, and something stays that was not. */
	static const enum fuzz_op rare[] = {
	    OP_model_fork,     OP_model_move,	   OP_model_renew,    OP_model_reregister,
	    OP_model_populate, OP_model_unprotect, OP_model_dontneed, OP_model_free};
	struct actor *actor = argument;
	struct region *mine = regions[atomic_fetch_add(&next_model, 1)];
	bool usable[KINDS];

	for (int i = 0; i < KINDS; i++) {
		usable[i] = start(actor, &mine[i]);
		if (!usable[i] && i != HUGETLB)
			model_violation(&mine[i], "cannot be mapped and registered", 0);
	}
	while (!atomic_load_explicit(&fuzz->stop, memory_order_relaxed)) {
		struct region *region = &mine[fuzz_random(actor, KINDS)];
		enum fuzz_op op =
		    (enum fuzz_op)(OP_model_scan + fuzz_random(actor, OPS - OP_model_scan));

		if (!usable[region->kind])
			continue;
		for (size_t i = 0; i < sizeof(rare) / sizeof(*rare); i++)
			if (op == rare[i] && !fuzz_chance(actor, i < 4 ? 16 : 4))
				op = OP_model_store;
		if (op == OP_model_starve && !fuzz_chance(actor, 2))
			op = OP_model_store;
		if (op == OP_model_harmless)
			op = OP_model_scan_wp;
		fuzz_count(op, act(actor, region, op));
	}
	return NULL;
}
