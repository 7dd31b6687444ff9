/* SPDX-License-Identifier: MIT */
#include "win.h"

#include <pthread.h>
#include <sys/mman.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t static_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t *lock = &static_lock;
static struct ww *context;
static _Thread_local uint32_t last_error;

/*
 * A page that the kernel wipes in every child: all zero is an unlocked mutex, so a lock that
 * another thread held while the child was made is free there.
 */
static void make_lock(void)
{
	const size_t size = win_page_size();
	void *page;

	if (sys_mmap(&page, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS) < 0)
		return;
	if (sys_madvise((uintptr_t)page, size, MADV_WIPEONFORK) < 0)
		sys_munmap(page, size);
	else
		lock = page;
}

void win_lock(void)
{
	pthread_once(&once, make_lock);
	pthread_mutex_lock(lock);
}

void win_unlock(void)
{
	pthread_mutex_unlock(lock);
}

struct ww *win_context(void)
{
	/* Tried anew each time: what was missing may have been a descriptor. */
	if (context == NULL && ww_new(&context, NULL) < 0)
		context = NULL;
	return context;
}

uint32_t ww_win_get_last_error(void)
{
	return last_error;
}

void ww_win_set_last_error(uint32_t error)
{
	last_error = error;
}
