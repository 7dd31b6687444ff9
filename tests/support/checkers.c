/* SPDX-License-Identifier: MIT */
#include "checkers.h"

#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__has_feature)
#define HAS(feature) __has_feature(feature)
#else
#define HAS(feature) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || HAS(address_sanitizer)
const bool address_sanitizer = true;
#else
const bool address_sanitizer = false;
#endif

#if defined(__SANITIZE_THREAD__) || HAS(thread_sanitizer)
const bool thread_sanitizer = true;
#else
const bool thread_sanitizer = false;
#endif

pid_t raw_clone(void)
{
	static bool said;

	if (!thread_sanitizer)
		return (pid_t)syscall(SYS_clone, (unsigned long)SIGCHLD, NULL, NULL, NULL, NULL);
	if (!said)
		fprintf(stderr, "# left out: clone(2): ThreadSanitizer knows children of fork(3) alone\n");
	said = true;
	return fork();
}

void unblock_faults(void)
{
	sigset_t faults;

	if (!thread_sanitizer)
		return;
	sigemptyset(&faults);
	sigaddset(&faults, SIGSEGV);
	sigaddset(&faults, SIGBUS);
	pthread_sigmask(SIG_UNBLOCK, &faults, NULL);
}
