/* SPDX-License-Identifier: MIT */
#include "scan_fuzz.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/*
 * Scans of the window with random arguments. The window changes meanwhile, so what is reported is
 * not known, but that it has to be well formed is.
 */

#define VEC_MAX 2048
#define CATEGORIES 8
/* The last page of an address space on x86-64 with four levels of page tables. */
#define SPACE_END ((UINT64_C(1) << 47) - PAGE)

static _Thread_local struct wwk_page_region vec[VEC_MAX + 1];

static uint64_t some_categories(struct actor *actor)
{
	return fuzz_random(actor, 1 << CATEGORIES) & fuzz_random(actor, 1 << CATEGORIES);
}

/* The process's own pages, or those of another. */
static int open_pagemap(struct actor *actor, bool *own)
{
	char path[64];

	*own = !fuzz_chance(actor, 8);
	if (*own)
		return FD_PAGEMAP;
	snprintf(path, sizeof(path), "/proc/%d/pagemap",
		 fuzz->workers[(actor->worker + 1) % WORKERS]);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static int scan(int fd, struct wwk_pm_scan_arg *arg)
{
	int ret = fuzz_ioctl(fd, WWK_PAGEMAP_SCAN, arg);

	atomic_fetch_add(&fuzz->scan_errors[ret < 0 ? errno & 255 : 0], 1);
	return ret;
}

static void random_arg(struct actor *actor, struct wwk_pm_scan_arg *arg)
{
	static const uint64_t lengths[] = {0, 1, 2, 5, 64, 511, 512, 513, 1024, VEC_MAX};
	size_t length;
	char *start = fuzz_range(actor, &length);

	memset(arg, 0, sizeof(*arg));
	arg->size = sizeof(*arg);
	arg->flags = fuzz_random(actor, 4);
	if (fuzz_chance(actor, 2))
		arg->flags &= ~(uint64_t)WWK_PM_SCAN_CHECK_WPASYNC;
	arg->start = (uintptr_t)start;
	arg->end = (uintptr_t)start + length - fuzz_random(actor, 2) * fuzz_random(actor, PAGE);
	arg->vec_len = lengths[fuzz_random(actor, sizeof(lengths) / sizeof(*lengths))];
	arg->vec = arg->vec_len ? (uintptr_t)vec : 0;
	if (fuzz_chance(actor, 3))
		arg->max_pages = 1 + fuzz_random(actor, 600);
	if (fuzz_chance(actor, 2)) {
		/* As programs do it. */
		arg->category_mask = WWK_PAGE_IS_WRITTEN;
		arg->return_mask = WWK_PAGE_IS_WRITTEN;
		return;
	}
	arg->category_inverted = some_categories(actor);
	arg->category_mask = some_categories(actor) & some_categories(actor);
	arg->category_anyof_mask = some_categories(actor);
	arg->return_mask = fuzz_random(actor, 1 << CATEGORIES);
}

static bool well_formed(const struct wwk_pm_scan_arg *arg, int n)
{
	uint64_t at = arg->start, pages = 0, end = (arg->end + PAGE - 1) & -PAGE;

	if ((uint64_t)n > arg->vec_len || arg->walk_end < arg->start || arg->walk_end > end)
		return false;
	for (int i = 0; i < n; i++) {
		const struct wwk_page_region *region = &vec[i];

		if (region->start < at || region->start >= region->end || region->end > end ||
		    (region->start | region->end) % PAGE != 0 ||
		    (region->categories & ~arg->return_mask) != 0)
			return false;
		if (fuzz->strict && i > 0 && region->start == at &&
		    region->categories == region[-1].categories)
			return false;
		pages += (region->end - region->start) / PAGE;
		at = region->end;
	}
	if (fuzz->strict && at > arg->walk_end)
		return false;
	return arg->vec_len == 0 || arg->max_pages == 0 || pages <= arg->max_pages;
}

static void complain(const char *what, const struct wwk_pm_scan_arg *arg, int n, int error)
{
	char text[512];
	int length = 0;

	text[0] = '\0';
	for (int i = 0; i < n && i < 4; i++)
		length += snprintf(text + length, sizeof(text) - (size_t)length,
				   " [%" PRIx64 ",%" PRIx64 ") %" PRIx64, vec[i].start, vec[i].end,
				   vec[i].categories);
	fuzz_violation("%s: %d regions (%s)%s; flags %" PRIx64 " start %" PRIx64 " end %" PRIx64
		       " walk_end %" PRIx64 " vec_len %" PRIu64 " max_pages %" PRIu64
		       " masks %" PRIx64 " %" PRIx64 " %" PRIx64 " %" PRIx64,
		       what, n, strerror(error), text, arg->flags, arg->start, arg->end,
		       arg->walk_end, arg->vec_len, arg->max_pages, arg->category_inverted,
		       arg->category_mask, arg->category_anyof_mask, arg->return_mask);
}

void fuzz_scan(struct actor *actor)
{
	struct wwk_pm_scan_arg arg;
	bool own, own_vec;
	int fd = open_pagemap(actor, &own), ret, error;
	size_t length;

	if (fd < 0)
		return;
	random_arg(actor, &arg);
	own_vec = !arg.vec_len || !fuzz_chance(actor, 6);
	/* Where others write, or nobody can; it may be in what is scanned. */
	if (!own_vec)
		arg.vec = (uintptr_t)fuzz_range(actor, &length) + fuzz_random(actor, PAGE);
	memset(&vec[arg.vec_len], 0x5a, sizeof(*vec));
	fuzz_starve(actor, STARVE);
	ret = scan(fd, &arg);
	error = ret < 0 ? errno : 0;
	fuzz_count(OP_scan, ret >= 0);
	if (!own)
		close(fd);
	if (ret < 0 && !(error == EPERM && (arg.flags & WWK_PM_SCAN_CHECK_WPASYNC)) &&
	    !(error == EFAULT && !own_vec) && !(error == ESRCH && !own) && !fuzz_starved())
		complain("a valid scan failed", &arg, 0, error);
	else if (ret >= 0 && own_vec && !well_formed(&arg, ret))
		complain("a result is malformed", &arg, ret, 0);
	else if (own_vec && vec[arg.vec_len].start != UINT64_C(0x5a5a5a5a5a5a5a5a))
		complain("written behind the vector", &arg, 0, error);
}

/* All of an address space, whatever is there; nothing is reset, for models know what is theirs. */
void fuzz_scan_whole(struct actor *actor)
{
	struct wwk_pm_scan_arg arg;
	bool own;
	int fd = open_pagemap(actor, &own), ret;

	if (fd < 0)
		return;
	random_arg(actor, &arg);
	arg.flags = 0;
	arg.start = 0;
	arg.end = SPACE_END;
	fuzz_starve(actor, STARVE);
	ret = scan(fd, &arg);
	fuzz_count(OP_scan_whole, ret >= 0);
	if (ret < 0 && !(errno == ESRCH && !own) && !fuzz_starved())
		complain("a scan of everything failed", &arg, 0, errno);
	else if (ret >= 0 && !well_formed(&arg, ret))
		complain("a result is malformed", &arg, ret, 0);
	if (!own)
		close(fd);
}

/* Makes an argument wrong in one way; returns the error that has to come of it. */
static int spoil(struct actor *actor, struct wwk_pm_scan_arg *arg)
{
	uint64_t bit = UINT64_C(1) << (CATEGORIES + 1 + fuzz_random(actor, 63 - CATEGORIES));

	switch (fuzz_random(actor, 13)) {
	case 0:
		arg->size = fuzz_random(actor, 95);
		return EINVAL;
	case 1:
		arg->size = fuzz_random(actor, 0) | 128;
		return EINVAL;
	case 2:
		arg->flags |= UINT64_C(4) << fuzz_random(actor, 62);
		return EINVAL;
	case 3:
		arg->category_inverted |= bit;
		return EINVAL;
	case 4:
		arg->category_mask |= bit;
		return EINVAL;
	case 5:
		arg->category_anyof_mask |= bit;
		return EINVAL;
	case 6:
		arg->return_mask |= bit;
		return EINVAL;
	case 7:
		arg->start += 1 + fuzz_random(actor, PAGE - 1);
		return EINVAL;
	case 8:
		arg->vec = 0;
		arg->vec_len = 1 + fuzz_random(actor, 100);
		return EINVAL;
	case 9:
		arg->end = arg->start - 1 - fuzz_random(actor, WINDOW);
		return EFAULT;
	case 10:
		arg->end = (UINT64_C(1) << 63) + fuzz_random(actor, 0) / 4;
		return EFAULT;
	case 11:
		arg->vec = UINT64_C(0xffff800000000000) + fuzz_random(actor, 1 << 30);
		arg->vec_len = 1 + fuzz_random(actor, 100);
		return EFAULT;
	default:
		arg->vec = (uintptr_t)vec;
		arg->vec_len = (UINT64_C(1) << (52 + fuzz_random(actor, 11))) - 1;
		return EFAULT;
	}
}

void fuzz_scan_invalid(struct actor *actor)
{
	struct wwk_pm_scan_arg arg;
	int wanted, ret;

	random_arg(actor, &arg);
	if (fuzz_chance(actor, 16)) {
		ret = ioctl(FD_PAGEMAP, WWK_PAGEMAP_SCAN, (void *)fuzz_random(actor, PAGE));
		fuzz_count(OP_scan_invalid, ret >= 0);
		if (ret >= 0 || errno != EFAULT)
			complain("no argument", &arg, ret, ret < 0 ? errno : 0);
		return;
	}
	wanted = spoil(actor, &arg);
	ret = scan(FD_PAGEMAP, &arg);
	fuzz_count(OP_scan_invalid, ret >= 0);
	if (ret >= 0 || errno != wanted)
		complain(wanted == EINVAL ? "not EINVAL" : "not EFAULT", &arg, ret,
			 ret < 0 ? errno : 0);
}
