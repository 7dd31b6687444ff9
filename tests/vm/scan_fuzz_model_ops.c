/* SPDX-License-Identifier: MIT */
#include "scan_fuzz_model.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the owner of a region does to it, and what has to be reported of that. */

static bool is_private(const struct region *region)
{
	return region->kind != SHMEM && region->kind != FILE_SHARED;
}

static bool is_anonymous(const struct region *region)
{
	return region->kind <= ANON_MERGEABLE;
}

static volatile uint64_t *word(struct region *region, size_t page)
{
	return (volatile uint64_t *)(void *)(region->base + page * PAGE);
}

static void written(struct region *region, size_t page)
{
	size_t unit = region->kind == HUGETLB ? 512 : 1;

	model_set(region, page / unit * unit, unit, true);
	region->flags[page] &= (uint8_t)~FREED;
}

static bool store_pages(struct actor *actor, struct region *region, enum fuzz_op op, size_t page,
			size_t n)
{
	uint64_t value =
	    region->kind == ANON_MERGEABLE ? 1 + fuzz_random(actor, 3) : fuzz_random(actor, 0);
	struct {
		void *base;
		size_t length;
	} from = {&value, 8}, to;

	model_note(region, "%s %zu %zu", op == OP_model_store ? "store" : "kernel store", page, n);
	for (size_t i = page; i < page + n; i++) {
		bool ok;

		to.base = region->base + i * PAGE;
		to.length = 8;
		ok = op == OP_model_store
			 ? fuzz_store(word(region, i), value)
			 : syscall(SYS_process_vm_writev, getpid(), &from, 1, &to, 1, 0) == 8;
		if (!ok && region->kind != HUGETLB)
			model_violation(region, "cannot be written", i);
		/* Huge pages may run out. */
		if (!ok)
			return false;
		written(region, i);
		region->content[i] = value;
	}
	return true;
}

static bool store(struct actor *actor, struct region *region, enum fuzz_op op)
{
	size_t page = fuzz_random(actor, PAGES), n = 1;

	if (fuzz_chance(actor, 32))
		page = model_range(actor, region, &n);
	return store_pages(actor, region, op, page, n);
}

static bool load(struct actor *actor, struct region *region)
{
	size_t page = fuzz_random(actor, PAGES);
	uint64_t value;

	if (!fuzz_load(word(region, page), &value)) {
		if (region->kind != HUGETLB)
			model_violation(region, "cannot be read", page);
		return false;
	}
	if (value != region->content[page] && !(value == 0 && (region->flags[page] & FREED)))
		model_violation(region, "has other content", page);
	return true;
}

static bool unprotect(struct actor *actor, struct region *region)
{
	size_t n, page = model_range(actor, region, &n);
	bool ok;

	fuzz_starve(actor, STARVE);
	ok = fuzz_protect(region->uffd, region->base + page * PAGE, n * PAGE, 0);
	model_note(region, "unprotect %zu %zu: %d", page, n, ok ? 0 : -errno);
	/* It needs no memory, but for reading its argument. */
	if (!ok && fuzz_starved() == EFAULT)
		return false;
	if (!ok)
		model_violation(region, "cannot be unprotected", page);
	/* What was never there does not count as written in hugetlbfs. */
	if (region->kind != HUGETLB)
		model_set(region, page, n, true);
	return ok;
}

static bool dontneed(struct actor *actor, struct region *region)
{
	size_t n, page = model_range(actor, region, &n);

	model_note(region, "dontneed %zu %zu", page, n);
	if (madvise(region->base + page * PAGE, n * PAGE, MADV_DONTNEED) != 0)
		return false;
	/* Empty is as good as written, but what is of a file keeps its state. */
	if (is_anonymous(region))
		model_set(region, page, n, true);
	if (region->kind == HUGETLB)
		model_set(region, page, n, false);
	for (size_t i = page; is_private(region) && i < page + n; i++) {
		region->content[i] = 0;
		region->flags[i] &= (uint8_t)~FREED;
	}
	return true;
}

static bool free_lazily(struct actor *actor, struct region *region)
{
	size_t n, page = model_range(actor, region, &n);

	if (madvise(region->base + page * PAGE, n * PAGE, MADV_FREE) != 0)
		return false;
	model_note(region, "free %zu %zu", page, n);
	for (size_t i = page; i < page + n; i++)
		region->flags[i] |= FREED;
	return true;
}

static bool protect(struct actor *actor, struct region *region)
{
	size_t n, page = model_range(actor, region, &n);
	char *start = region->base + page * PAGE;

	model_note(region, "mprotect %zu %zu", page, n);
	if (mprotect(start, n * PAGE, fuzz_chance(actor, 2) ? PROT_READ : PROT_NONE) != 0)
		return false;
	model_scan(actor, region, fuzz_chance(actor, 2));
	return mprotect(start, n * PAGE, PROT_READ | PROT_WRITE) == 0;
}

static bool populate(struct actor *actor, struct region *region)
{
	size_t n, page = model_range(actor, region, &n);
	bool ok = madvise(region->base + page * PAGE, n * PAGE, MADV_POPULATE_WRITE) == 0;

	model_note(region, "populate %zu %zu: %d", page, n, ok);
	if (ok)
		model_set(region, page, n, true);
	else if (region->kind != HUGETLB)
		model_violation(region, "cannot be populated", page);
	return ok;
}

/* If memory runs out, a second time it does not. */
static bool register_all(struct actor *actor, struct region *region)
{
	bool ok;

	fuzz_starve(actor, STARVE);
	ok = fuzz_register(region->uffd, region->base, SLOT, WWK_UFFDIO_REGISTER_MODE_WP);
	if (!ok && fuzz_starved())
		ok = fuzz_register(region->uffd, region->base, SLOT, WWK_UFFDIO_REGISTER_MODE_WP);
	return ok;
}

static bool unregister_all(struct actor *actor, struct region *region)
{
	struct wwk_uffdio_range all = {(uintptr_t)region->base, SLOT};
	int ret;

	fuzz_starve(actor, STARVE);
	ret = fuzz_ioctl(region->uffd, WWK_UFFDIO_UNREGISTER, &all);
	if (ret != 0 && fuzz_starved())
		ret = fuzz_ioctl(region->uffd, WWK_UFFDIO_UNREGISTER, &all);
	return ret == 0;
}

/* What is registered anew was never protected. */
static bool reregister(struct actor *actor, struct region *region, bool anew)
{
	if (!anew && !unregister_all(actor, region))
		model_violation(region, "cannot be unregistered", 0);
	if (anew) {
		close(region->uffd);
		region->uffd = fuzz_uffd(WWK_UFFD_FEATURE_WP_ASYNC);
	}
	model_note(region, "%s, register", anew ? "close" : "unregister");
	/* Some thread's child may have what was closed still open, for a moment. */
	while (!register_all(actor, region)) {
		if (errno != EBUSY || !anew) {
			model_violation(region, "cannot be registered", 0);
			return false;
		}
		if (atomic_load(&fuzz->stop))
			return false;
		usleep(1000);
	}
	if (region->kind != HUGETLB)
		model_set(region, 0, PAGES, true);
	return true;
}

/* The old place is kept, or anything may be mapped there. */
static bool move(struct actor *actor, struct region *region)
{
	char *from = region->base, *to = region->slots[from == region->slots[0]];

	if (mremap(from, SLOT, SLOT, MREMAP_MAYMOVE | MREMAP_FIXED, to) == MAP_FAILED)
		return false;
	mmap(from, SLOT, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
	region->base = to;
	model_note(region, "move to %p", (void *)to);
	/* Moved, it is not registered any more. */
	if (!register_all(actor, region))
		model_violation(region, "cannot be registered", 0);
	if (region->kind != HUGETLB)
		model_set(region, 0, PAGES, true);
	return true;
}

static bool map(struct region *region)
{
	int flags = MAP_FIXED | (is_private(region) ? MAP_PRIVATE : MAP_SHARED);

	if (region->kind == HUGETLB)
		flags |= MAP_HUGETLB;
	if (region->file < 0)
		flags |= MAP_ANONYMOUS;
	else if (ftruncate(region->file, 0) != 0 || ftruncate(region->file, SLOT) != 0)
		return false;
	if (mmap(region->base, SLOT, PROT_READ | PROT_WRITE, flags, region->file, 0) == MAP_FAILED)
		return false;
	if (region->kind == ANON || region->kind == ANON_MERGEABLE)
		madvise(region->base, SLOT, MADV_NOHUGEPAGE);
	if (region->kind == ANON_HUGE)
		madvise(region->base, SLOT, MADV_HUGEPAGE);
	if (region->kind == ANON_MERGEABLE)
		madvise(region->base, SLOT, MADV_MERGEABLE);
	return true;
}

/* Afterwards nothing is there, and all of it counts as written. */
static bool map_anew(struct actor *actor, struct region *region)
{
	bool ok;

	if (!map(region))
		return false;
	if (region->uffd < 0 || fuzz_chance(actor, 4)) {
		close(region->uffd);
		region->uffd = fuzz_uffd(WWK_UFFD_FEATURE_WP_ASYNC);
	}
	ok = register_all(actor, region);
	memset(region->flags, 0, sizeof(region->flags));
	memset(region->content, 0, sizeof(region->content));
	model_set(region, 0, PAGES, region->kind != HUGETLB);
	model_note(region, "map anew: %d", ok);
	return ok;
}

/* Nobody is told what was written; memory runs out in one of so many cases. */
static bool reset_all(struct actor *actor, struct region *region, unsigned int one_in)
{
	struct wwk_pm_scan_arg arg = {.size = sizeof(arg), .flags = WWK_PM_SCAN_WP_MATCHING};
	bool ok;

	arg.start = (uintptr_t)region->base;
	arg.end = arg.start + SLOT;
	fuzz_starve(actor, one_in);
	if (fuzz_chance(actor, 2))
		ok =
		    fuzz_protect(region->uffd, region->base, SLOT, WWK_UFFDIO_WRITEPROTECT_MODE_WP);
	else
		ok = fuzz_ioctl(FD_PAGEMAP, WWK_PAGEMAP_SCAN, &arg) == 0;
	model_note(region, "reset all: %d", ok ? 0 : -errno);
	model_set(region, 0, PAGES, false);
	if (!ok && fuzz_starved())
		model_may(region, 0, PAGES);
	return ok;
}

/* Afterwards nothing is there and, unless memory ran out, nothing is written. */
bool model_renew(struct actor *actor, struct region *region)
{
	return map_anew(actor, region) && (reset_all(actor, region, STARVE) || fuzz_starved());
}

/*
 * Memory runs out in the middle of a scan: what was stored to has a page table, and protecting the
 * other half needs one more. What the scan had reset by then has to be there for the next one.
 */
static bool starve(struct actor *actor, struct region *region)
{
	size_t stored = fuzz_random(actor, 16);

	if (!map_anew(actor, region))
		return false;
	for (size_t i = 0; i < stored; i++)
		store_pages(actor, region, OP_model_store, fuzz_random(actor, PAGES / 2), 1);
	if (fuzz_chance(actor, 3))
		return reset_all(actor, region, 1);
	return model_scan_starved(actor, region);
}

/* A child has the same pages for a while; writes of either are no concern of the other. */
static bool fork_writer(struct actor *actor, struct region *region)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		for (int i = 0; i < 16 && is_private(region); i++) {
			size_t page = fuzz_random(actor, PAGES);
			char name[32];

			/* To be told where it is, should it get stuck. */
			snprintf(name, sizeof(name), "scan_fuzz%d-%zu", region->kind, page);
			prctl(PR_SET_NAME, name);
			fuzz_store(word(region, page), 1);
		}
		_exit(0);
	}
	model_note(region, "fork");
	for (int i = 0; i < 4; i++)
		store(actor, region, OP_model_store);
	return pid > 0 && waitpid(pid, &status, 0) == pid;
}

bool model_act(struct actor *actor, struct region *region, enum fuzz_op op)
{
	switch (op) {
	case OP_model_unprotect:
		return unprotect(actor, region);
	case OP_model_kernel_store:
		return store(actor, region, op);
	case OP_model_load:
		return load(actor, region);
	case OP_model_dontneed:
		return dontneed(actor, region);
	case OP_model_free:
		return free_lazily(actor, region);
	case OP_model_mprotect:
		return protect(actor, region);
	case OP_model_populate:
		return populate(actor, region);
	case OP_model_move:
		return move(actor, region);
	case OP_model_reregister:
		return reregister(actor, region, fuzz_chance(actor, 2));
	case OP_model_renew:
		return model_renew(actor, region);
	case OP_model_starve:
		return starve(actor, region);
	case OP_model_fork:
		return fork_writer(actor, region);
	default:
		return store(actor, region, OP_model_store);
	}
}
