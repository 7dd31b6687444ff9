/* SPDX-License-Identifier: MIT */
#ifndef WRITEWATCH_WRITEWATCH_H
#define WRITEWATCH_WRITEWATCH_H

/**
 * DOC: writewatch.h - which pages of this memory were written?
 *
 * A context (struct ww) watches ranges of memory that the caller mapped. ww_get() and its two
 * siblings list the pages that were written since the last reset, exactly, with a system call or a
 * few, while the program's threads go on writing.
 *
 * THE RULE
 *   Read the content of reported pages after the call that reported them returned, never before.
 *   A write that races with a call is reported by that call or by the next one. Copying a page
 *   before the call that resets it can miss the last store; copying it afterwards cannot.
 *
 * PROMISES, in this order
 *   1. Nothing written is lost: a page written before a call, and not reported earlier, is
 *      reported by that call or stays reported until a call does. Also on an error, with too
 *      little room, with several callers, and after fork(). When in doubt, more is reported.
 *   2. Nothing else is reported, as far as the kernel can tell; writewatch(7) lists the exceptions.
 *   3. Queries and resets allocate nothing, start nothing, send no signal.
 *   4. No signal handler, no thread, and no change to the caller's mappings, but what the backend
 *      needs: see BACKENDS.
 *
 * BACKENDS
 *   The kernel and the rights of the process decide which way of watching there is; ww_info()
 *   tells which it is and enum ww_guarantee what it promises. In the order of preference:
 *   pagemap-scan   Linux 6.9. Has all guarantees. Private anonymous memory that holds nothing yet is
 *                  given MADV_NOHUGEPAGE and MADV_UNMERGEABLE when it is watched without
 *                  %WW_DISCARDS; both stay after ww_unwatch(). Where the kernel has no zero page it
 *                  is write-protected instead, which takes page tables for all of it.
 *   uffd           Linux 5.14; no mappings of files on disk. With privilege, a thread that resolves
 *                  faults; without, a handler of SIGBUS, and system calls that write into pages that
 *                  were not written since the reset fail with EFAULT: see ww_prepare_write(). Before
 *                  Linux 6.4 private memory is given MADV_NOHUGEPAGE and filled with zero pages;
 *                  ww_discard() fills it with them on every kernel; where there is no zero page,
 *                  these take memory.
 *   mprotect       wherever /proc is mounted. A handler of SIGSEGV, system calls as above. The
 *                  program changes the protection of watched memory by ww_protect() only, and calls
 *                  ww_watch() for what it mapped in the place of watched memory before it writes
 *                  there: no query can find that out here, there is no -ESTALE, what is read-only
 *                  then looks as if it had been there before, and without %WW_RESET pages may be
 *                  reported that are not mapped any more. Writes by ptrace(2) and /proc/self/mem
 *                  are not seen. Before mremap(2) moves or extends watched memory, as realloc(3)
 *                  does with large blocks, it is to be unwatched: its pages stay read-only where
 *                  nobody knows them, and writing to them ends the process. So may a limit,
 *                  RLIMIT_DATA or vm.overcommit_memory=2, of whose room what is protected takes
 *                  none: see writewatch(7). %WW_DISCARDS is refused.
 *   soft-dirty     by name, or with %WW_WRITERS_STOPPED. Each reset clears the bit of the whole
 *                  process, also for other tools that use it. Memory is given MADV_NOHUGEPAGE and
 *                  MADV_UNMERGEABLE, which stay, and its huge pages are divided. Shared mappings
 *                  and %WW_DISCARDS are refused. There is no -ESTALE: the program calls ww_watch()
 *                  for what it mapped, or moved by mremap(2), to the place of watched memory. Until
 *                  then pages of it that hold nothing are not reported; and all of what is watched
 *                  again counts as written. Some kernels lose writes to pages that they move or
 *                  divide: see writewatch(7).
 *   A stack on which a signal handler may have to run, or into which system calls write, is not for
 *   backends with a signal handler; nor are signals SIGSEGV and SIGBUS blocked while watched memory
 *   is written to. With uffd and a thread, no stack at all: setuid(2) and its like, which signal every
 *   thread and wait for it, may wait for ever.
 *
 * ERRORS
 *   Functions return 0 (ww_info and ww_probe included) or a negative errno value; each lists every
 *   value it can return. A null context, where not allowed explicitly, is -EINVAL. On an error no
 *   out-parameter was changed, except that a list may hold garbage up to its room, and everything
 *   that was to be reported is still there for the next call.
 *
 * THREADS
 *   Every function may be called from any thread; calls on one context wait for each other, calls
 *   on different contexts do not. Writers need no care at all. ww_free() must be the last call.
 *
 * SIGNALS
 *   No function is async-signal-safe, but ww_handle_fault(); none returns early because of a signal.
 *
 * FORK
 *   In a child (fork, or clone without CLONE_VM) the first call on an inherited context opens its
 *   own descriptors, and every page of every watched range counts as written there. The parent
 *   loses nothing, whichever of them calls first. vfork children must not call.
 *
 * UNITS
 *   Lengths are in bytes, room and results are counted in elements of the list. @addr and @len need
 *   no alignment: the range is rounded outward to whole pages (ww_discard excepted).
 *
 * All of this: since 0.1.
 */

#include <stddef.h>
#include <stdint.h>

#define WW_VERSION_MAJOR 0
#define WW_VERSION_MINOR 1
#define WW_VERSION_PATCH 0

#if defined(__GNUC__)
#define WW_PUBLIC __attribute__((visibility("default")))
#else
#define WW_PUBLIC
#endif

#ifdef __cplusplus
extern "C" {
#endif

/** struct ww - a context: a set of watched ranges and what the kernel needs to watch them. */
struct ww;

/**
 * struct ww_range - a run of pages that were written
 * @start: first byte, page aligned
 * @end:   the byte after the last one, page aligned
 */
struct ww_range {
	void *start;
	void *end;
};

/**
 * enum ww_get_flags - for ww_get(), ww_get_ranges() and ww_get_bitmap()
 * @WW_RESET:  report and reset in one step that is atomic for each page. If the room ends, only
 *             what was returned is reset.
 * @WW_ACROSS: the range may span many watched ranges and whatever lies between them; only watched
 *             pages are reported.
 */
enum ww_get_flags {
	WW_RESET = 1 << 0,
	WW_ACROSS = 1 << 1
};

/**
 * enum ww_watch_flags - for ww_watch()
 * @WW_DISCARDS: a page whose content the program drops (MADV_DONTNEED, and MADV_FREE once the
 *               kernel takes the page) counts as written. What a checkpointer needs. Costs page
 *               tables for the whole range, and a second fault on the first write to an empty page.
 *               Not for private mappings of files, which the kernel keeps protected when it drops a
 *               page, so that nothing would show it, nor for those of /dev/zero.
 */
enum ww_watch_flags {
	WW_DISCARDS = 1 << 0
};

/**
 * enum ww_guarantee - what a backend promises; bits of struct ww_info and struct ww_options
 * @WW_EXACT:              nothing is reported that was not written (writewatch(7): the exceptions)
 * @WW_ATOMIC_RESET:       %WW_RESET is atomic for each page while threads write
 * @WW_RANGED_RESET:       a reset touches the asked range only
 * @WW_KERNEL_WRITES:      writes by system calls into watched memory succeed and are reported; with
 *                         uffd not those of futex(2) (priority inheritance, robust, FUTEX_WAKE_OP),
 *                         ptrace(2) and /proc/PID/mem, which fail, as they do where there are none
 * @WW_NO_SIGNAL_HANDLER:  no signal handler is installed and no signal is raised
 * @WW_NO_THREAD:          no thread is started
 * @WW_SURVIVES_FORK:      an inherited context works in the child
 */
enum ww_guarantee {
	WW_EXACT = 1 << 0,
	WW_ATOMIC_RESET = 1 << 1,
	WW_RANGED_RESET = 1 << 2,
	WW_KERNEL_WRITES = 1 << 3,
	WW_NO_SIGNAL_HANDLER = 1 << 4,
	WW_NO_THREAD = 1 << 5,
	WW_SURVIVES_FORK = 1 << 6
};

/**
 * enum ww_option_flags - for struct ww_options
 * @WW_WRITERS_STOPPED: the caller stops every writer of the process, whichever context watches what
 *                      it writes to, around each call on any context that was made so, and around
 *                      ww_new() and ww_probe(); all but a get without %WW_RESET. Allows backends that
 *                      would lose writes otherwise; the others ignore it.
 * @WW_NO_HANDLER:      no signal handler is installed: the program has one of SIGSEGV and SIGBUS, and
 *                      calls ww_handle_fault() from it
 */
enum ww_option_flags {
	WW_WRITERS_STOPPED = 1 << 0,
	WW_NO_HANDLER = 1 << 1
};

/**
 * struct ww_options - for ww_new(); set unused members to zero
 * @size:     sizeof(struct ww_options). A smaller, older struct, which ends behind one of the
 *            members, is taken as if the others were zero; a larger, newer one is taken if what this
 *            version does not know is zero.
 * @backend:  NULL or "auto": the first usable one; or the name of the only one to try:
 *            "pagemap-scan", "uffd", "mprotect", "soft-dirty"; of the two ways to use userfaultfd,
 *            "uffd-thread" or "uffd-sigbus" alone. "off": none, ww_new() fails.
 *            The environment variable WRITEWATCH_BACKEND, with the same values, overrides this,
 *            except in set-user-ID programs; empty is as if it were not set.
 * @required: bits of enum ww_guarantee that the backend must have
 * @flags:    bits of enum ww_option_flags
 */
struct ww_options {
	size_t size;
	const char *backend;
	uint64_t required;
	uint64_t flags;
};

/**
 * struct ww_refusal - why a backend was not chosen
 * @backend: its name; "uffd-thread" and "uffd-sigbus" for the two ways to use userfaultfd
 * @reason:  a sentence for people, without full stop
 * @error:   the errno value behind it, positive
 *
 * The strings are constants and are never freed.
 */
struct ww_refusal {
	const char *backend;
	const char *reason;
	int error;
};

/** WW_MAX_REFUSALS - more backends than this are never tried. */
#define WW_MAX_REFUSALS 8

/**
 * struct ww_info - what ww_info() and ww_probe() tell
 * @size:          in: sizeof(struct ww_info); out: how much of it was filled
 * @backend:       name of the backend, a constant; NULL from ww_probe() when none is usable
 * @page_size:     bytes in a page: the unit of everything that is reported
 * @guarantees:    bits of enum ww_guarantee
 * @watched:       bytes that are watched now
 * @range_count:   how many pieces the context keeps them in; a matter of cost, not of meaning
 * @refusal_count: how many of @refusals are set
 * @refusals:      backends that come before @backend and were refused, in the order of preference
 * @widened:       pages that counted as written because a neighbour was: mprotect, when it had used
 *                 up its share of the mappings that a process may have (vm.max_map_count). While
 *                 this is 0, nothing was reported that was not written.
 */
struct ww_info {
	size_t size;
	const char *backend;
	size_t page_size;
	uint64_t guarantees;
	size_t watched;
	size_t range_count;
	size_t refusal_count;
	struct ww_refusal refusals[WW_MAX_REFUSALS];
	uint64_t widened;
};

/**
 * ww_new() - make a context
 * @out:     [out] the context; NULL when the call fails
 * @options: what is wanted; NULL for the defaults
 *
 * Tries the backends in their order, each by really watching a few scratch pages, and takes the
 * first that works and has what @options require. Uses up to five descriptors, close-on-exec and
 * never 0, 1 or 2, and about 200 KiB of memory; uffd with a thread the stack of that, and backends
 * that keep a state of their own, all but the first two, a byte for each page that is watched.
 *
 * A program that closes descriptors which it did not open loses nothing: the next call opens new
 * ones. But where a child holds copies of them, memory stays protected for as long as it does, and
 * with uffd writes wait; and where it opens the pagemap of another process, which gets the number
 * that ours had, pagemap-scan asks about that process.
 *
 * A signal handler that was there before is called for what is no fault of ours, with SIGSEGV and
 * SIGBUS not blocked, so that it may write to watched memory, and on the alternate stack if there
 * is one. One that the program installs later takes our place: ww_watch() and resets put ours on top
 * again, up to seven times, and pass on to it; the same one again does not count. If it calls ours in
 * turn, all signals have to be blocked, by its sa_mask: a handler that interrupted ours and wrote to
 * watched memory would wait for ever. A program that puts back what it found before its own must not
 * find ours.
 *
 * Ownership: the caller frees the context with ww_free().
 * Return: 0, or
 *   -EINVAL   @out is NULL; @options has a wrong size, unknown bits or an unknown backend name, or
 *             WRITEWATCH_BACKEND is none of the known names
 *   -ENOTSUP  no backend is usable here, or none has what is required; ww_probe() tells why
 *   -ENOMEM   no memory or address space
 *   -EMFILE, -ENFILE  no descriptors left in the process, in the system
 * Since: 0.1
 */
WW_PUBLIC int ww_new(struct ww **out, const struct ww_options *options);

/**
 * ww_free() - end all watching and free the context
 * @w: the context, or NULL
 *
 * The memory itself stays as it is. Must not run together with any other call on @w; nor, with a
 * backend that has a signal handler, with writes to what is still watched. The last one to go puts
 * back the handler that was there before; but where memory was watched and there are other threads,
 * ours stays and passes on all that comes, as the signal of a write may still be on its way to one of
 * them. In a child process, frees the child's copy only.
 * Since: 0.1
 */
WW_PUBLIC void ww_free(struct ww *w);

/**
 * ww_probe() - what would ww_new() choose here, and why?
 * @options: as for ww_new()
 * @info:    [in,out] as for ww_info(); backend is NULL when ww_new() would fail
 *
 * Leaves nothing behind but a page that the signal backends share for the life of the process.
 * Return: 0 also when no backend is usable, or
 *   -EINVAL   as ww_new(), or a wrong @info
 *   -ENOMEM   no memory or address space
 *   -ENOTSUP  the kernel cannot wipe a page in a child (before Linux 4.14)
 * Since: 0.1
 */
WW_PUBLIC int ww_probe(const struct ww_options *options, struct ww_info *info);

/**
 * ww_watch() - begin to watch a range, or repair it
 * @w:     the context
 * @addr:  start of the range
 * @len:   its length in bytes, not 0
 * @flags: bits of enum ww_watch_flags
 *
 * The range must be mapped without holes. Private anonymous memory is what this is made for; shared
 * anonymous memory, memfd, tmpfs and file mappings, private and shared, are watched too, through
 * this mapping only: a write through another mapping of the same file or by write(2) to the file
 * is not seen. When the call returns every page counts as not written.
 *
 * Pages that this context watches already keep their state. Where the program put another mapping
 * in the place of watched memory, with mmap(2) or mremap(2), the kernel has stopped watching: those
 * pages are watched again and count as written. %WW_DISCARDS can be added this way, not removed.
 *
 * Memory that mremap(2) moves away leaves a hole at its old address, and is not watched at its new
 * one. What was written before is to be asked for before the move: when ww_watch() begins to watch
 * it at the new address, it counts as not written like any other memory.
 *
 * When the program removes a mapping for good, it calls ww_unwatch() before another context, or
 * another userfaultfd of the program, gets memory at the same address: the kernel could not tell
 * the two watchers apart, and one would reset what the other has not seen.
 *
 * Return: 0, or, with nothing changed except repairs and %WW_DISCARDS already made,
 *   -EINVAL   @len is 0, the range wraps or reaches into the kernel's half, unknown flags
 *   -EFAULT   part of the range is not mapped
 *   -ENOTSUP  part of it is huge pages of hugetlbfs or another mapping that this backend cannot
 *             watch, the context's own memory, or, where writes are signals, the caller's stack
 *             and thread-local variables, or memory of any context;
 *             %WW_DISCARDS with a backend that cannot see discards, or for a private mapping of a
 *             file or of /dev/zero
 *   -EACCES   part of it is a shared mapping of a file opened for reading only
 *   -EBUSY    part of it is watched by another context with the same backend (others are not found
 *             out about: do not), or belongs to another userfaultfd
 *   -ENOMEM   no memory, page tables, address space or map count
 *   -EIO      the kernel answered what it never should
 *   -EMFILE, -ENFILE, -ENOTSUP  in a child, or after the program closed descriptors: could not begin
 *             anew
 * Since: 0.1
 */
WW_PUBLIC int ww_watch(struct ww *w, void *addr, size_t len, unsigned flags);

/**
 * ww_unwatch() - stop watching
 * @w:    the context
 * @addr: start of the range
 * @len:  its length in bytes, not 0
 *
 * Whatever is watched in the range is not watched any more, and its state is forgotten. Any part of
 * a watched range will do; memory that was unmapped meanwhile is fine. With mprotect, to be called
 * before anything that is not readable and writable is mapped there: a reset may protect what lies
 * between written pages like them.
 *
 * Return: 0, or
 *   -EINVAL   @len is 0, or the range wraps or reaches into the kernel's half
 *   -ENOENT   nothing in the range is watched
 *   -ENOMEM   no memory, or no map count left, to divide a watched range or its mapping: from
 *             there on everything is still watched
 *   -EMFILE, -ENFILE, -ENOTSUP  in a child, or after the program closed descriptors: could not begin
 *             anew
 * Since: 0.1
 */
WW_PUBLIC int ww_unwatch(struct ww *w, void *addr, size_t len);

/**
 * ww_get() - the addresses of the pages that were written
 * @w:     the context
 * @addr:  start of the range
 * @len:   its length in bytes, not 0
 * @flags: bits of enum ww_get_flags
 * @pages: [out] page addresses, ascending; NULL to count only, which needs no %WW_RESET
 * @count: [in,out] in: room in @pages, not 0, ignored when counting; out: how many were written
 *
 * A result that fills the room may not be all of it: ask again. With %WW_RESET ask for the same
 * range, without it for the range behind the last page returned, if one is left (with %WW_ACROSS,
 * -ENOENT says that nothing watched is left). Whoever asks for a whole range with room for all its
 * pages never needs to.
 *
 * The range must be watched without gaps unless %WW_ACROSS is given. Where the program removed a
 * mapping and put none in its place there is nothing to report, and no error.
 *
 * Return: 0, or
 *   -EINVAL   @count is NULL, *@count is 0 with @pages given, @len is 0, the range wraps or reaches
 *             into the kernel's half of the address space, unknown flags, %WW_RESET without @pages
 *   -ENOENT   part of the range is not watched (with %WW_ACROSS: none of it is)
 *   -ESTALE   part of it was remapped and is not being watched: repair it with ww_watch(). Until
 *             then every query of it fails. What the failed call may have reset counts as written.
 *             Once after the program closed descriptors, too: the next call begins anew.
 *   -ENOMEM   the kernel had no memory for page tables: what may have been reset counts as written
 *   -EIO      the kernel answered what it never should; as with -ENOMEM nothing is lost
 *   -EMFILE, -ENFILE, -ENOTSUP  in a child, or after the program closed descriptors: could not begin
 *             anew, nothing was reset
 * Since: 0.1
 */
WW_PUBLIC int ww_get(struct ww *w, void *addr, size_t len, unsigned flags, void **pages,
		     size_t *count);

/**
 * ww_get_ranges() - the same as runs of pages
 * @ranges: [out] runs, ascending, not touching each other; NULL to count them only
 * @count:  [in,out] in: room in @ranges, in runs; out: how many runs there are
 *
 * Otherwise as ww_get(). A run that filled the last place may go on behind its end; the next call
 * returns the rest. Since: 0.1
 */
WW_PUBLIC int ww_get_ranges(struct ww *w, void *addr, size_t len, unsigned flags,
			    struct ww_range *ranges, size_t *count);

/**
 * ww_get_bitmap() - the same as a bitmap
 * @bits:  [out] bit n % 64 of word n / 64 is the n-th page of the range, page 0 being the one that
 *         holds @addr. The words that the range needs are all written, unused bits are 0. NULL to
 *         count pages only.
 * @count: [in,out] in: room in @bits, in words of 64 bits; out: how many pages were written
 *
 * Otherwise as ww_get(), and: -EINVAL also if there are fewer words than the range needs, one for
 * each 64 pages or part of them; nothing is reset then. Since: 0.1
 */
WW_PUBLIC int ww_get_bitmap(struct ww *w, void *addr, size_t len, unsigned flags, uint64_t *bits,
			    size_t *count);

/**
 * ww_reset() - forget which pages were written
 * @w:    the context
 * @addr: start of the range
 * @len:  its length in bytes, not 0
 *
 * A write that happens after the call began may be forgotten with the rest: whoever needs to know
 * about it uses ww_get() with %WW_RESET. Return: as ww_get(); on an error every page of the range
 * may count as written. Since: 0.1
 */
WW_PUBLIC int ww_reset(struct ww *w, void *addr, size_t len);

/**
 * ww_mark() - report these pages as written
 * @w:    the context
 * @addr: start of the range, watched without gaps
 * @len:  its length in bytes, not 0
 *
 * For writes that no page table shows: by devices and io_uring into buffers that were pinned before
 * the last reset, or through another mapping. Content does not change. Empty writable pages in the
 * range may be allocated.
 *
 * Return: 0, or -EINVAL, -ENOENT, -ESTALE, -ENOMEM, -EIO, -EMFILE, -ENFILE, -ENOTSUP as ww_get(). On
 * an error more may have been marked than asked, or part of it.
 * Since: 0.1
 */
WW_PUBLIC int ww_mark(struct ww *w, void *addr, size_t len);

/**
 * ww_discard() - drop the content and the state of pages
 * @w:    the context
 * @addr: start of the range, watched without gaps, page aligned
 * @len:  its length in bytes, a multiple of the page size, not 0
 *
 * The pages read as zero afterwards and count as not written, also under %WW_DISCARDS (the rule of
 * Windows for decommitted memory). A write that races with the call is reported later or had its
 * content dropped; if the kernel makes a huge page for it, all pages of that are reported. If the
 * process forks meanwhile, all of the pages may be reported, and so they may where the process can
 * lock no page in memory and is being swapped out. Private anonymous memory: MADV_DONTNEED. Shared
 * mappings: MADV_REMOVE, which drops the content of the memfd or file for every mapping of it.
 * Private mappings of files are refused, as they would not read as zero, and so are those of
 * /dev/zero, into which the kernel puts no pages.
 *
 * Return: 0, or
 *   -EINVAL   @len is 0, @addr or @len is not page aligned, the range wraps or reaches into the
 *             kernel's half
 *   -ENOENT   part of the range is not watched
 *   -ENOTSUP  a private mapping of a file or of /dev/zero, or the memory cannot drop its content
 *             (sealed, read-only, file system; shared, with mprotect before Linux 6.7); as the next
 *             two
 *   -EMFILE, -ENFILE  in a child, or after the program closed descriptors: could not begin anew
 *   -ESTALE   part of it was remapped: repair it with ww_watch(). As the next two
 *   -ENOMEM, -EIO  the content may be dropped, the pages may count as written
 * Since: 0.1
 */
WW_PUBLIC int ww_discard(struct ww *w, void *addr, size_t len);

/**
 * ww_prepare_write() - before a system call writes into watched memory
 * @w:    the context
 * @addr: start of what the call may write; need not be watched, or only in part
 * @len:  its length in bytes, not 0
 *
 * Only for backends without %WW_KERNEL_WRITES, where read(2) and others fail with EFAULT on pages
 * that nobody wrote since the last reset; with the others, does nothing. All pages of the range may
 * count as written afterwards, whatever the system call then writes. A reset between this call and
 * the system call has to be followed by this call again.
 *
 * Return: 0, or -EINVAL, -ESTALE, -ENOMEM, -EIO, -EMFILE, -ENFILE, -ENOTSUP as ww_get(). Since: 0.1
 */
WW_PUBLIC int ww_prepare_write(struct ww *w, void *addr, size_t len);

/**
 * ww_protect() - mprotect(2) for watched memory
 * @w:    the context
 * @addr: start of the range, page aligned; need not be watched, or only in part
 * @len:  its length in bytes, not 0
 * @prot: PROT_READ and so on, as for mprotect(2)
 *
 * A program that may run with the mprotect backend changes the protection of watched memory by this
 * call only: the backend cannot tell the program's protection from its own. Any context will do, as
 * the call minds what all contexts of the process watch. No page's state changes.
 *
 * Return: 0, or, with the front of the range perhaps changed,
 *   -EINVAL   @addr is not page aligned, @len is 0, the range wraps or reaches into the kernel's
 *             half, or mprotect(2) says so
 *   -ENOMEM, -EACCES, -EPERM  as mprotect(2)
 *   -EMFILE, -ENFILE, -ENOTSUP  in a child, or after the program closed descriptors: could not begin
 *             anew
 * Since: 0.1
 */
WW_PUBLIC int ww_protect(struct ww *w, void *addr, size_t len, int prot);

/**
 * ww_handle_fault() - was this write fault ours?
 * @addr: the address of the fault (si_addr)
 *
 * For signal handlers of programs that use %WW_NO_HANDLER, or whose handler was installed after the
 * context was made and does not pass on what it does not know. To be called for SIGSEGV with
 * si_code SEGV_ACCERR (mprotect) and for SIGBUS with si_code BUS_ADRERR (uffd), and where the
 * processor tells, only if it was a write: a fetched instruction would fault for ever. Which of the
 * two comes, the kernel decides: the handler is there for both, with SA_SIGINFO, and not on a stack
 * that is watched; with SA_NODEFER, and neither signal in sa_mask, it may write to watched memory
 * itself. Speaks for all contexts of the process.
 *
 * Async-signal-safe; keeps errno. Return: 1 if the fault was ours: return from the handler, and the
 * write succeeds. Also 1, once for each thread, after watching of anything has ended: the fault may
 * have been on its way then; it comes again if it was not ours. 0 if it is the program's own affair.
 * Since: 0.1
 */
WW_PUBLIC int ww_handle_fault(void *addr);

/**
 * ww_info() - what this context is made of
 * @w:    the context
 * @info: [in,out] @info->size is set by the caller: at least up to and including @refusal_count of
 *        this version. A larger, newer struct is filled as far as this version knows it; the rest
 *        is zeroed and @size lowered.
 *
 * Return: 0, or -EINVAL for a null pointer or a size that is too small. Since: 0.1
 */
#if defined(__cplusplus) && defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#endif
WW_PUBLIC int ww_info(struct ww *w, struct ww_info *info);
#if defined(__cplusplus) && defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

#ifdef __cplusplus
}
#endif

#endif
