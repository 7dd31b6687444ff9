/* SPDX-License-Identifier: MIT */
#include "win.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MADV_COLD
#define MADV_COLD 20
#endif

#define RESERVE_TYPES (MEM_RESERVE | MEM_COMMIT | MEM_TOP_DOWN | MEM_WRITE_WATCH | MEM_LARGE_PAGES)

/* The address space comes first: it is what there is too little of. */
static NTSTATUS reserve(uintptr_t addr, size_t size, DWORD type, DWORD protect,
			uintptr_t *out)
{
	const uintptr_t base = addr & ~(WIN_GRANULARITY - 1);
	struct win_alloc head = {
		.size = win_page_up(addr + size) - base,
		.protect = protect,
		.watched = (type & MEM_WRITE_WATCH) != 0,
	};
	const uint8_t state = type & MEM_COMMIT ? win_encode(protect) : WIN_RESERVED;
	NTSTATUS status = win_map(&head, base, win_access(state));
	struct win_alloc *a;

	if (!NT_SUCCESS(status))
		return status;
	a = calloc(1, sizeof(*a) + head.size / win_page_size());
	if (a != NULL) {
		/* Not an assignment: the first states lie in what would be padding without them. */
		memcpy(a, &head, offsetof(struct win_alloc, page));
		if (state != WIN_RESERVED)
			memset(a->page, state, a->size / win_page_size());
		status = win_insert(a);
	} else {
		status = STATUS_NO_MEMORY;
	}
	if (!NT_SUCCESS(status)) {
		free(a);
		win_unmap(&head);
		return status;
	}
	*out = a->base;
	return STATUS_SUCCESS;
}

static NTSTATUS commit(uintptr_t start, uintptr_t end, DWORD protect, uintptr_t *out)
{
	struct win_alloc *a = win_find(start);

	if (a == NULL || !win_inside(a, start, end))
		return STATUS_CONFLICTING_ADDRESSES;
	*out = start;
	return win_set_state(a, start, end, win_encode(protect));
}

/*
 * A hint that the content is not needed. It must not change what was written as far as the caller
 * can be told about it, so the kernel is asked to take these pages first, and to keep them.
 */
static NTSTATUS reset(uintptr_t start, uintptr_t end, DWORD type, uintptr_t *out)
{
	const struct win_alloc *a = win_find(start);

	if (a == NULL || !win_inside(a, start, end))
		return STATUS_CONFLICTING_ADDRESSES;
	sys_madvise(start, end - start, type & MEM_RESET ? MADV_COLD : MADV_WILLNEED);
	*out = start;
	return STATUS_SUCCESS;
}

static NTSTATUS check_type(DWORD type, DWORD protect)
{
	if (type != MEM_RESET && type != MEM_RESET_UNDO) {
		if ((type & ~(DWORD)RESERVE_TYPES) || !(type & (MEM_RESERVE | MEM_COMMIT)))
			return STATUS_INVALID_PARAMETER;
		if ((type & MEM_WRITE_WATCH) && (!(type & MEM_RESERVE) || (type & MEM_LARGE_PAGES)))
			return STATUS_INVALID_PARAMETER;
	}
	if (win_encode(protect) == WIN_RESERVED)
		return STATUS_INVALID_PAGE_PROTECTION;
	return type & MEM_LARGE_PAGES ? STATUS_PRIVILEGE_NOT_HELD : STATUS_SUCCESS;
}

static NTSTATUS allocate(void *addr, size_t size, DWORD type, DWORD protect, uintptr_t *out)
{
	uintptr_t start, end;
	NTSTATUS status;

	if ((addr != NULL && (uintptr_t)addr < WIN_GRANULARITY) ||
	    !win_pages(addr, size, &start, &end))
		return STATUS_INVALID_PARAMETER;
	status = check_type(type, protect);
	if (!NT_SUCCESS(status))
		return status;

	win_lock();
	if (type & (MEM_RESET | MEM_RESET_UNDO))
		status = reset(start, end, type, out);
	else if ((type & MEM_RESERVE) || addr == NULL)
		status = reserve((uintptr_t)addr, size, type, protect, out);
	else
		status = commit(start, end, protect, out);
	win_unlock();
	return status;
}

void *ww_win_virtual_alloc(void *addr, size_t size, uint32_t type, uint32_t protect)
{
	uintptr_t start = 0;

	return win_done(allocate(addr, size, type, protect, &start)) ? (void *)start : NULL;
}
