/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench.h"
#include "hand.h"

/*
 * One bit for each page. Bit and protection change together under a lock: between the two, a reset
 * in another thread would forget the write. The holder takes no signal, whose handler might write
 * to the range. A get that resets nothing needs no lock.
 */
static struct {
	char *base;
	size_t len;
	size_t page;
	size_t words;
	uint64_t *bits;
	atomic_flag lock;
	struct sigaction before;
} m = {.lock = ATOMIC_FLAG_INIT};

static void lock(void)
{
	while (atomic_flag_test_and_set_explicit(&m.lock, memory_order_acquire))
		;
}

static void unlock(void)
{
	atomic_flag_clear_explicit(&m.lock, memory_order_release);
}

bool hand_mprotect_fault(uintptr_t addr)
{
	size_t offset = addr - (uintptr_t)m.base, n = offset / m.page;
	bool ours;

	if (offset >= m.len)
		return false;
	lock();
	__atomic_store_n(&m.bits[n / 64], m.bits[n / 64] | UINT64_C(1) << n % 64,
			 __ATOMIC_RELAXED);
	ours = !mprotect(m.base + n * m.page, m.page, PROT_READ | PROT_WRITE);
	unlock();
	return ours;
}

/* A fault elsewhere is left to the default action: the access is repeated and ends the program. */
static void on_sigsegv(int sig, siginfo_t *info, void *context)
{
	int saved = errno;

	(void)context;
	if (!hand_mprotect_fault((uintptr_t)info->si_addr))
		signal(sig, SIG_DFL);
	errno = saved;
}

static const char *open_nothing(void)
{
	m.page = (size_t)sysconf(_SC_PAGESIZE);
	return NULL;
}

static void close_nothing(void)
{
}

static void watch(char *base, size_t len)
{
	m.words = (len / m.page + 63) / 64;
	m.bits = calloc(m.words, sizeof(*m.bits));
	if (!m.bits)
		die("no memory");
	m.base = base;
	m.len = len;
	if (mprotect(base, len, PROT_READ))
		die("mprotect: %s", strerror(errno));
}

static void unwatch(void)
{
	if (mprotect(m.base, m.len, PROT_READ | PROT_WRITE))
		die("mprotect: %s", strerror(errno));
	m.len = 0;
	free(m.bits);
}

static void enter(void)
{
	struct sigaction action = {.sa_sigaction = on_sigsegv, .sa_flags = SA_SIGINFO};

	sigfillset(&action.sa_mask);
	sigaction(SIGSEGV, &action, &m.before);
}

static void leave(void)
{
	sigaction(SIGSEGV, &m.before, NULL);
}

static size_t list(bool reset, void **pages)
{
	size_t count = 0;

	for (size_t i = 0; i < m.words; i++) {
		uint64_t word = __atomic_load_n(&m.bits[i], __ATOMIC_RELAXED);

		if (!word)
			continue;
		for (; word; word &= word - 1) {
			size_t n = i * 64 + (size_t)__builtin_ctzll(word);

			pages[count++] = m.base + n * m.page;
		}
		if (reset)
			m.bits[i] = 0;
	}
	return count;
}

/* One call from the first written page to the last: it passes over what is protected already. */
static void protect(void **pages, size_t count)
{
	char *first = pages[0], *end = (char *)pages[count - 1] + m.page;

	if (mprotect(first, (size_t)(end - first), PROT_READ))
		die("mprotect: %s", strerror(errno));
}

static size_t get(bool reset, void **pages)
{
	sigset_t all, before;
	size_t count;

	if (!reset)
		return list(false, pages);
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	lock();
	count = list(true, pages);
	if (count)
		protect(pages, count);
	unlock();
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return count;
}

const struct hand hand_mprotect = {
	.open = open_nothing, .close = close_nothing, .watch = watch, .unwatch = unwatch,
	.enter = enter, .leave = leave, .get = get,
};
