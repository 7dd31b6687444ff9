/* SPDX-License-Identifier: MIT */
#include "win.h"

static void query_own(struct win_alloc *a, uintptr_t page, MEMORY_BASIC_INFORMATION *info)
{
	const uint8_t state = *win_state(a, page);
	const uintptr_t end = win_run_end(a, page, a->base + a->size);

	*info = (MEMORY_BASIC_INFORMATION){
		.BaseAddress = (void *)page,
		.AllocationBase = (void *)a->base,
		.AllocationProtect = a->protect,
		.RegionSize = end - page,
		.State = state == WIN_RESERVED ? MEM_RESERVE : MEM_COMMIT,
		.Protect = win_decode(state),
		.Type = MEM_PRIVATE,
	};
}

size_t ww_win_virtual_query(const void *addr, struct ww_win_memory_basic_information *info,
			    size_t len)
{
	const uintptr_t page = win_page_down((uintptr_t)addr);
	MEMORY_BASIC_INFORMATION answer;
	uintptr_t below, above;
	struct win_alloc *a;
	NTSTATUS status = STATUS_SUCCESS;

	if (len < sizeof(*info))
		status = STATUS_INFO_LENGTH_MISMATCH;
	else if (!win_pointer_ok(info, sizeof(*info)))
		status = STATUS_ACCESS_VIOLATION;
	else if (page >= WIN_USER_END)
		status = STATUS_INVALID_PARAMETER;
	if (!win_done(status))
		return 0;

	win_lock();
	a = win_find(page);
	if (a != NULL)
		query_own(a, page, &answer);
	else
		win_neighbours(page, &below, &above);
	win_unlock();
	if (a == NULL)
		win_query_foreign(page, below, above, &answer);
	*info = answer;
	return sizeof(*info);
}
