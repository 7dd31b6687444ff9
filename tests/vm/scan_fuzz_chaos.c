/* SPDX-License-Identifier: MIT */
#include "scan_fuzz.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Threads that do everything there is to one window of memory, each without regard to the others.
 */

#define MADV_COLLAPSE_61 25

char *fuzz_range(struct actor *actor, size_t *length)
{
	size_t pages = WINDOW / PAGE, start = fuzz_random(actor, pages), n;

	n = 1 + fuzz_random(actor, (uint64_t)1 << fuzz_random(actor, 12));
	if (fuzz_chance(actor, 4)) {
		start &= ~(size_t)511;
		n = (n + 511) & ~(size_t)511;
	}
	if (n > pages - start)
		n = pages - start;
	*length = n * PAGE;
	return fuzz->window + start * PAGE;
}

static bool map(struct actor *actor)
{
	int protection = fuzz_chance(actor, 8) ? PROT_READ : PROT_READ | PROT_WRITE, fd = -1;
	size_t length;
	char *start = fuzz_range(actor, &length);
	int flags = MAP_FIXED | (fuzz_chance(actor, 3) ? MAP_SHARED : MAP_PRIVATE);

	if (fuzz_chance(actor, 2))
		flags |= MAP_ANONYMOUS;
	else
		fd = FD_FILE + (int)fuzz_random(actor, FILES);
	if (fuzz_chance(actor, 8))
		flags |= MAP_POPULATE;
	/* Holes come by themselves. */
	if (fuzz_chance(actor, 4))
		length = (size_t)(fuzz->window + WINDOW - start);
	return mmap(start, length, protection, flags, fd, fd < 0 ? 0 : start - fuzz->window) !=
	       MAP_FAILED;
}

static bool map_hugetlb(struct actor *actor)
{
	size_t length;
	char *start = fuzz_range(actor, &length);

	start -= (uintptr_t)start & (HUGE_PAGE - 1);
	length = HUGE_PAGE * (1 + fuzz_random(actor, 2));
	if (length > (size_t)(fuzz->window + WINDOW - start))
		length = HUGE_PAGE;
	return mmap(start, length, PROT_READ | PROT_WRITE,
		    MAP_FIXED | MAP_ANONYMOUS | MAP_HUGETLB | MAP_NORESERVE |
			(fuzz_chance(actor, 2) ? MAP_SHARED : MAP_PRIVATE),
		    -1, 0) != MAP_FAILED;
}

/* Never to where the kernel wants: a hole in a model's room must not be taken. */
static bool move(struct actor *actor)
{
	size_t length, other;
	char *from = fuzz_range(actor, &length), *to = fuzz_range(actor, &other);

	if (fuzz_chance(actor, 4))
		return mremap(from, length, other, 0) != MAP_FAILED;
	if (length > (size_t)(fuzz->window + WINDOW - to))
		length = (size_t)(fuzz->window + WINDOW - to);
	return mremap(from, length, length,
		      MREMAP_MAYMOVE | MREMAP_FIXED |
			  (fuzz_chance(actor, 4) ? MREMAP_DONTUNMAP : 0),
		      to) != MAP_FAILED;
}

static bool protect(struct actor *actor)
{
	static const int protections[] = {PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE, PROT_READ,
					  PROT_NONE};
	size_t length;
	char *start = fuzz_range(actor, &length);

	return mprotect(start, length, protections[fuzz_random(actor, 4)]) == 0;
}

static const int advices[] = {
    [OP_madvise_dontneed] = MADV_DONTNEED,
    [OP_madvise_free] = MADV_FREE,
    [OP_madvise_hugepage] = MADV_HUGEPAGE,
    [OP_madvise_nohugepage] = MADV_NOHUGEPAGE,
    [OP_madvise_collapse] = MADV_COLLAPSE_61,
    [OP_madvise_pageout] = MADV_PAGEOUT,
    [OP_madvise_cold] = MADV_COLD,
    [OP_madvise_mergeable] = MADV_MERGEABLE,
    [OP_madvise_unmergeable] = MADV_UNMERGEABLE,
    [OP_madvise_populate_read] = MADV_POPULATE_READ,
    [OP_madvise_populate_write] = MADV_POPULATE_WRITE,
    [OP_madvise_remove] = MADV_REMOVE,
};

/* On its own memory or, where nothing may come of it, on a model's. */
static bool move_some_pages(struct actor *actor)
{
	void *pages[16];
	int nodes[16], status[16];
	size_t length, n = 0;
	char *start = fuzz_chance(actor, 2) ? model_page(actor) : fuzz_range(actor, &length);

	for (; n < 16; n++) {
		pages[n] = start + n * PAGE;
		nodes[n] = (int)fuzz_random(actor, 2);
	}
	return syscall(SYS_move_pages, 0, n, pages, nodes, status, 2 /* MPOL_MF_MOVE */) >= 0;
}

static bool access_page(struct actor *actor, enum fuzz_op op)
{
	size_t length;
	char *start = fuzz_range(actor, &length);
	uint64_t value, *at = (uint64_t *)(void *)(start + 8 * fuzz_random(actor, 512));
	struct {
		void *base;
		size_t length;
	} from = {&value, 8}, to = {at, 8};

	value = fuzz_random(actor, 0);
	if (op == OP_store)
		return fuzz_store(at, value);
	if (op == OP_load)
		return fuzz_load(at, &value);
	return syscall(SYS_process_vm_writev, getpid(), &from, 1, &to, 1, 0) == 8;
}

static bool change_file(struct actor *actor, enum fuzz_op op)
{
	int fd = FD_FILE + (int)fuzz_random(actor, FILES);
	size_t length;
	char *start = fuzz_range(actor, &length);

	if (op == OP_punch)
		return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				 start - fuzz->window, (off_t)length) == 0;
	return ftruncate(fd, start - fuzz->window) == 0 && ftruncate(fd, WINDOW) == 0;
}

static bool open_uffd(struct actor *actor)
{
	static const uint64_t features[] = {
	    WWK_UFFD_FEATURE_WP_ASYNC,
	    WWK_UFFD_FEATURE_WP_ASYNC,
	    WWK_UFFD_FEATURE_WP_ASYNC | WWK_UFFD_FEATURE_WP_UNPOPULATED,
	    WWK_UFFD_FEATURE_WP_ASYNC,
	    WWK_UFFD_FEATURE_WP_UNPOPULATED,
	    UINT64_C(1) << 40,
	};
	/* Nobody is there to resolve a fault, so it must not wait. */
	uint64_t wanted = features[fuzz_random(actor, 6)] | WWK_UFFD_FEATURE_SIGBUS;
	int fd = fuzz_uffd(wanted);

	if (fd < 0)
		return false;
	if (wanted >> 40)
		fuzz_violation("an unknown feature of userfaultfd is there");
	/* Closes the one before. */
	dup3(fd, FD_UFFD + (int)fuzz_random(actor, UFFDS), O_CLOEXEC);
	close(fd);
	return true;
}

static bool change_uffd(struct actor *actor, enum fuzz_op op)
{
	/* Mostly the same one, for what belongs to another is refused. */
	int fd = FD_UFFD + (fuzz_chance(actor, 8) ? (int)fuzz_random(actor, UFFDS) : 0);
	size_t length;
	char *start = fuzz_range(actor, &length);
	struct wwk_uffdio_range range = {(uintptr_t)start, length};
	struct wwk_uffdio_zeropage zero = {0};
	uint64_t mode = WWK_UFFDIO_REGISTER_MODE_WP;

	if (fuzz_chance(actor, 2))
		range.len = PAGE * (1 + fuzz_random(actor, 8));
	if (fuzz_chance(actor, 16))
		range.start += fuzz_random(actor, PAGE);
	if (fuzz_chance(actor, 16))
		range.len = fuzz_random(actor, 0);
	start = (char *)(uintptr_t)range.start;
	zero.range = range;
	fuzz_starve(actor, STARVE);
	switch (op) {
	case OP_uffd_register:
		if (fuzz_chance(actor, 8))
			mode = fuzz_random(actor, 16);
		return fuzz_register(fd, start, range.len, mode);
	case OP_uffd_wp:
		mode = fuzz_chance(actor, 16) ? fuzz_random(actor, 16) : !fuzz_chance(actor, 4);
		return fuzz_protect(fd, start, range.len, mode);
	case OP_uffd_unregister:
		return fuzz_ioctl(fd, WWK_UFFDIO_UNREGISTER, &range) == 0;
	default:
		return fuzz_ioctl(fd, WWK_UFFDIO_ZEROPAGE, &zero) == 0;
	}
}

/* What a child does with its copy, and with descriptors that are about its parent's memory. */
static void child(struct actor *actor)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, "scan_fuzz-child");
	actor->random ^= (uint64_t)getpid();
	for (int i = 0; i < 20 && !atomic_load(&fuzz->stop); i++) {
		size_t length;
		char *start = fuzz_range(actor, &length);
		uint64_t value;

		access_page(actor, OP_store);
		fuzz_scan(actor);
		change_uffd(actor, OP_uffd_wp);
		if (fuzz_chance(actor, 4))
			munmap(start, length);
		fuzz_load((uint64_t *)(void *)model_page(actor), &value);
	}
	_exit(0);
}

static bool fork_child(struct actor *actor)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		child(actor);
	return pid > 0 && waitpid(pid, &status, 0) == pid;
}

static bool act(struct actor *actor, enum fuzz_op op)
{
	size_t length;
	char *start = fuzz_range(actor, &length);

	switch (op) {
	case OP_uffd_open:
		return open_uffd(actor);
	case OP_uffd_register:
	case OP_uffd_wp:
	case OP_uffd_unregister:
	case OP_uffd_zeropage:
		return change_uffd(actor, op);
	case OP_mmap:
		return map(actor);
	case OP_mmap_hugetlb:
		return map_hugetlb(actor);
	case OP_munmap:
		return munmap(start, length) == 0;
	case OP_mremap:
		return move(actor);
	case OP_mprotect:
		return protect(actor);
	case OP_mlock:
		return mlock2(start, length, (unsigned int)fuzz_random(actor, 2)) == 0;
	case OP_munlock:
		return munlock(start, length) == 0;
	case OP_move_pages:
		return move_some_pages(actor);
	case OP_store:
	case OP_load:
	case OP_kernel_store:
		return access_page(actor, op);
	case OP_truncate:
	case OP_punch:
		return change_file(actor, op);
	case OP_fork:
		return fork_child(actor);
	default:
		return madvise(start, length, advices[op]) == 0;
	}
}

/* To the pages of a model: nothing that may change what a scan says of them. */
static void harmless(struct actor *actor)
{
	static const int harmless_advices[] = {MADV_PAGEOUT, MADV_COLD, MADV_COLLAPSE_61,
					       MADV_POPULATE_READ};
	char *page = model_page(actor);
	size_t length = (1 + fuzz_random(actor, 64)) * PAGE;
	uint64_t value;

	if (fuzz_chance(actor, 2))
		fuzz_count(OP_model_harmless, fuzz_load((uint64_t *)(void *)page, &value));
	else
		fuzz_count(OP_model_harmless,
			   madvise(page, length, harmless_advices[fuzz_random(actor, 4)]) == 0);
}

void *chaos_thread(void *argument)
{
	/* Reserved, as a huge page or a process costs much more than the others. */
	static const enum fuzz_op rare[] = {OP_fork,
					    OP_uffd_open,
					    OP_uffd_unregister,
					    OP_mmap_hugetlb,
					    OP_madvise_collapse,
					    OP_madvise_populate_write,
					    OP_mlock,
					    OP_munmap};
	struct actor *actor = argument;

	open_uffd(actor);
	while (!atomic_load_explicit(&fuzz->stop, memory_order_relaxed)) {
		enum fuzz_op op = (enum fuzz_op)fuzz_random(actor, OP_model_scan);

		for (size_t i = 0; i < sizeof(rare) / sizeof(*rare); i++)
			if (op == rare[i] && !fuzz_chance(actor, 8))
				op = i % 2 ? OP_scan : OP_uffd_register;
		if (fuzz_chance(actor, 4)) {
			harmless(actor);
		} else if (fuzz_chance(actor, 4)) {
			access_page(actor, OP_store);
		} else if (op == OP_scan || fuzz_chance(actor, 8)) {
			fuzz_scan(actor);
		} else if (op == OP_scan_invalid) {
			fuzz_scan_invalid(actor);
		} else if (op == OP_scan_whole) {
			if (fuzz_chance(actor, 8))
				fuzz_scan_whole(actor);
		} else {
			fuzz_count(op, act(actor, op));
		}
	}
	return NULL;
}

/* With all userfaultfds closed and every thread gone, no page may be protected any more. */
void chaos_end(void)
{
	static uint64_t entries[WINDOW / PAGE];

	for (int i = 0; i < UFFDS; i++)
		close(FD_UFFD + i);
	if (pread(FD_PAGEMAP, entries, sizeof(entries),
		  (off_t)((uintptr_t)fuzz->window / PAGE * 8)) != (ssize_t)sizeof(entries)) {
		fuzz_violation("cannot read the pagemap: %s", strerror(errno));
		return;
	}
	for (size_t i = 0; i < WINDOW / PAGE; i++)
		if (entries[i] >> 57 & 1) {
			fuzz_violation("page %zu of the window is protected by nobody: %" PRIx64, i,
				       entries[i]);
			return;
		}
}
