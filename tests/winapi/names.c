/* SPDX-License-Identifier: MIT */

/* A program with types of its own, such as Wine's, next to the library's functions. */
#define WW_NO_WINAPI_NAMES

typedef unsigned long DWORD;
typedef struct own_handle *HANDLE;
enum { MEM_COMMIT = 1, PAGE_READWRITE = 2, ERROR_SUCCESS = 3, STATUS_SUCCESS = 4 };

static DWORD GetLastError(void)
{
	return 42;
}

static HANDLE GetCurrentProcess(void)
{
	return 0;
}

#include <writewatch/winapi.h>

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "support/backends.h"

/* Numbers of Windows: reserve, commit and write watch; read and write; release. */
#define WIN_TYPE 0x203000
#define WIN_PROTECT 4
#define WIN_RELEASE 0x8000

Test(winapi_names, the_functions_work_without_the_windows_names, .init = backend_begin)
{
	const size_t size = 0x10000;
	unsigned char *base = ww_win_virtual_alloc(NULL, size, WIN_TYPE, WIN_PROTECT);
	struct ww_win_memory_basic_information info;
	struct ww_win_system_info system;
	uint32_t granularity, old;
	uintptr_t count = 4;
	void *addrs[4];

	cr_assert(ne(ptr, base, NULL));
	ww_win_get_system_info(&system);
	base[system.dwPageSize] = 1;
	cr_assert(eq(u32, ww_win_get_write_watch(0, base, size, addrs, &count, &granularity), 0));
	cr_assert(eq(sz, count, 1));
	cr_assert(eq(ptr, addrs[0], base + granularity));
	cr_assert(eq(u32, ww_win_reset_write_watch(base, size), 0));
	cr_assert(eq(int, ww_win_virtual_protect(base, size, 2, &old), 1));
	cr_assert(eq(u32, old, WIN_PROTECT));
	cr_assert(eq(sz, ww_win_virtual_query(base, &info, sizeof(info)), sizeof(info)));
	cr_assert(eq(u32, info.State, 0x1000 * MEM_COMMIT));
	cr_assert(eq(i32, ww_win_nt_reset_write_watch((void *)(intptr_t)-1, base, size), 0));
	ww_win_set_last_error(7);
	cr_assert(eq(u32, ww_win_get_last_error(), 7));
	cr_assert(eq(u64, GetLastError(), 42));
	cr_assert(eq(ptr, GetCurrentProcess(), NULL));
	cr_assert(eq(int, ww_win_virtual_free(base, 0, WIN_RELEASE), 1));
}
