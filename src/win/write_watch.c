/* SPDX-License-Identifier: MIT */
#include "win.h"

#include <errno.h>

/* The order matters: a count of 0 is told before null addresses. */
static NTSTATUS check_get(uint32_t flags, size_t size, void **addrs, const uintptr_t *count,
			  const uint32_t *granularity)
{
	if (!win_pointer_ok(count, sizeof(*count)) ||
	    !win_pointer_ok(granularity, sizeof(*granularity)))
		return STATUS_ACCESS_VIOLATION;
	if (*count == 0 || *count > UINTPTR_MAX / sizeof(*addrs))
		return STATUS_INVALID_PARAMETER_5;
	if (size == 0 || (flags & ~(uint32_t)WRITE_WATCH_FLAG_RESET))
		return STATUS_INVALID_PARAMETER;
	if (!win_pointer_ok(addrs, *count * sizeof(*addrs)))
		return STATUS_ACCESS_VIOLATION;
	return STATUS_SUCCESS;
}

static NTSTATUS check_range(uintptr_t base, size_t size, NTSTATUS wraps)
{
	if (base >= WIN_USER_END)
		return STATUS_INVALID_PARAMETER_2;
	if (base + size - 1 < base)
		return wraps;
	if (size > WIN_USER_END - base)
		return STATUS_INVALID_PARAMETER_3;
	return STATUS_SUCCESS;
}

/*
 * The range must lie in one watched allocation; *w is its context. With repair it is watched anew
 * where the program mapped something else.
 */
static NTSTATUS enter(void *base, size_t size, bool repair, struct ww **w)
{
	NTSTATUS status = STATUS_INVALID_PARAMETER;
	const struct win_alloc *a;
	uintptr_t start, end;

	if (!win_pages(base, size, &start, &end))
		return status;
	win_lock();
	a = win_find(start);
	if (a != NULL && a->watched && win_inside(a, start, end)) {
		*w = win_context();
		status = repair ? win_repair(a) : STATUS_SUCCESS;
	}
	win_unlock();
	return status;
}

/*
 * Runs without the lock: an allocation that is released meanwhile is not watched any more, and the
 * native call says so.
 */
static NTSTATUS get(uint32_t flags, void *base, size_t size, void **addrs, uintptr_t *count,
		    uint32_t *granularity)
{
	const unsigned how = flags & WRITE_WATCH_FLAG_RESET ? WW_RESET : 0;
	size_t n = *count;
	NTSTATUS status;
	struct ww *w;
	int r;

	status = enter(base, size, false, &w);
	if (!NT_SUCCESS(status))
		return status;
	r = ww_get(w, base, size, how, addrs, &n);
	if (r == -ESTALE && NT_SUCCESS(enter(base, size, true, &w))) {
		n = *count;
		r = ww_get(w, base, size, how, addrs, &n);
	}
	if (r < 0)
		return win_status(r);
	*count = n;
	*granularity = (uint32_t)win_page_size();
	return STATUS_SUCCESS;
}

static NTSTATUS reset(void *base, size_t size)
{
	NTSTATUS status;
	struct ww *w;
	int r;

	status = enter(base, size, false, &w);
	if (!NT_SUCCESS(status))
		return status;
	r = ww_reset(w, base, size);
	if (r == -ESTALE && NT_SUCCESS(enter(base, size, true, &w)))
		r = ww_reset(w, base, size);
	return win_status(r);
}

static bool is_this_process(const void *process)
{
	return process == GetCurrentProcess();
}

int32_t ww_win_nt_get_write_watch(void *process, uint32_t flags, void *base, size_t size,
				  void **addrs, uintptr_t *count, uint32_t *granularity)
{
	NTSTATUS status = check_get(flags, size, addrs, count, granularity);

	if (NT_SUCCESS(status))
		status = check_range((uintptr_t)base, size, STATUS_INVALID_PARAMETER_4);
	if (NT_SUCCESS(status) && !is_this_process(process))
		status = STATUS_INVALID_HANDLE;
	if (NT_SUCCESS(status))
		status = get(flags, base, size, addrs, count, granularity);
	return status;
}

int32_t ww_win_nt_reset_write_watch(void *process, void *base, size_t size)
{
	NTSTATUS status = STATUS_INVALID_PARAMETER;

	if (size != 0)
		status = check_range((uintptr_t)base, size, STATUS_INVALID_PARAMETER_3);
	if (NT_SUCCESS(status) && !is_this_process(process))
		status = STATUS_INVALID_HANDLE;
	if (NT_SUCCESS(status))
		status = reset(base, size);
	return status;
}

uint32_t ww_win_get_write_watch(uint32_t flags, void *base, size_t size, void **addrs,
				uintptr_t *count, uint32_t *granularity)
{
	const NTSTATUS status = ww_win_nt_get_write_watch(GetCurrentProcess(), flags, base, size,
							  addrs, count, granularity);

	return win_done(status) ? 0 : UINT32_MAX;
}

uint32_t ww_win_reset_write_watch(void *base, size_t size)
{
	const NTSTATUS status = ww_win_nt_reset_write_watch(GetCurrentProcess(), base, size);

	return win_done(status) ? 0 : UINT32_MAX;
}
