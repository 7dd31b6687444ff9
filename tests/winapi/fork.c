/* SPDX-License-Identifier: MIT */
#include "helpers.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

#include "checkers.h"

WINAPI_SUITE(winapi_fork);

/* What the child found, as exit status: Criterion's assertions are not for a second process. */
static int child_checks(BYTE *base)
{
	PVOID addrs[16];
	ULONG_PTR count = 16;
	DWORD granularity;
	BYTE *more;

	if (GetWriteWatch(WRITE_WATCH_FLAG_RESET, base, 16 * PAGE, addrs, &count, &granularity) !=
	    0)
		return 10;
	if (count != 16)
		return 11;
	WRITE(base, 3);
	count = 16;
	if (GetWriteWatch(0, base, 16 * PAGE, addrs, &count, &granularity) != 0)
		return 12;
	if (count != 1 || addrs[0] != base + 3 * PAGE)
		return 13;
	more = VirtualAlloc(NULL, 4 * PAGE, MEM_RESERVE | MEM_COMMIT | MEM_WRITE_WATCH,
			    PAGE_READWRITE);
	if (more == NULL)
		return 14;
	if (ResetWriteWatch(more, 4 * PAGE) != 0)
		return 15;
	if (!VirtualFree(more, 0, MEM_RELEASE) || !VirtualFree(base, 0, MEM_DECOMMIT))
		return 16;
	return VirtualFree(base, 0, MEM_RELEASE) ? 0 : 17;
}

static int status_of(pid_t child)
{
	int status = -1;

	cr_assert(eq(int, waitpid(child, &status, 0), child));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void fork_with(pid_t (*make)(void))
{
	BYTE *base = alloc_watched(16);
	pid_t child;

	WRITE(base, 1, 5);
	child = make();
	if (child == 0)
		_exit(child_checks(base));
	cr_assert(eq(int, status_of(child), 0));
	EXPECT_WRITTEN(base, 16, WRITE_WATCH_FLAG_RESET, "1 5");
	WRITE(base, 6);
	EXPECT_WRITTEN(base, 16, WRITE_WATCH_FLAG_RESET, "6");
	release(base);
}

Test(winapi_fork, a_child_reports_everything_and_the_parent_loses_nothing)
{
	fork_with(fork);
}

Test(winapi_fork, a_raw_clone_does_the_same)
{
	fork_with(raw_clone);
}

struct busy {
	atomic_bool began, stop;
	BYTE *base;
};

/* Holds the lock most of the time. */
static void *query(void *argument)
{
	struct busy *busy = argument;
	MEMORY_BASIC_INFORMATION info;

	atomic_store(&busy->began, true);
	while (!atomic_load(&busy->stop))
		VirtualQuery(busy->base, &info, sizeof(info));
	return NULL;
}

/* Changes the table of allocations all the time. */
static void *allocate(void *argument)
{
	struct busy *busy = argument;
	BYTE *base[8] = {NULL};

	atomic_store(&busy->began, true);
	for (size_t i = 0; !atomic_load(&busy->stop); i = (i + 1) % 8) {
		if (base[i] != NULL)
			VirtualFree(base[i], 0, MEM_RELEASE);
		base[i] = VirtualAlloc(NULL, PAGE, MEM_RESERVE | MEM_COMMIT | MEM_WRITE_WATCH,
				       PAGE_READWRITE);
	}
	for (size_t i = 0; i < 8; i++)
		if (base[i] != NULL)
			VirtualFree(base[i], 0, MEM_RELEASE);
	return NULL;
}

static void fork_under(void *(*body)(void *), pid_t (*make)(void), int times)
{
	const SIZE_T large = (SIZE_T)1 << 30;
	struct busy busy = {.base = VirtualAlloc(NULL, large, MEM_RESERVE, PAGE_NOACCESS)};
	BYTE *base = alloc_watched(16);
	pthread_t thread;

	cr_assert(eq(int, pthread_create(&thread, NULL, body, &busy), 0));
	/* While a thread begins, it holds locks of the C library's and of sanitizers. */
	while (!atomic_load(&busy.began))
		usleep(100);
	for (int i = 0; i < times; i++) {
		pid_t child = make();

		if (child == 0) {
			alarm(20);
			_exit(child_checks(base));
		}
		cr_assert(eq(int, status_of(child), 0), "fork %d", i);
	}
	atomic_store(&busy.stop, true);
	pthread_join(thread, NULL);
	EXPECT_WRITTEN(base, 16, 0, "");
	release(base);
	release(busy.base);
}

Test(winapi_fork, a_lock_held_by_another_thread_is_free_in_the_child, .timeout = 60)
{
	fork_under(query, raw_clone, 20);
}

Test(winapi_fork, the_table_is_whole_while_another_thread_changes_it, .timeout = 60)
{
	/* Threads that allocate hold the sanitizers' locks, and the child starts a thread of its own. */
	if ((address_sanitizer || thread_sanitizer) && !(backend()->guarantees & WW_NO_THREAD))
		cr_skip_test("the sanitizers' locks are not made for such a fork");
	fork_under(allocate, fork, 100);
}
