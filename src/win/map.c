/* SPDX-License-Identifier: MIT */
#include "win.h"
#include "../uapi/madvise.h"

#include <errno.h>
#include <sys/mman.h>

#define FLAGS (MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE)

/* The size is the only argument of ours that can be invalid, for being too large. */
static NTSTATUS map_status(int error)
{
	return win_status(error == -EINVAL ? -ENOMEM : error);
}

static NTSTATUS map_at(uintptr_t base, size_t size, int access, uintptr_t *out)
{
	NTSTATUS status = map_status(sys_mmap_at(base, size, access, FLAGS));

	if (NT_SUCCESS(status))
		*out = base;
	return status;
}

/* Maps more than is needed and gives back what lies before and behind the aligned part. */
static NTSTATUS map_aligned(size_t size, int access, uintptr_t *out)
{
	const size_t more = size + WIN_GRANULARITY - win_page_size();
	uintptr_t start, base, end;
	void *at;
	int r = more < size ? -ENOMEM : sys_mmap(&at, more, access, FLAGS);

	if (r < 0)
		return map_status(r);
	start = (uintptr_t)at;
	end = start + more;
	base = (start + WIN_GRANULARITY - 1) & ~(WIN_GRANULARITY - 1);
	if (base > start)
		sys_munmap(at, base - start);
	if (end > base + size)
		sys_munmap((void *)(base + size), end - base - size);
	*out = base;
	return STATUS_SUCCESS;
}

NTSTATUS win_map(struct win_alloc *a, uintptr_t base, int access)
{
	struct ww *w = a->watched ? win_context() : NULL;
	NTSTATUS status;

	if (a->watched && w == NULL)
		return STATUS_NOT_SUPPORTED;
	if (base != 0)
		status = map_at(base, a->size, access, &a->base);
	else
		status = map_aligned(a->size, access, &a->base);
	if (!NT_SUCCESS(status) || !a->watched)
		return status;
	status = win_status(ww_watch(w, (void *)a->base, a->size, 0));
	if (!NT_SUCCESS(status))
		sys_munmap((void *)a->base, a->size);
	return status;
}

/*
 * Memory that could not be unmapped is watched again and reported as a whole, or else not watched
 * at all: ww_watch() alone would call it clean. So is what ww_unwatch() let go of before it failed.
 */
NTSTATUS win_unmap(struct win_alloc *a)
{
	struct ww *w = a->watched ? win_context() : NULL;
	void *base = (void *)a->base;
	int r = a->watched ? ww_unwatch(w, base, a->size) : 0;
	size_t n;

	if (r == 0 || r == -ENOENT) {
		r = sys_munmap(base, a->size);
		if (r == 0)
			return STATUS_SUCCESS;
	} else if (ww_get(w, base, a->size, 0, NULL, &n) != -ENOENT) {
		return win_status(r);
	}
	if (a->watched && (ww_watch(w, base, a->size, 0) < 0 || ww_mark(w, base, a->size) < 0))
		a->watched = false;
	return win_status(r);
}

NTSTATUS win_repair(const struct win_alloc *a)
{
	return win_status(ww_watch(win_context(), (void *)a->base, a->size, 0));
}

static int drop(uintptr_t start, size_t size)
{
	const int r = sys_madvise(start, size, MADV_DONTNEED);

	return r == -EINVAL ? sys_madvise(start, size, MADV_DONTNEED_LOCKED) : r;
}

NTSTATUS win_discard(const struct win_alloc *a, uintptr_t start, uintptr_t end)
{
	struct ww *w = a->watched ? win_context() : NULL;
	int r;

	if (!a->watched)
		return win_status(drop(start, end - start));
	r = ww_discard(w, (void *)start, end - start);
	if (r == -ESTALE && NT_SUCCESS(win_repair(a)))
		r = ww_discard(w, (void *)start, end - start);
	return win_status(r);
}
