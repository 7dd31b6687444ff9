/* SPDX-License-Identifier: MIT */
#ifndef WW_SYS_H
#define WW_SYS_H

/*
 * Every system call that a context makes, and some of those for other processes, which have
 * sys_process.h besides. All return a negative errno value on failure, none is a
 * cancellation point, and descriptors are close-on-exec and above 2: a host that closed its
 * standard descriptors must not print into ours.
 */

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Which file a descriptor stood for when it was opened; numbers can be reused behind our back. */
struct sys_file {
	int fd;
	uint64_t dev;
	uint64_t ino;
};

#define SYS_NO_FILE ((struct sys_file){.fd = -1})

int sys_open(struct sys_file *file, const char *path, int flags);
int sys_userfaultfd(struct sys_file *file, int flags);
int sys_adopt(struct sys_file *file, int fd);
/* A descriptor of a process; and another of the same file. */
int sys_pidfd_open(struct sys_file *file, pid_t pid);
int sys_dup(struct sys_file *file, int fd);
void sys_close(struct sys_file *file);
/* Whether the number still stands for the file that was opened. */
bool sys_is_open(const struct sys_file *file);
/* Which file a path leads to, of which nothing is opened; @ino is 0 if that cannot be told. */
void sys_identify(struct sys_file *file, const char *path);

long sys_ioctl(int fd, unsigned long request, void *arg);
ssize_t sys_pread(int fd, void *buffer, size_t size, off_t offset);

ssize_t sys_read(int fd, void *buffer, size_t size);
/* Never sends SIGPIPE. */
ssize_t sys_write(int fd, const void *buffer, size_t size);
int sys_pipe(struct sys_file *readable, struct sys_file *writable);
/* Waits until one of two descriptors is readable, or for so long; below 0: there is none. */
int sys_poll(int a, int b, int timeout_ms);
/* Lets others run that wait for this processor; a filter of system calls may deny it. */
void sys_yield(void);
void sys_sleep_ms(int ms);

ssize_t sys_pwrite(int fd, const void *buffer, size_t size, off_t offset);

int sys_mmap(void **out, size_t len, int prot, int flags);
/* Private memory at this very place: -EEXIST if there is something already. */
int sys_mmap_at(uintptr_t addr, size_t len, int prot, int flags);
/* -ENOMEM where it would divide a mapping, and the process may have no more. */
int sys_munmap(void *addr, size_t len);
int sys_mlock(uintptr_t addr, size_t len);
int sys_madvise(uintptr_t addr, size_t len, int advice);
int sys_mprotect(uintptr_t addr, size_t len, int prot);
/* Moves the mapping to any other place. */
int sys_mremap(uintptr_t addr, size_t len, void **out);
/* Maps what is there at another place as well: shared memory only. */
int sys_mremap_copy(uintptr_t addr, size_t len, void **out);

int sys_sigaction(int number, const struct sigaction *action, struct sigaction *old);
/*
 * Blocks every signal, also those by which the C library cancels threads, which would leave our
 * locks held, and puts things back as they were. Neither can fail.
 */
void sys_block_signals(sigset_t *old);
void sys_restore_signals(const sigset_t *old);
/* A thread that never runs a signal handler, on this stack if that is large enough for what the
 * program wants each thread to have; run() begins by sys_thread_begin(). */
int sys_thread_start(pthread_t *thread, void *stack, size_t size, void *(*run)(void *),
		     void *arg);
void sys_thread_begin(void);
void sys_thread_join(pthread_t thread);

/* Sleeps while *word is value; either may return without cause. */
void sys_futex_wait(uint32_t *word, uint32_t value);
void sys_futex_wake(uint32_t *word);

/* Whether anything is mapped there; whether it can be read, asked in a way that no filter denies. */
bool sys_is_mapped(uintptr_t page);
bool sys_can_read(uintptr_t addr);
/* Whether all of it is mapped, for all that can be known. */
bool sys_is_whole(uintptr_t addr, size_t len);
/* Whether it is part of a huge page of hugetlbfs. */
bool sys_is_hugetlb(uintptr_t page);

/* Writes to it; whether that was a fault, or may have been. */
bool sys_write_faults(volatile char *byte);
/* Whether this thread is known to be the only one of the process. */
bool sys_is_alone(void);

int sys_kernel_release(char *release, size_t size);
size_t sys_page_size(void);

#endif
