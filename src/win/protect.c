/* SPDX-License-Identifier: MIT */
#include "win.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

/* A state is the number of the protection's bit, plus one, and the modifiers in the high half. */
#define MODIFIERS (PAGE_GUARD | PAGE_NOCACHE | PAGE_WRITECOMBINE)
#define MODIFIER_SHIFT 4

uint8_t win_encode(DWORD protect)
{
	const DWORD modifier = protect & MODIFIERS;
	const DWORD access = protect & ~modifier;

	switch (access) {
	case PAGE_NOACCESS:
		if (modifier != 0)
			return WIN_RESERVED;
		break;
	case PAGE_READONLY:
	case PAGE_READWRITE:
	case PAGE_EXECUTE:
	case PAGE_EXECUTE_READ:
	case PAGE_EXECUTE_READWRITE:
		break;
	default:
		return WIN_RESERVED;
	}
	if ((modifier & (modifier - 1)) != 0)
		return WIN_RESERVED;
	return (uint8_t)(__builtin_ctz(access) + 1) | (uint8_t)(modifier >> MODIFIER_SHIFT);
}

DWORD win_decode(uint8_t state)
{
	if (state == WIN_RESERVED)
		return 0;
	return (DWORD)1 << ((state & 0xf) - 1) | (DWORD)(state & 0xf0) << MODIFIER_SHIFT;
}

int win_access(uint8_t state)
{
	const DWORD protect = win_decode(state);

	/* There are no guard exceptions here, but at least nobody runs over the guard unnoticed. */
	if (protect & PAGE_GUARD)
		return PROT_NONE;
	switch (protect & ~(DWORD)MODIFIERS) {
	case PAGE_READONLY:
		return PROT_READ;
	case PAGE_READWRITE:
		return PROT_READ | PROT_WRITE;
	case PAGE_EXECUTE:
	case PAGE_EXECUTE_READ:
		return PROT_READ | PROT_EXEC;
	case PAGE_EXECUTE_READWRITE:
		return PROT_READ | PROT_WRITE | PROT_EXEC;
	default:
		return PROT_NONE;
	}
}

uintptr_t win_run_end(struct win_alloc *a, uintptr_t start, uintptr_t end)
{
	const uint8_t *page = win_state(a, start);
	const uint8_t *const last = page + (end - start) / win_page_size();
	const uint8_t *p = page;

	/* Reservations have millions of pages: whole blocks first. */
	while (last - p > 4096 && memcmp(p, p + 1, 4096) == 0)
		p += 4096;
	while (p < last && *p == *page)
		p++;
	return start + (uintptr_t)(p - page) * win_page_size();
}

static int set_access(const struct win_alloc *a, uintptr_t start, uintptr_t end, int access)
{
	const int r = a->watched ? ww_protect(win_context(), (void *)start, end - start, access)
				 : sys_mprotect(start, end - start, access);

	/* Nothing is wrong with what the kernel was asked for. */
	return r == -EINVAL ? -EIO : r;
}

/* What failed may have changed the front of its range. */
static void restore_access(struct win_alloc *a, uintptr_t start, uintptr_t end)
{
	while (start < end) {
		const uintptr_t next = win_run_end(a, start, end);

		set_access(a, start, next, win_access(*win_state(a, start)));
		start = next;
	}
}

NTSTATUS win_set_state(struct win_alloc *a, uintptr_t start, uintptr_t end, uint8_t state)
{
	const int r = set_access(a, start, end, win_access(state));

	if (r < 0) {
		restore_access(a, start, end);
		return win_status(r);
	}
	memset(win_state(a, start), state, (end - start) / win_page_size());
	return STATUS_SUCCESS;
}

/* Inaccessible before the content goes, so that nothing is written in between and kept. */
NTSTATUS win_decommit(struct win_alloc *a, uintptr_t start, uintptr_t end)
{
	NTSTATUS status = win_status(set_access(a, start, end, PROT_NONE));

	if (NT_SUCCESS(status))
		status = win_discard(a, start, end);
	if (NT_SUCCESS(status))
		memset(win_state(a, start), WIN_RESERVED, (end - start) / win_page_size());
	else
		restore_access(a, start, end);
	return status;
}

static bool all_committed(struct win_alloc *a, uintptr_t start, uintptr_t end)
{
	return memchr(win_state(a, start), WIN_RESERVED, (end - start) / win_page_size()) == NULL;
}

static NTSTATUS protect_locked(uintptr_t start, uintptr_t end, uint8_t state, uint32_t *old)
{
	struct win_alloc *a = win_find(start);
	uint8_t before;
	NTSTATUS status;

	if (a == NULL || !win_inside(a, start, end))
		return STATUS_CONFLICTING_ADDRESSES;
	if (!all_committed(a, start, end))
		return STATUS_NOT_COMMITTED;
	before = *win_state(a, start);
	status = win_set_state(a, start, end, state);
	if (NT_SUCCESS(status))
		*old = win_decode(before);
	return status;
}

int ww_win_virtual_protect(void *addr, size_t size, uint32_t protect, uint32_t *old_protect)
{
	const uint8_t state = win_encode(protect);
	uintptr_t start, end;
	uint32_t old;
	NTSTATUS status;

	if (state == WIN_RESERVED)
		return win_done(STATUS_INVALID_PAGE_PROTECTION);
	if (!win_pointer_ok(old_protect, sizeof(*old_protect)))
		return win_done(STATUS_ACCESS_VIOLATION);
	if (!win_pages(addr, size, &start, &end))
		return win_done(STATUS_INVALID_PARAMETER);

	win_lock();
	status = protect_locked(start, end, state, &old);
	win_unlock();
	if (NT_SUCCESS(status))
		*old_protect = old;
	return win_done(status);
}
