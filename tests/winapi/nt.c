/* SPDX-License-Identifier: MIT */
#include "helpers.h"

#include <string.h>

WINAPI_SUITE(winapi_nt);

#define SIZE (16 * PAGE)
#define KERNEL ((void *)(UINTPTR_MAX << 47))

/* Neither function touches the last error; a failing get leaves its out-parameters alone. */
static NTSTATUS get(HANDLE process, ULONG flags, void *base, SIZE_T size)
{
	PVOID addrs[16];
	ULONG_PTR count = 16;
	ULONG granularity = POISON;
	NTSTATUS status;

	memset(addrs, 0x5a, sizeof(addrs));
	SetLastError(POISON);
	status = NtGetWriteWatch(process, flags, base, size, addrs, &count, &granularity);
	cr_assert(eq(u32, GetLastError(), POISON));
	if (NT_SUCCESS(status)) {
		cr_assert(eq(u32, granularity, (DWORD)PAGE));
		return status;
	}
	cr_assert(eq(sz, count, 16));
	cr_assert(eq(u32, granularity, POISON));
	for (size_t i = 0; i < sizeof(addrs); i++)
		cr_assert(eq(u8, ((BYTE *)addrs)[i], 0x5a));
	return status;
}

static NTSTATUS reset(HANDLE process, void *base, SIZE_T size)
{
	NTSTATUS status;

	SetLastError(POISON);
	status = NtResetWriteWatch(process, base, size);
	cr_assert(eq(u32, GetLastError(), POISON));
	return status;
}

Test(winapi_nt, gets_and_resets)
{
	BYTE *base = alloc_watched(16);
	const HANDLE self = GetCurrentProcess();

	WRITE(base, 3);
	cr_assert(eq(i32, get(self, 0, base, SIZE), STATUS_SUCCESS));
	EXPECT_WRITTEN(base, 16, 0, "3");
	cr_assert(eq(i32, reset(NtCurrentProcess(), base, SIZE), STATUS_SUCCESS));
	EXPECT_WRITTEN(base, 16, 0, "");
	WRITE(base, 4);
	cr_assert(eq(i32, get(self, WRITE_WATCH_FLAG_RESET, base, SIZE), STATUS_SUCCESS));
	EXPECT_WRITTEN(base, 16, 0, "");
	release(base);
}

Test(winapi_nt, statuses_of_get)
{
	BYTE *base = alloc_watched(16);
	BYTE *plain = VirtualAlloc(NULL, SIZE, MEM_COMMIT, PAGE_READWRITE);
	const HANDLE self = GetCurrentProcess();

	cr_assert(eq(i32, get(self, 0, KERNEL, SIZE), STATUS_INVALID_PARAMETER_2));
	cr_assert(eq(i32, get(self, 0, base, SIZE_MAX / 2), STATUS_INVALID_PARAMETER_3));
	cr_assert(eq(i32, get(self, 0, base, SIZE_MAX), STATUS_INVALID_PARAMETER_4));
	cr_assert(eq(i32, get(self, 0, base, 0), STATUS_INVALID_PARAMETER));
	cr_assert(eq(i32, get(self, 4, base, SIZE), STATUS_INVALID_PARAMETER));
	cr_assert(eq(i32, get(self, 0, base, SIZE + 1), STATUS_INVALID_PARAMETER));
	cr_assert(eq(i32, get(self, 0, plain, SIZE), STATUS_INVALID_PARAMETER));
	cr_assert(eq(i32, get(self, 0, NULL, SIZE), STATUS_INVALID_PARAMETER));
	release(plain);
	release(base);
}

Test(winapi_nt, statuses_of_bad_pointers_and_counts)
{
	BYTE *base = alloc_watched(16);
	const HANDLE self = GetCurrentProcess();
	PVOID addrs[16];
	ULONG_PTR count = 16, zero = 0, huge = UINTPTR_MAX / 8 + 1;
	ULONG granularity = POISON;

	cr_assert(eq(i32, NtGetWriteWatch(self, 0, base, SIZE, addrs, NULL, &granularity),
		     STATUS_ACCESS_VIOLATION));
	cr_assert(eq(i32, NtGetWriteWatch(self, 0, base, SIZE, addrs, &count, NULL),
		     STATUS_ACCESS_VIOLATION));
	cr_assert(eq(i32, NtGetWriteWatch(self, 0, base, SIZE, NULL, &count, &granularity),
		     STATUS_ACCESS_VIOLATION));
	cr_assert(eq(i32, NtGetWriteWatch(self, 0, base, SIZE, NULL, &zero, &granularity),
		     STATUS_INVALID_PARAMETER_5));
	cr_assert(eq(i32, NtGetWriteWatch(self, 0, base, SIZE, addrs, &huge, &granularity),
		     STATUS_INVALID_PARAMETER_5));
	cr_assert(eq(sz, count, 16));
	cr_assert(eq(u32, granularity, POISON));
	release(base);
}

Test(winapi_nt, statuses_of_reset)
{
	BYTE *base = alloc_watched(16);
	const HANDLE self = GetCurrentProcess();

	WRITE(base, 1);
	cr_assert(eq(i32, reset(self, KERNEL, SIZE), STATUS_INVALID_PARAMETER_2));
	cr_assert(eq(i32, reset(self, base, SIZE_MAX / 2), STATUS_INVALID_PARAMETER_3));
	cr_assert(eq(i32, reset(self, base, SIZE_MAX), STATUS_INVALID_PARAMETER_3));
	cr_assert(eq(i32, reset(self, base, 0), STATUS_INVALID_PARAMETER));
	cr_assert(eq(i32, reset(self, base, SIZE + 1), STATUS_INVALID_PARAMETER));
	cr_assert(eq(i32, reset(self, NULL, SIZE), STATUS_INVALID_PARAMETER));
	EXPECT_WRITTEN(base, 16, 0, "1");
	release(base);
}

Test(winapi_nt, only_this_process)
{
	BYTE *base = alloc_watched(16);
	const HANDLE others[] = {NULL, (HANDLE)(intptr_t)-2, (HANDLE)0x1234};

	WRITE(base, 1);
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
		cr_assert(eq(i32, get(others[i], 1, base, SIZE), STATUS_INVALID_HANDLE));
		cr_assert(eq(i32, reset(others[i], base, SIZE), STATUS_INVALID_HANDLE));
	}
	EXPECT_WRITTEN(base, 16, 0, "1");
	release(base);
}
