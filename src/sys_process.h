/* SPDX-License-Identifier: MIT */
#ifndef WW_SYS_PROCESS_H
#define WW_SYS_PROCESS_H

/* System calls that reach into another process; conventions as in sys.h. */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "sys.h"

long sys_ptrace(long request, pid_t tid, uintptr_t addr, uintptr_t data);
/*
 * 0 if the thread has not stopped, else 1 and *status as of waitpid(2); -ESRCH if it has ended,
 * which is left to be found by its parent, which may be this process.
 */
int sys_wait_stop(pid_t tid, int *status);
/* The descriptor of a thread that need not be the first of its process (Linux 6.9). */
int sys_pidfd_of_thread(struct sys_file *file, pid_t tid);
int sys_pidfd_getfd(struct sys_file *file, int pidfd, int fd);
/* 0 if two threads share their descriptors. */
long sys_compare_files(pid_t a, pid_t b);
/* All of it, or an error. */
int sys_read_memory(pid_t pid, uint64_t addr, void *buffer, size_t size);
int sys_write_memory(pid_t pid, uint64_t addr, const void *buffer, size_t size);

struct msghdr;
ssize_t sys_sendmsg(int socket, const struct msghdr *message, int flags);
ssize_t sys_recvmsg(int socket, struct msghdr *message, int flags);

uint64_t sys_now_ns(void);
void sys_sleep_ns(long ns);

#endif
