/* SPDX-License-Identifier: MIT */
#include <sigsegv.h>

#include "bench.h"
#include "hand.h"

/*
 * The same as hand_mprotect.c, but libsigsegv owns the signal and finds the range: as it is meant
 * to be used, with a dispatcher.
 */
static sigsegv_dispatcher dispatcher;
static void *ticket;
static struct sigaction before;

static int on_area(void *addr, void *arg)
{
	(void)arg;
	return hand_mprotect_fault((uintptr_t)addr);
}

static int on_fault(void *addr, int serious)
{
	(void)serious;
	return sigsegv_dispatch(&dispatcher, addr);
}

static const char *open_dispatcher(void)
{
	sigsegv_init(&dispatcher);
	return hand_mprotect.open();
}

static void close_dispatcher(void)
{
	hand_mprotect.close();
}

static void watch(char *base, size_t len)
{
	hand_mprotect.watch(base, len);
	ticket = sigsegv_register(&dispatcher, base, len, on_area, NULL);
}

static void unwatch(void)
{
	sigsegv_unregister(&dispatcher, ticket);
	hand_mprotect.unwatch();
}

static void enter(void)
{
	sigaction(SIGSEGV, NULL, &before);
	if (sigsegv_install_handler(on_fault))
		die("libsigsegv does not work here");
}

static void leave(void)
{
	sigaction(SIGSEGV, &before, NULL);
}

static size_t get(bool reset, void **pages)
{
	return hand_mprotect.get(reset, pages);
}

const struct hand hand_sigsegv = {
	.open = open_dispatcher, .close = close_dispatcher, .watch = watch, .unwatch = unwatch,
	.enter = enter, .leave = leave, .get = get,
};
