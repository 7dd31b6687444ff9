/* SPDX-License-Identifier: MIT */
#include "win.h"

#include <stdlib.h>

static NTSTATUS release(struct win_alloc *a, uintptr_t start)
{
	NTSTATUS status;

	if (start != a->base)
		return STATUS_FREE_VM_NOT_AT_BASE;
	status = win_unmap(a);
	if (!NT_SUCCESS(status))
		return status;
	win_remove(a);
	free(a);
	return STATUS_SUCCESS;
}

static NTSTATUS decommit(struct win_alloc *a, uintptr_t addr, size_t size)
{
	const uintptr_t start = win_page_down(addr);
	uintptr_t end = a->base + a->size;

	if (size == 0 && start != a->base)
		return STATUS_FREE_VM_NOT_AT_BASE;
	if (size != 0)
		end = win_page_up(addr + size);
	if (!win_inside(a, start, end))
		return STATUS_UNABLE_TO_FREE_VM;
	return win_decommit(a, start, end);
}

static NTSTATUS deallocate(uintptr_t addr, size_t size, DWORD type)
{
	struct win_alloc *a;

	if (type != MEM_DECOMMIT && type != MEM_RELEASE)
		return STATUS_INVALID_PARAMETER;
	if (type == MEM_RELEASE && size != 0)
		return STATUS_INVALID_PARAMETER;
	if (addr >= WIN_USER_END || size > WIN_USER_END - addr)
		return STATUS_INVALID_PARAMETER;
	a = win_find(addr);
	if (a == NULL)
		return STATUS_MEMORY_NOT_ALLOCATED;
	return type == MEM_RELEASE ? release(a, win_page_down(addr)) : decommit(a, addr, size);
}

int ww_win_virtual_free(void *addr, size_t size, uint32_t type)
{
	NTSTATUS status;

	win_lock();
	status = deallocate((uintptr_t)addr, size, type);
	win_unlock();
	return win_done(status);
}
