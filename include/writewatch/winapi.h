/* SPDX-License-Identifier: MIT */
#ifndef WRITEWATCH_WINAPI_H
#define WRITEWATCH_WINAPI_H

/**
 * DOC: winapi.h - GetWriteWatch() and the memory functions of Windows, by their Windows names
 *
 * Code written for Windows compiles unchanged with this header in place of <windows.h>: reserve
 * memory with VirtualAlloc(MEM_WRITE_WATCH), write to it, ask GetWriteWatch().
 *
 * TWO LAYERS
 *   The library exports ww_win_* functions with C's own types. Unless WW_NO_WINAPI_NAMES is defined
 *   first, this header adds the Windows names: inline functions, types and constants. With
 *   WW_NO_WINAPI_NAMES it declares nothing that does not begin with ww_ or WW_, so that it can live
 *   beside the program's own definitions of DWORD and the rest. Numbers are those of Windows.
 *
 * ONE CONTEXT
 *   All of it works on one context (see writewatch.h), made by the first VirtualAlloc() that asks
 *   for MEM_WRITE_WATCH, and never freed. Where no backend is usable, or no descriptors or memory
 *   are left for the context, that call fails with ERROR_NOT_SUPPORTED and a later one tries again;
 *   everything else works. WRITEWATCH_BACKEND is honoured; when it names soft-dirty, no thread may
 *   write to any watched memory during a reset.
 *
 *   With the context comes what its backend needs: nothing with pagemap-scan, a thread with
 *   uffd-thread, a handler of SIGBUS with uffd-sigbus, one of SIGSEGV with mprotect. Handlers that
 *   were there before are called for all other faults; for those of later see ww_new(). A program
 *   that can have none of these sets WRITEWATCH_BACKEND to pagemap-scan before its first watched
 *   VirtualAlloc(), which then fails with ERROR_NOT_SUPPORTED where there is no such backend; or it
 *   uses writewatch.h, where a context can require what its program needs, or have %WW_NO_HANDLER.
 *
 * ERRORS
 *   As on Windows: a failing function leaves its reason in GetLastError(), one for each thread, and
 *   changes none of its out-parameters; a successful one leaves GetLastError() as it was. The Nt
 *   functions return the reason and leave GetLastError() alone. One exception: when the kernel runs
 *   out of memory in GetWriteWatch(), the list may hold garbage up to its room.
 *
 *   Any function may fail with ERROR_NOT_ENOUGH_MEMORY when the kernel has no memory or no map
 *   count (vm.max_map_count) left, with ERROR_GEN_FAILURE when it answers what it never should, and
 *   with ERROR_TOO_MANY_OPEN_FILES or ERROR_NOT_SUPPORTED as the first one after fork. For the Nt
 *   functions these are STATUS_NO_MEMORY, STATUS_UNSUCCESSFUL, STATUS_TOO_MANY_OPENED_FILES and
 *   STATUS_NOT_SUPPORTED. Whatever was written is still reported later.
 *
 * POINTERS
 *   Null pointers, and those into the lowest 64 KiB or beyond user space, fail with
 *   ERROR_NOACCESS. Other invalid pointers fault, as there is no structured exception handling; a
 *   handler that leaves GetWriteWatch() by longjmp() leaves the context locked.
 *
 * THREADS, SIGNALS, FORK
 *   Every function may be called from any thread; none is async-signal-safe. In a child all memory
 *   and its protection are as in the parent, and every page of a watched allocation counts as
 *   written. Should another thread have been inside VirtualAlloc(), VirtualFree() or
 *   VirtualProtect() while the child was made, that call may be half done there.
 *
 * doc/windows-differences.md, which is installed in PREFIX/share/doc/writewatch, lists what is not as
 * on Windows. All of this: since 0.1.
 */

#include <stddef.h>
#include <stdint.h>

#include <writewatch/writewatch.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * struct ww_win_memory_basic_information - MEMORY_BASIC_INFORMATION
 * @BaseAddress:       the asked address, rounded down to a page
 * @AllocationBase:    what VirtualAlloc() returned; NULL if free
 * @AllocationProtect: the protection asked for when the memory was reserved
 * @PartitionId:       0
 * @RegionSize:        bytes from @BaseAddress on that are alike
 * @State:             MEM_COMMIT, MEM_RESERVE or MEM_FREE
 * @Protect:           protection of these pages; 0 if reserved, PAGE_NOACCESS if free
 * @Type:              MEM_PRIVATE or MEM_MAPPED; 0 if free
 */
struct ww_win_memory_basic_information {
	void *BaseAddress;
	void *AllocationBase;
	uint32_t AllocationProtect;
#if UINTPTR_MAX > 0xffffffffu
	uint16_t PartitionId;
#endif
	size_t RegionSize;
	uint32_t State;
	uint32_t Protect;
	uint32_t Type;
};

/** struct ww_win_system_info - SYSTEM_INFO; what means nothing here is 0 */
struct ww_win_system_info {
	uint16_t wProcessorArchitecture;
	uint16_t wReserved;
	uint32_t dwPageSize;
	void *lpMinimumApplicationAddress;
	void *lpMaximumApplicationAddress;
	uintptr_t dwActiveProcessorMask;
	uint32_t dwNumberOfProcessors;
	uint32_t dwProcessorType;
	uint32_t dwAllocationGranularity;
	uint16_t wProcessorLevel;
	uint16_t wProcessorRevision;
};

/**
 * ww_win_virtual_alloc() - VirtualAlloc: reserve pages, commit them, or both
 * @addr:    NULL, or where: rounded down to 64 KiB to reserve, to a page otherwise
 * @size:    in bytes, not 0; the range is rounded outward to pages
 * @type:    MEM_RESERVE, MEM_COMMIT or both, to reserve also MEM_WRITE_WATCH and MEM_TOP_DOWN;
 *           or MEM_RESET; or MEM_RESET_UNDO
 * @protect: one PAGE_* protection, with or without a modifier
 *
 * MEM_WRITE_WATCH makes GetWriteWatch() work on the allocation until it is released. Fresh pages
 * count as not written. Committing committed pages changes their protection only. MEM_COMMIT at
 * NULL reserves as well.
 *
 * Return: the first address, or NULL with
 *   ERROR_INVALID_PARAMETER   @size is 0 or too large, @addr is below 64 KiB or beyond user space,
 *                             unknown or contradicting @type (MEM_WRITE_WATCH without MEM_RESERVE,
 *                             or with MEM_LARGE_PAGES), invalid @protect
 *   ERROR_INVALID_ADDRESS     to reserve: something is there already; to commit, for MEM_RESET
 *                             and MEM_RESET_UNDO: not all of the range is reserved in one
 *                             allocation
 *   ERROR_NOT_SUPPORTED       MEM_WRITE_WATCH, and nothing here can watch memory, or no descriptors
 *                             or memory are left for the context: a later call tries again
 *   ERROR_PRIVILEGE_NOT_HELD  MEM_LARGE_PAGES
 *   ERROR_ACCESS_DENIED       the system forbids this protection
 */
WW_PUBLIC void *ww_win_virtual_alloc(void *addr, size_t size, uint32_t type, uint32_t protect);

/**
 * ww_win_virtual_free() - VirtualFree: decommit pages, or release an allocation
 * @addr: where
 * @size: in bytes; 0 to release, or to decommit the whole allocation that begins at @addr
 * @type: MEM_DECOMMIT or MEM_RELEASE
 *
 * Decommitted pages lose their content and count as not written. Pages that were not committed may
 * be decommitted.
 *
 * Return: 1, or 0 with
 *   ERROR_INVALID_PARAMETER  any other @type, MEM_RELEASE with a @size, or the range goes beyond
 *                            the end of the allocation
 *   ERROR_INVALID_ADDRESS    nothing is allocated there, or @size is 0 and @addr not the base
 */
WW_PUBLIC int ww_win_virtual_free(void *addr, size_t size, uint32_t type);

/**
 * ww_win_virtual_protect() - VirtualProtect: change the protection of committed pages
 * @addr:        where
 * @size:        in bytes, not 0; the range is rounded outward to pages
 * @protect:     one PAGE_* protection, with or without a modifier
 * @old_protect: [out] protection of the first page until now
 *
 * Never changes what counts as written.
 *
 * Return: 1, or 0 with
 *   ERROR_INVALID_PARAMETER  @size is 0, the range leaves user space, invalid @protect
 *   ERROR_NOACCESS           @old_protect is NULL
 *   ERROR_INVALID_ADDRESS    not all of the range is committed in one allocation
 *   ERROR_ACCESS_DENIED      the system forbids this protection
 */
WW_PUBLIC int ww_win_virtual_protect(void *addr, size_t size, uint32_t protect,
				     uint32_t *old_protect);

/**
 * ww_win_virtual_query() - VirtualQuery: what is at an address?
 * @addr: any address
 * @info: [out] the run of pages from there on that are alike
 * @len:  size of @info in bytes
 *
 * For memory that VirtualAlloc() did not return the answer comes from /proc/self/maps.
 *
 * Return: bytes filled, or 0 with
 *   ERROR_BAD_LENGTH         @len is too small
 *   ERROR_NOACCESS           @info is NULL
 *   ERROR_INVALID_PARAMETER  @addr is beyond user space
 */
WW_PUBLIC size_t ww_win_virtual_query(const void *addr,
				      struct ww_win_memory_basic_information *info, size_t len);

/**
 * ww_win_get_write_watch() - GetWriteWatch: the addresses of the pages that were written
 * @flags:       0 or WRITE_WATCH_FLAG_RESET
 * @base:        start of the range
 * @size:        in bytes, not 0; the range is rounded outward to pages
 * @addrs:       [out] page addresses, ascending; the first may be below an unaligned @base
 * @count:       [in,out] in: room in @addrs, not 0; out: how many were stored
 * @granularity: [out] the page size
 *
 * The range lies in one allocation that was made with MEM_WRITE_WATCH; pages need not be
 * committed. When the room ends the call succeeds, and resets only what it returned.
 *
 * Return: 0, or UINT32_MAX with
 *   ERROR_INVALID_PARAMETER  *@count or @size is 0, unknown @flags, or no such range
 *   ERROR_NOACCESS           @count or @granularity is NULL; @addrs is
 */
WW_PUBLIC uint32_t ww_win_get_write_watch(uint32_t flags, void *base, size_t size, void **addrs,
					  uintptr_t *count, uint32_t *granularity);

/**
 * ww_win_reset_write_watch() - ResetWriteWatch: forget which pages were written
 * @base: start of the range
 * @size: in bytes, not 0; the range is rounded outward to pages
 *
 * Return: 0, or UINT32_MAX with ERROR_INVALID_PARAMETER as ww_win_get_write_watch()
 */
WW_PUBLIC uint32_t ww_win_reset_write_watch(void *base, size_t size);

/**
 * ww_win_nt_get_write_watch() - NtGetWriteWatch: the same with an NTSTATUS
 * @process: GetCurrentProcess()
 *
 * Otherwise as ww_win_get_write_watch(). Return: STATUS_SUCCESS, or
 *   STATUS_ACCESS_VIOLATION     where that fails with ERROR_NOACCESS
 *   STATUS_INVALID_PARAMETER_2  @base is beyond user space
 *   STATUS_INVALID_PARAMETER_3  the range leaves user space
 *   STATUS_INVALID_PARAMETER_4  the range wraps
 *   STATUS_INVALID_PARAMETER_5  *@count is 0 or far too large
 *   STATUS_INVALID_PARAMETER    any other reason for ERROR_INVALID_PARAMETER
 *   STATUS_INVALID_HANDLE       @process is anything else
 */
WW_PUBLIC int32_t ww_win_nt_get_write_watch(void *process, uint32_t flags, void *base, size_t size,
					    void **addrs, uintptr_t *count, uint32_t *granularity);

/**
 * ww_win_nt_reset_write_watch() - NtResetWriteWatch: the same with an NTSTATUS
 *
 * Return: as ww_win_nt_get_write_watch(), but a range that wraps is STATUS_INVALID_PARAMETER_3
 */
WW_PUBLIC int32_t ww_win_nt_reset_write_watch(void *process, void *base, size_t size);

/** ww_win_get_last_error() - GetLastError: why this thread's last failing function failed */
WW_PUBLIC uint32_t ww_win_get_last_error(void);

/** ww_win_set_last_error() - SetLastError */
WW_PUBLIC void ww_win_set_last_error(uint32_t error);

/** ww_win_get_system_info() - GetSystemInfo: page size, granularity, address range, processors */
WW_PUBLIC void ww_win_get_system_info(struct ww_win_system_info *info);

#ifdef __cplusplus
}
#endif

#ifndef WW_NO_WINAPI_NAMES

/* Types. DWORD, LONG and ULONG have 32 bits, also where long has 64. */
#ifndef VOID
#define VOID void
#endif
#ifndef CONST
#define CONST const
#endif
typedef int BOOL;
typedef int INT;
typedef unsigned int UINT;
typedef char CHAR;
typedef unsigned char BYTE, UCHAR, BOOLEAN;
typedef short SHORT;
typedef uint16_t WORD, USHORT;
typedef int32_t LONG, LONG32, INT32;
typedef uint32_t DWORD, ULONG, DWORD32, ULONG32, UINT32;
typedef int64_t LONGLONG, LONG64, INT64;
typedef uint64_t ULONGLONG, DWORDLONG, DWORD64, ULONG64, UINT64;
typedef intptr_t INT_PTR, LONG_PTR;
typedef uintptr_t UINT_PTR, ULONG_PTR, DWORD_PTR;
typedef size_t SIZE_T;
typedef ptrdiff_t SSIZE_T;
typedef void *PVOID, *LPVOID, *HANDLE;
typedef const void *LPCVOID;
typedef BOOL *PBOOL, *LPBOOL;
typedef BYTE *PBYTE, *LPBYTE;
typedef WORD *PWORD, *LPWORD;
typedef LONG *PLONG, *LPLONG;
typedef DWORD *PDWORD, *LPDWORD;
typedef ULONG *PULONG;
typedef ULONG_PTR *PULONG_PTR;
typedef DWORD_PTR *PDWORD_PTR;
typedef SIZE_T *PSIZE_T;
typedef LONG NTSTATUS;

typedef struct ww_win_memory_basic_information MEMORY_BASIC_INFORMATION, *PMEMORY_BASIC_INFORMATION;
typedef struct ww_win_system_info SYSTEM_INFO, *LPSYSTEM_INFO;

#ifndef TRUE
#define TRUE 1
#endif
#ifndef FALSE
#define FALSE 0
#endif

#define WINAPI
#define NTAPI
#define CALLBACK
#define WINBASEAPI

#define NT_SUCCESS(status) ((NTSTATUS)(status) >= 0)

/* VirtualAlloc(), VirtualFree(), VirtualQuery() */
#define MEM_COMMIT 0x00001000
#define MEM_RESERVE 0x00002000
#define MEM_DECOMMIT 0x00004000
#define MEM_RELEASE 0x00008000
#define MEM_FREE 0x00010000
#define MEM_PRIVATE 0x00020000
#define MEM_MAPPED 0x00040000
#define MEM_RESET 0x00080000
#define MEM_TOP_DOWN 0x00100000
#define MEM_WRITE_WATCH 0x00200000
#define MEM_IMAGE 0x01000000
#define MEM_RESET_UNDO 0x01000000
#define MEM_LARGE_PAGES 0x20000000

/* Protections: exactly one */
#define PAGE_NOACCESS 0x01
#define PAGE_READONLY 0x02
#define PAGE_READWRITE 0x04
#define PAGE_WRITECOPY 0x08
#define PAGE_EXECUTE 0x10
#define PAGE_EXECUTE_READ 0x20
#define PAGE_EXECUTE_READWRITE 0x40
#define PAGE_EXECUTE_WRITECOPY 0x80

/* Modifiers: at most one, not with PAGE_NOACCESS */
#define PAGE_GUARD 0x100
#define PAGE_NOCACHE 0x200
#define PAGE_WRITECOMBINE 0x400

/* GetWriteWatch() */
#define WRITE_WATCH_FLAG_RESET 0x01

/* GetLastError() */
#define NO_ERROR 0
#define ERROR_SUCCESS 0
#define ERROR_TOO_MANY_OPEN_FILES 4
#define ERROR_ACCESS_DENIED 5
#define ERROR_INVALID_HANDLE 6
#define ERROR_NOT_ENOUGH_MEMORY 8
#define ERROR_OUTOFMEMORY 14
#define ERROR_BAD_LENGTH 24
#define ERROR_GEN_FAILURE 31
#define ERROR_NOT_SUPPORTED 50
#define ERROR_INVALID_PARAMETER 87
#define ERROR_CALL_NOT_IMPLEMENTED 120
#define ERROR_INSUFFICIENT_BUFFER 122
#define ERROR_INVALID_ADDRESS 487
#define ERROR_NOACCESS 998
#define ERROR_PRIVILEGE_NOT_HELD 1314
#define ERROR_COMMITMENT_LIMIT 1455

/* NTSTATUS */
#define STATUS_SUCCESS ((NTSTATUS)0x00000000)
#define STATUS_UNSUCCESSFUL ((NTSTATUS)0xC0000001)
#define STATUS_INFO_LENGTH_MISMATCH ((NTSTATUS)0xC0000004)
#define STATUS_ACCESS_VIOLATION ((NTSTATUS)0xC0000005)
#define STATUS_INVALID_HANDLE ((NTSTATUS)0xC0000008)
#define STATUS_INVALID_PARAMETER ((NTSTATUS)0xC000000D)
#define STATUS_NO_MEMORY ((NTSTATUS)0xC0000017)
#define STATUS_CONFLICTING_ADDRESSES ((NTSTATUS)0xC0000018)
#define STATUS_UNABLE_TO_FREE_VM ((NTSTATUS)0xC000001A)
#define STATUS_ACCESS_DENIED ((NTSTATUS)0xC0000022)
#define STATUS_NOT_COMMITTED ((NTSTATUS)0xC000002D)
#define STATUS_INVALID_PAGE_PROTECTION ((NTSTATUS)0xC0000045)
#define STATUS_PRIVILEGE_NOT_HELD ((NTSTATUS)0xC0000061)
#define STATUS_FREE_VM_NOT_AT_BASE ((NTSTATUS)0xC000009F)
#define STATUS_MEMORY_NOT_ALLOCATED ((NTSTATUS)0xC00000A0)
#define STATUS_NOT_SUPPORTED ((NTSTATUS)0xC00000BB)
#define STATUS_INVALID_PARAMETER_1 ((NTSTATUS)0xC00000EF)
#define STATUS_INVALID_PARAMETER_2 ((NTSTATUS)0xC00000F0)
#define STATUS_INVALID_PARAMETER_3 ((NTSTATUS)0xC00000F1)
#define STATUS_INVALID_PARAMETER_4 ((NTSTATUS)0xC00000F2)
#define STATUS_INVALID_PARAMETER_5 ((NTSTATUS)0xC00000F3)
#define STATUS_TOO_MANY_OPENED_FILES ((NTSTATUS)0xC000011F)

static inline DWORD WINAPI GetLastError(void)
{
	return ww_win_get_last_error();
}

static inline VOID WINAPI SetLastError(DWORD error)
{
	ww_win_set_last_error(error);
}

/* The pseudo handle, the only one there is here. */
static inline HANDLE WINAPI GetCurrentProcess(void)
{
	return (HANDLE)(intptr_t)-1;
}

#define NtCurrentProcess() GetCurrentProcess()

static inline VOID WINAPI GetSystemInfo(LPSYSTEM_INFO info)
{
	ww_win_get_system_info(info);
}

static inline LPVOID WINAPI VirtualAlloc(LPVOID addr, SIZE_T size, DWORD type, DWORD protect)
{
	return ww_win_virtual_alloc(addr, size, type, protect);
}

static inline BOOL WINAPI VirtualFree(LPVOID addr, SIZE_T size, DWORD type)
{
	return ww_win_virtual_free(addr, size, type);
}

static inline BOOL WINAPI VirtualProtect(LPVOID addr, SIZE_T size, DWORD protect, PDWORD old)
{
	return ww_win_virtual_protect(addr, size, protect, old);
}

static inline SIZE_T WINAPI VirtualQuery(LPCVOID addr, PMEMORY_BASIC_INFORMATION info, SIZE_T len)
{
	return ww_win_virtual_query(addr, info, len);
}

static inline UINT WINAPI GetWriteWatch(DWORD flags, PVOID base, SIZE_T size, PVOID *addrs,
					ULONG_PTR *count, LPDWORD granularity)
{
	return ww_win_get_write_watch(flags, base, size, addrs, count, granularity);
}

static inline UINT WINAPI ResetWriteWatch(LPVOID base, SIZE_T size)
{
	return ww_win_reset_write_watch(base, size);
}

static inline NTSTATUS NTAPI NtGetWriteWatch(HANDLE process, ULONG flags, PVOID base, SIZE_T size,
					     PVOID *addrs, ULONG_PTR *count, ULONG *granularity)
{
	return ww_win_nt_get_write_watch(process, flags, base, size, addrs, count, granularity);
}

static inline NTSTATUS NTAPI NtResetWriteWatch(HANDLE process, PVOID base, SIZE_T size)
{
	return ww_win_nt_reset_write_watch(process, base, size);
}

#endif /* WW_NO_WINAPI_NAMES */

#endif
