/* SPDX-License-Identifier: MIT */
#ifndef WRITEWATCH_PROCESS_H
#define WRITEWATCH_PROCESS_H

/**
 * DOC: process.h - what are the pages of a process, its own or another?
 *
 * The whole of the kernel's PAGEMAP_SCAN: ww_process_scan() lists the pages of a process that are
 * of the wanted categories, and can reset what it lists. ww_process_memwatch() is the short form of
 * it for pages that were written, and can do with soft-dirty bits. ww_process_attach() has all
 * memory of another process watched, which need not know of it, and ww_process_offer() lets one be
 * watched that wants it; ww_process_get() lists what it wrote.
 *
 * Where the kernel has no PAGEMAP_SCAN (before Linux 6.7, and 6.7.0 to 6.8.9, whose scans lose
 * writes) the same ranges come from reading /proc/PID/pagemap, as far as that tells the categories,
 * and nothing can be reset. ww_process_categories() says what can be told of a process here.
 *
 * A process is what it was when it was opened: its number may go to another process later, which is
 * never looked at. When it has ended or called execve(2), calls fail with -ESRCH or -ESTALE.
 *
 * PERMISSION
 *   Whoever may read the memory of a process by ptrace(2) may look at it: the same user, with the
 *   process dumpable, or CAP_SYS_PTRACE; a security module may say no. It is asked by
 *   ww_process_open(), and again by ww_process_attach(), and by ww_process_memwatch() where that
 *   clears soft-dirty bits. Attaching stops one thread for a moment and registers memory; nothing
 *   else here stops a process or changes anything in it, but resets.
 *
 * ERRORS, THREADS, SIGNALS
 *   As in writewatch.h: 0 or a count, or a negative errno value; but what lists ranges sets its
 *   count, and where to go on, also on an error, to what was listed: to 0 if that is nothing, also
 *   for most of -EINVAL, so set them before each call. Calls on one struct ww_process wait for each
 *   other. No function is async-signal-safe, none returns early because of a signal.
 *
 * FORK
 *   In a child an inherited struct ww_process goes on to speak of the process it was opened for,
 *   the parent if that is what it was. It must not be in use by another thread during the fork.
 *   A child that lives and has not called execve(2) keeps what its parent attached to watched: if
 *   the parent ends without ww_process_close(), that ends with the child.
 *
 * UNITS
 *   Addresses are numbers here, as they are those of another process. Lengths are in bytes.
 *
 * All of this: since 0.1.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <writewatch/writewatch.h>

#ifdef __cplusplus
extern "C" {
#endif

/** struct ww_process - a process that was opened to be looked at. */
struct ww_process;

/**
 * enum ww_page_category - what a page is; it may be several
 * @WW_PAGE_WATCHED:    its mapping is registered with a userfaultfd for asynchronous
 *                      write-protection, as the backend pagemap-scan does it. Only such pages can
 *                      be reset, and only of them %WW_PAGE_WRITTEN says that somebody wrote.
 * @WW_PAGE_WRITTEN:    no userfaultfd write-protects it: in watched memory, it was written since it
 *                      was reset. What is empty there counts as written unless it was reset while
 *                      it was empty; older kernels (6.12.102 and before) do not say so of all of
 *                      it. Of memory that is not watched it says nothing, of what is empty there
 *                      now this and now that.
 * @WW_PAGE_FILE:       belongs to a file, or to shared memory
 * @WW_PAGE_PRESENT:    is in memory
 * @WW_PAGE_SWAPPED:    is swapped out, or a marker stands for it: a guard page, a page that is
 *                      write-protected while it is empty
 * @WW_PAGE_ZERO:       is the kernel's page of zeros, which a read of an empty page gives
 * @WW_PAGE_HUGE:       is part of a huge page that is mapped as one
 * @WW_PAGE_SOFT_DIRTY: was written since /proc/PID/clear_refs was last used, or its mapping is
 *                      newer than that, or was joined with a newer one. Needs
 *                      CONFIG_MEM_SOFT_DIRTY.
 * @WW_PAGE_GUARD:      is a guard page (MADV_GUARD_INSTALL)
 *
 * A mapped page that is neither present nor swapped is empty: nothing was written there, or it was
 * dropped.
 */
enum ww_page_category {
	WW_PAGE_WATCHED = 1 << 0,
	WW_PAGE_WRITTEN = 1 << 1,
	WW_PAGE_FILE = 1 << 2,
	WW_PAGE_PRESENT = 1 << 3,
	WW_PAGE_SWAPPED = 1 << 4,
	WW_PAGE_ZERO = 1 << 5,
	WW_PAGE_HUGE = 1 << 6,
	WW_PAGE_SOFT_DIRTY = 1 << 7,
	WW_PAGE_GUARD = 1 << 8
};

/**
 * enum ww_process_flags - for ww_process_open()
 * @WW_PROCESS_READ_PAGEMAP: read /proc/PID/pagemap also where the kernel has PAGEMAP_SCAN
 */
enum ww_process_flags {
	WW_PROCESS_READ_PAGEMAP = 1 << 0
};

/**
 * enum ww_scan_flags - for struct ww_process_query
 * @WW_SCAN_RESET:        what is listed counts as not written from now on, in one step that is
 *                        atomic for each page. Memory that is not watched is passed over.
 * @WW_SCAN_WATCHED_ONLY: fail with -EPERM if anything mapped in the range is not watched, before
 *                        anything is reset. Unmapped holes are no error.
 */
enum ww_scan_flags {
	WW_SCAN_RESET = 1 << 0,
	WW_SCAN_WATCHED_ONLY = 1 << 1
};

/**
 * struct ww_page_range - a run of pages of the same categories
 * @start:      address of its first byte
 * @end:        address of the byte after the last one
 * @categories: bits of enum ww_page_category, those of @returned
 */
struct ww_page_range {
	uint64_t start;
	uint64_t end;
	uint64_t categories;
};

/**
 * struct ww_process_query - which pages of a process? Set unused members to zero.
 * @size:      sizeof(struct ww_process_query), at least up to and including @refused. A larger,
 *             newer struct is taken if what this version does not know is zero.
 * @start:     where to begin, page aligned
 * @end:       [in,out] where to end, rounded up to whole pages; 0: everything from @start on, and
 *             set to where that ends
 * @required:  categories that a page must have
 * @any_of:    categories of which a page must have one; 0: no such condition
 * @excluded:  categories that a page must not have, none of @required or @any_of
 * @returned:  categories that are told; pages that do not differ in them are one range
 * @flags:     bits of enum ww_scan_flags
 * @max_pages: list so many pages at most; 0: no limit
 * @next:      [out] where to go on; @end when all was seen
 * @pages:     [out] how many pages were listed
 * @refused:   [out] with -ENOTSUP: the categories that cannot be told here
 *
 * Without a condition all mapped pages are listed, also empty ones.
 */
struct ww_process_query {
	size_t size;
	uint64_t start;
	uint64_t end;
	uint64_t required;
	uint64_t any_of;
	uint64_t excluded;
	uint64_t returned;
	uint64_t flags;
	uint64_t max_pages;
	uint64_t next;
	uint64_t pages;
	uint64_t refused;
};

/**
 * ww_process_open() - look at a process
 * @out:   [out] the process; NULL when the call fails
 * @pid:   its number; 0: the calling process
 * @flags: bits of enum ww_process_flags
 *
 * Uses three descriptors, close-on-exec and never 0, 1 or 2, and about 200 KiB of memory. Tries on
 * scratch pages of the calling process which categories the kernel can tell.
 *
 * Ownership: the caller frees it with ww_process_close().
 * Return: 0, or
 *   -EINVAL   @out is NULL, @pid is negative, unknown flags
 *   -ESRCH    there is no such process, or it ended meanwhile; or @pid is a thread's
 *   -ECHILD   it has ended, and its parent has not waited for it yet (a zombie); or its first
 *             thread has ended while others run
 *   -ENXIO    it is a thread of the kernel, which has no memory of its own
 *   -EACCES   looking at it is not permitted, see PERMISSION
 *   -ENOTSUP  /proc is not mounted, or the kernel has no pagemap, or, for another process, no
 *             pidfd_open(2) (Linux 5.4)
 *   -ENOMEM   no memory or address space
 *   -EMFILE, -ENFILE  no descriptors left in the process, in the system
 *   -EIO      the kernel answered what it never should
 * Since: 0.1
 */
WW_PUBLIC int ww_process_open(struct ww_process **out, pid_t pid, unsigned flags);

/**
 * ww_process_open_pidfd() - the same by a descriptor of pidfd_open(2)
 * @pidfd: stays the caller's, who may close it at any time
 *
 * Otherwise as ww_process_open(), and: -EBADF if @pidfd is not an open descriptor, -EINVAL if it is
 * not one of a process. -ESRCH also for a process that this /proc does not show. Since: 0.1
 */
WW_PUBLIC int ww_process_open_pidfd(struct ww_process **out, int pidfd, unsigned flags);

/**
 * ww_process_close() - stop looking
 * @p: the process, or NULL
 *
 * Must be the last call on @p. Since: 0.1
 */
WW_PUBLIC void ww_process_close(struct ww_process *p);

/**
 * ww_process_categories() - which categories can be told of the pages of this process
 * @p: the process
 *
 * Never changes for @p. %WW_PAGE_WATCHED among them says that PAGEMAP_SCAN is used, and that
 * %WW_SCAN_RESET is possible. When /proc/PID/pagemap is read, %WW_PAGE_WATCHED, %WW_PAGE_ZERO and
 * %WW_PAGE_HUGE are not among them, and %WW_PAGE_WRITTEN and %WW_PAGE_GUARD only if the calling
 * process could try them.
 *
 * Return: bits of enum ww_page_category, 0 if @p is NULL. Since: 0.1
 */
WW_PUBLIC uint64_t ww_process_categories(struct ww_process *p);

/**
 * ww_process_scan() - list pages by their categories
 * @p:      the process
 * @query:  [in,out] which pages
 * @ranges: [out] ranges of pages, ascending, those that touch differ in their categories
 * @count:  [in,out] in: room in @ranges, not 0; out: how many there are
 *
 * The room counts ranges, @max_pages counts pages; either may end a result early, with @next before
 * the end. To go on, @next becomes @start; the range that filled the last place may go on there.
 * With %WW_SCAN_RESET nothing but what was listed is reset.
 *
 * The rule of writewatch.h: the content of pages that were listed and reset is read after the call.
 *
 * Mappings of memory of devices, [vvar] included, are passed over; when /proc/PID/pagemap is read,
 * they look empty, and [vdso] does not look like %WW_PAGE_FILE.
 *
 * Return: 0, or, with nothing listed and nothing reset,
 *   -EINVAL   a null pointer, *@count is 0, @query has a wrong size, an unknown category or flag,
 *             @start not page aligned, @end before @start or behind the addresses a process can
 *             have, a category excluded that is required or in @any_of
 *   -ENOTSUP  a category cannot be told (see @refused); or %WW_SCAN_RESET or %WW_SCAN_WATCHED_ONLY
 *             where pagemap is read (@refused is %WW_PAGE_WATCHED); or a reset of a range with huge
 *             pages of hugetlbfs, of which one may be clipped (@refused is 0); kernels before
 *             Linux 6.11 do not tell which they are, and reset them as they do
 *   -EPERM    with %WW_SCAN_WATCHED_ONLY: something in the range is not watched
 *   -EBADF    the program closed a descriptor of @p
 * or, with *@count ranges listed, and reset, before the error, and @next where the call failed:
 * with %WW_SCAN_RESET any page from there to the end may have been reset, and all of them count as
 * listed,
 *   -ESRCH    the process has ended
 *   -ESTALE   it has called execve(2): open it again
 *   -ENOMEM   no memory, or none for page tables of the process
 *   -EIO      the kernel answered what it never should
 * Since: 0.1
 */
WW_PUBLIC int ww_process_scan(struct ww_process *p, struct ww_process_query *query,
			      struct ww_page_range *ranges, size_t *count);

/**
 * enum ww_memwatch_flags - for ww_process_memwatch(): one of the first two, or both
 * @WW_MEMWATCH_GET:        report written pages
 * @WW_MEMWATCH_CLEAR:      they count as not written from now on; with %WW_MEMWATCH_GET, those that
 *                          are reported, without it, all in the range
 * @WW_MEMWATCH_PAGES_ONLY: neither report nor clear empty pages, which count as written because
 *                          their mapping is new, or was joined with a new one, or they were dropped
 */
enum ww_memwatch_flags {
	WW_MEMWATCH_GET = 1 << 0,
	WW_MEMWATCH_CLEAR = 1 << 1,
	WW_MEMWATCH_PAGES_ONLY = 1 << 2
};

/**
 * enum ww_memwatch_limits - what could not be done as it should be
 * @WW_MEMWATCH_NEW_MAPPINGS: pages may be reported that nobody wrote, of mappings that are new or
 *                            were joined with new ones since the last clear
 * @WW_MEMWATCH_PROCESS_WIDE: the soft-dirty bits of the whole process were cleared. Here nothing is
 *                            lost by that: what was not reported is kept in @p, for this and later
 *                            calls, also if it is unmapped meanwhile. Others that use the bits of
 *                            this process have lost them.
 * @WW_MEMWATCH_NOT_ATOMIC:   what the process wrote during the call may be lost, unless it was
 *                            stopped
 */
enum ww_memwatch_limits {
	WW_MEMWATCH_NEW_MAPPINGS = 1 << 0,
	WW_MEMWATCH_PROCESS_WIDE = 1 << 1,
	WW_MEMWATCH_NOT_ATOMIC = 1 << 2
};

/**
 * ww_process_memwatch() - get, clear, or get and clear the written pages of a range
 * @p:       the process
 * @start:   start of the range, page aligned
 * @len:     its length in bytes, rounded up to whole pages, not 0
 * @flags:   bits of enum ww_memwatch_flags
 * @vec:     [out] for each written page its number, counted from @start; ascending. NULL without
 *           %WW_MEMWATCH_GET
 * @vec_len: room in @vec, in pages; 0 without %WW_MEMWATCH_GET
 * @limits:  [out] bits of enum ww_memwatch_limits, 0 if all was done as it should be; NULL: fail
 *           with -ENOTSUP rather than clear with limits
 *
 * A full @vec ends the call: the rest of the range is neither reported nor cleared. Ask again for
 * the rest without %WW_MEMWATCH_CLEAR, for the same range with it.
 *
 * If all that is mapped in the range is watched (%WW_PAGE_WATCHED), this is %WW_PAGE_WRITTEN, and
 * get and clear are one step that is atomic for each page. Otherwise it is %WW_PAGE_SOFT_DIRTY,
 * where the kernel has that, with limits; what was dropped is not told by that. Guard pages are not
 * reported where the kernel tells them.
 *
 * Return: how many pages were reported, or
 *   -EINVAL   a null @p, unknown flags, neither %WW_MEMWATCH_GET nor %WW_MEMWATCH_CLEAR, @start not
 *             page aligned, @len is 0, the range wraps or leaves the addresses a process can have,
 *             @vec is NULL or @vec_len 0 with %WW_MEMWATCH_GET, or not without
 *   -ENOTSUP  something in the range is not watched and the kernel has no soft-dirty bits, or
 *             @limits is NULL; or the range to be cleared has huge pages of hugetlbfs, as far as
 *             the kernel tells (Linux 6.11)
 *   -EBUSY    the calling process has contexts with the backend soft-dirty, and the soft-dirty bits
 *             that were to be cleared are its own
 *   -EACCES   the soft-dirty bits of the process may not be cleared
 *   -ESRCH, -ESTALE, -ENOMEM, -EIO, -EBADF, -EMFILE, -ENFILE  as ww_process_scan() and
 *             ww_process_open()
 * On an error nothing was reported; what may have been cleared is reported by a later call.
 * Since: 0.1
 */
WW_PUBLIC ssize_t ww_process_memwatch(struct ww_process *p, uint64_t start, uint64_t len,
				      unsigned flags, uint64_t *vec, size_t vec_len,
				      unsigned *limits);

/**
 * struct ww_attachment - what ww_process_attachment() tells
 * @size:            in: sizeof(struct ww_attachment); out: how much of it was filled
 * @reason:          why ww_process_attach() failed last, a sentence without full stop that is a
 *                   constant; NULL: there is nothing to add to the error
 * @attached:        1 while it is attached
 * @self_healing:    1 if the thread would have restored itself, had this process been killed while
 *                   it attached; 0 if there was no place for what that takes, or the thread is
 *                   confined by seccomp, which is suspended while it is traced: killed in that
 *                   moment, the thread would have gone on with wrong registers, which is likely
 *                   to end its process
 * @stopped_ns:      for how long a thread was stopped, in nanoseconds; 0: none was
 * @watched:         mappings that are watched
 * @watched_bytes:   their size; that of what is only reserved, without being accessible, is part of
 *                   it
 * @skipped:         writable mappings that are not watched
 * @skipped_bytes:   their size
 * @skipped_hugetlb: of these, with huge pages of hugetlbfs
 * @skipped_busy:    that belong to another userfaultfd, of the process itself or another watcher's
 * @skipped_sealed:  shared ones of a file that may not be written, or was opened for reading
 * @skipped_special: of devices and the kernel, or of another kind that userfaultfd does not have
 */
struct ww_attachment {
	size_t size;
	const char *reason;
	uint64_t attached;
	uint64_t self_healing;
	uint64_t stopped_ns;
	uint64_t watched;
	uint64_t watched_bytes;
	uint64_t skipped;
	uint64_t skipped_bytes;
	uint64_t skipped_hugetlb;
	uint64_t skipped_busy;
	uint64_t skipped_sealed;
	uint64_t skipped_special;
};

/**
 * ww_process_attach() - begin to watch a running process, without its help
 * @p:     the process
 * @flags: 0
 *
 * Stops one thread of the process by ptrace(2), for a fraction of a millisecond, in which that
 * opens a userfaultfd(2); the descriptor is taken over by pidfd_getfd(2), the process's own is
 * closed, and the thread goes on with what it did. A system call that it waited in goes on as
 * well, from the start where it had a timeout; some that would fail with EINTR after such a stop
 * are called again instead. connect(2) with SO_SNDTIMEO does fail with it, as after SIGSTOP, and so
 * do calls that are rarely waited in. Then all writable mappings are watched, and private memory
 * that is of no file whatever its protection, as by the backend pagemap-scan; %WW_PAGE_WATCHED is
 * what they are for ww_process_scan(). The calling process itself (ww_process_open() with 0) is
 * stopped by nothing.
 *
 * What is not seen is what is written to a mapping of a file, or of shared memory, that is made
 * writable, written to and made read-only again all between two looks at the mappings, and was
 * never writable at one; or that was writable at the last look, was written to, and was made
 * read-only and moved by mremap(2) before the next.
 *
 * What is watched does not become one mapping with what the process maps beside it, as it would
 * have, before ww_process_refresh() looks, and never does with private memory that was written to
 * by then. mremap(2) of both as one fails with EFAULT while they are two, and each counts towards the
 * mappings that a process may have (vm.max_map_count).
 *
 * Memory can be registered with one userfaultfd at a time: while it is watched from outside, the
 * process cannot begin to watch it by itself. Its own ww_watch(), where the backend takes a
 * userfaultfd, or UFFDIO_REGISTER, fails with -EBUSY for all memory that was there when this call
 * or ww_process_refresh() looked at the mappings; ww_process_get() takes nothing new. What it
 * watches already stays its own (@skipped_busy).
 *
 * Files and shared memory take page tables, 8 bytes for each page, also for what is empty in them.
 *
 * When the call returns, every page counts as not written that was not written after the call
 * began. ww_process_get() tells what was written since, ww_process_refresh() finds mappings that
 * came later. Children that the process forks are not watched. When it calls execve(2), calls
 * fail with -ESTALE.
 *
 * It ends with ww_process_detach() or ww_process_close(), or when the calling process ends, however
 * that comes about, and any child that has what it inherited still (see FORK). The process is then
 * as it was before. Only if the calling process is killed in the very moment in which the thread is
 * stopped, that restores itself (see @self_healing of struct ww_attachment), and then a descriptor,
 * close-on-exec, can stay open in it; a call that waited with a timeout begins anew, or fails with
 * EINTR if the thread was stopped in it before; and one like epoll_wait(2) can fail with EINTR, as
 * it does after SIGSTOP. A child that another thread forks in that moment has the descriptor, too.
 *
 * A thread that stops but does not run, as in a frozen group of processes or on a processor that
 * it never gets, is given up after a second (-ETIMEDOUT), and is what it was before. The call waits
 * for up to a minute for it to stop once more, which one that is frozen does at once, so that it
 * can be restored; it closes what it has opened then by itself, if need be when it runs again.
 * What has not stopped in that minute is let go: it restores itself when it runs, leaving a
 * descriptor open at worst, if @self_healing is 1; otherwise its process is likely to end. A thread
 * that cannot restore itself and is frozen between its two system calls keeps the descriptor.
 *
 * Threads that are stopped (SIGSTOP) stay so. Another thread of the calling process that waits for
 * all of its children meanwhile (wait(2)), or a handler of SIGCHLD, can be told of the stops, by
 * the number of a thread that need not be a child; attaching does not mind. Starts a thread until
 * it returns.
 *
 * For x86-64, processes of 64 bits.
 *
 * Return: 0, or
 *   -EINVAL    a null pointer, unknown flags
 *   -EALREADY  it is attached
 *   -ENOTSUP   the kernel has no PAGEMAP_SCAN or cannot write-protect asynchronously (Linux 6.7);
 *              or the process may not use userfaultfd(2), or is a 32-bit program
 *   -EPERM     ptrace(2) is not permitted, or seccomp is in the way: ww_process_attachment() tells
 *   -EBUSY     another process traces it, such as a debugger
 *   -ETIMEDOUT no thread of it stopped in time: they wait for what cannot be interrupted; or the
 *              one that did was not run, see above
 *   -EAGAIN    it was just calling execve(2), or has no instruction that calls the system
 *   -ESRCH, -ESTALE  it ended, or called execve(2)
 *   -ENOMEM    no memory, here or for page tables of the process
 *   -EMFILE, -ENFILE  no descriptors left, here or in the process, or in the system
 *   -EBADF     the program closed a descriptor of @p
 *   -EIO       the kernel answered what it never should
 * Since: 0.1
 */
WW_PUBLIC int ww_process_attach(struct ww_process *p, unsigned flags);

/**
 * ww_process_attachment() - what came of attaching, and what is watched
 * @p:    the process
 * @info: [in,out] set @size first
 *
 * Return: 0, or -EINVAL for a null pointer or a wrong size. Since: 0.1
 */
WW_PUBLIC int ww_process_attachment(struct ww_process *p, struct ww_attachment *info);

/**
 * ww_process_refresh() - find mappings that came, and forget those that went
 * @p: the process, attached
 *
 * What is there in a new mapping counts as written, and all of it that is of a file or of shared
 * memory, of which nobody knows what was there. Before that it is not reported by
 * ww_process_get(); nothing of it is lost by waiting. Costs a look at each mapping.
 *
 * Return: 0, or
 *   -EINVAL   @p is NULL, or not attached
 *   -ESRCH, -ESTALE, -ENOMEM, -EBADF, -EIO  as ww_process_attach(); calling again goes on
 * Since: 0.1
 */
WW_PUBLIC int ww_process_refresh(struct ww_process *p);

/**
 * ww_process_get() - which pages were written?
 * @p:      the process, attached
 * @start:  [in,out] where to begin, page aligned; out: where to go on, @end when all was seen
 * @end:    where to end, page aligned; 0: the end of the address space
 * @flags:  0, or %WW_RESET
 * @ranges: [out] what was written, ascending; @categories is %WW_PAGE_WATCHED
 * @count:  [in,out] in: room in @ranges, not 0; out: how many there are
 *
 * Written is, of what is watched, what was written since it was last reset and is still there:
 * private pages that were dropped, by madvise(2), are not reported, and nothing is that was
 * unmapped. Pages that were only read are reported, once, if that was what put them there.
 *
 * Of files and shared memory the kernel can take pages away and keep what was written to them:
 * there, what is empty counts as written unless it was reset while it was. So all of a mapping that
 * came since is reported once. Kernels that do not report all that is empty (6.12.102 and before)
 * do so of the other pages in the 2 MiB around the first one that is touched there.
 *
 * Otherwise as ww_process_scan() with %WW_SCAN_RESET or without; memory that another userfaultfd
 * watches is left alone, also if it has come since the last look at the mappings.
 *
 * Return: 0, or
 *   -EINVAL   a null pointer, *@count is 0, unknown flags, a range as for ww_process_scan(), or not
 *             attached
 *   -ESRCH, -ESTALE, -ENOMEM, -EIO, -EBADF  as ww_process_scan()
 * Since: 0.1
 */
WW_PUBLIC int ww_process_get(struct ww_process *p, uint64_t *start, uint64_t end, unsigned flags,
			     struct ww_page_range *ranges, size_t *count);

/**
 * ww_process_detach() - end watching
 * @p: the process
 *
 * Return: 0, or -EINVAL if @p is NULL or not attached. Since: 0.1
 */
WW_PUBLIC int ww_process_detach(struct ww_process *p);

/**
 * ww_process_offer() - let another process watch this one
 * @socket: a connected UNIX socket, at whose other end ww_process_accept() is called
 *
 * Hands over what the other process needs to watch all writable memory of this one; no permission
 * is asked for then, and nothing is stopped. Nothing stays open here. The other end may be given
 * what there is to be known of this process's mappings and what it writes, but not its memory.
 *
 * Return: 0, or
 *   -ENOTSUP  no userfaultfd(2), pidfd_open(2) or /proc here
 *   -EBADF, -ENOTSOCK  @socket is no descriptor, no socket
 *   -EPIPE    it is no UNIX socket, or not connected
 *   -EAGAIN   it would block
 *   -ENOMEM   no memory
 *   -EMFILE, -ENFILE  no descriptors left, or too many on their way
 * Since: 0.1
 */
WW_PUBLIC int ww_process_offer(int socket);

/**
 * ww_process_accept() - watch a process that offers it
 * @out:    [out] the process, attached; NULL when the call fails
 * @socket: a UNIX socket; the call waits for the offer unless it does not block
 *
 * As ww_process_open() and ww_process_attach() after each other. What is handed over is believed to
 * be of the process at the other end, which is trusted to say what it writes: only its number is
 * checked, with the kernel. After ww_process_detach() it has to offer again, or to be attached to.
 *
 * Ownership: the caller frees it with ww_process_close().
 * Return: 0, or
 *   -EINVAL   @out is NULL
 *   -EPROTO   what came is no such offer
 *   -EPIPE    nothing comes any more, or @socket is no UNIX socket
 *   and those of ww_process_offer(), ww_process_open() and ww_process_attach()
 * Since: 0.1
 */
WW_PUBLIC int ww_process_accept(struct ww_process **out, int socket);

/**
 * ww_process_hint() - what stands in the way of looking at a process, or attaching to it?
 * @pid: its number
 *
 * For ww_process_open() with -EACCES and ww_process_attach() with -EPERM.
 * Return: a sentence without full stop that is a constant. Since: 0.1
 */
WW_PUBLIC const char *ww_process_hint(pid_t pid);

#ifdef __cplusplus
}
#endif

#endif
