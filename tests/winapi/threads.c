/* SPDX-License-Identifier: MIT */
#include "helpers.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "support/random.h"

WINAPI_SUITE(winapi_threads);

enum { THREADS = 6, ROUNDS = 300 };

#define FAIL(what) ((void *)(uintptr_t)(what))

static pthread_barrier_t barrier;

static void run(void *(*body)(void *), void *argument)
{
	pthread_t thread[THREADS];

	pthread_barrier_init(&barrier, NULL, THREADS);
	for (size_t i = 0; i < THREADS; i++)
		cr_assert(eq(int, pthread_create(&thread[i], NULL, body, argument), 0));
	for (size_t i = 0; i < THREADS; i++) {
		void *failed;

		pthread_join(thread[i], &failed);
		cr_assert(eq(ptr, failed, NULL), "%s", (char *)failed);
	}
	pthread_barrier_destroy(&barrier);
}

static void *own_error(void *next)
{
	const DWORD mine = 1000 + (DWORD)atomic_fetch_add((atomic_uint *)next, 1);

	if (GetLastError() != 0)
		return FAIL("a thread does not begin with 0");
	SetLastError(mine);
	pthread_barrier_wait(&barrier);
	return GetLastError() == mine ? NULL : FAIL("the last error is another thread's");
}

Test(winapi_threads, each_has_its_last_error)
{
	atomic_uint next = 0;

	SetLastError(77);
	run(own_error, &next);
	cr_assert(eq(u32, GetLastError(), 77));
}

/* 0, or the one page that was written, or ~0 when the call failed. */
static size_t one_written(BYTE *base, size_t pages)
{
	PVOID addrs[4];
	ULONG_PTR count = 4;
	DWORD granularity;

	if (GetWriteWatch(WRITE_WATCH_FLAG_RESET, base, pages * PAGE, addrs, &count, &granularity))
		return SIZE_MAX;
	if (count != 1)
		return SIZE_MAX - 1;
	return (size_t)((BYTE *)addrs[0] - base) / PAGE;
}

static void *live(void *unused)
{
	const DWORD type = MEM_RESERVE | MEM_WRITE_WATCH;
	MEMORY_BASIC_INFORMATION info;
	DWORD old;

	(void)unused;
	pthread_barrier_wait(&barrier);
	for (size_t i = 0; i < (in_a_hurry() ? ROUNDS / 5 : ROUNDS); i++) {
		const size_t page = i % 16;
		BYTE *base = VirtualAlloc(NULL, 16 * PAGE, type, PAGE_READWRITE);

		if (base == NULL || !VirtualAlloc(base, 16 * PAGE, MEM_COMMIT, PAGE_READWRITE))
			return FAIL("VirtualAlloc");
		WRITE(base, page);
		if (one_written(base, 16) != page)
			return FAIL("GetWriteWatch");
		WRITE(base, page, (page + 1) % 16);
		if (ResetWriteWatch(base + page * PAGE, PAGE) != 0)
			return FAIL("ResetWriteWatch");
		if (one_written(base, 16) != (page + 1) % 16)
			return FAIL("GetWriteWatch after ResetWriteWatch");
		if (!VirtualProtect(base + PAGE, PAGE, PAGE_READONLY, &old))
			return FAIL("VirtualProtect");
		if (!VirtualQuery(base + PAGE, &info, sizeof(info)) || info.RegionSize != PAGE)
			return FAIL("VirtualQuery");
		if (!VirtualFree(base, 8 * PAGE, MEM_DECOMMIT) ||
		    !VirtualFree(base, 0, MEM_RELEASE))
			return FAIL("VirtualFree");
	}
	return NULL;
}

Test(winapi_threads, do_everything_at_once, .timeout = 60)
{
	/* Each writes while others reset. */
	skip_if(NOT_ATOMIC);
	run(live, NULL);
}

struct shared {
	BYTE *base;
	atomic_uint writers;
	atomic_uint next;
	atomic_ulong reported;
};

/* Half of the threads write, the others collect until nobody writes any more. */
static void *write_or_collect(void *argument)
{
	struct shared *s = argument;
	const unsigned n = atomic_fetch_add(&s->next, 1);
	PVOID addrs[16];
	DWORD granularity;

	pthread_barrier_wait(&barrier);
	if (n % 2 == 0) {
		for (unsigned long i = 1; i <= 20000; i++) {
			const size_t page = i * 5 % 16;
			volatile unsigned long *p =
				(volatile unsigned long *)(s->base + page * PAGE);

			p[n] = i;
		}
		atomic_fetch_sub(&s->writers, 1);
		return NULL;
	}
	for (bool last = false; !last;) {
		ULONG_PTR count = 16;

		last = atomic_load(&s->writers) == 0;
		if (GetWriteWatch(WRITE_WATCH_FLAG_RESET, s->base, 16 * PAGE, addrs, &count,
				  &granularity) != 0)
			return FAIL("GetWriteWatch");
		atomic_fetch_add(&s->reported, count);
		sched_yield();
	}
	return NULL;
}

Test(winapi_threads, write_while_others_collect, .timeout = 60)
{
	struct shared s = {.writers = THREADS / 2};

	skip_if(NOT_ATOMIC);
	s.base = alloc_watched(16);
	run(write_or_collect, &s);
	cr_assert(ge(u64, atomic_load(&s.reported), 16));
	EXPECT_WRITTEN(s.base, 16, 0, "");
	release(s.base);
}
