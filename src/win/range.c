/* SPDX-License-Identifier: MIT */
#include "win.h"

/* Queries of single pages come by the thousand: not a sysconf() for each. */
size_t win_page_size(void)
{
	static size_t known;
	size_t size = __atomic_load_n(&known, __ATOMIC_RELAXED);

	if (size == 0) {
		size = sys_page_size();
		__atomic_store_n(&known, size, __ATOMIC_RELAXED);
	}
	return size;
}

/* Windows never has anything in the lowest 64 KiB. */
bool win_pointer_ok(const void *pointer, size_t size)
{
	const uintptr_t addr = (uintptr_t)pointer;

	return addr >= WIN_GRANULARITY && addr < WIN_USER_END && size <= WIN_USER_END - addr;
}

uintptr_t win_page_down(uintptr_t addr)
{
	return addr & ~((uintptr_t)win_page_size() - 1);
}

uintptr_t win_page_up(uintptr_t addr)
{
	return win_page_down(addr + win_page_size() - 1);
}

bool win_pages(const void *addr, size_t size, uintptr_t *start, uintptr_t *end)
{
	const uintptr_t first = (uintptr_t)addr;

	if (size == 0 || first >= WIN_USER_END || size > WIN_USER_END - first)
		return false;
	*start = win_page_down(first);
	*end = win_page_up(first + size);
	return true;
}

bool win_inside(const struct win_alloc *a, uintptr_t start, uintptr_t end)
{
	return start >= a->base && end - a->base <= a->size;
}

uint8_t *win_state(struct win_alloc *a, uintptr_t addr)
{
	return &a->page[(addr - a->base) / win_page_size()];
}
