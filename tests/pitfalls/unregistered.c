/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "backends.h"
#include "context.h"
#include "faulting.h"
#include "keeper.h"
#include "pages.h"
#include "sys.h"
#include "uapi/userfaultfd.h"

/* Faults that are dealt with when their memory is not registered any more, or only just is. */

TestSuite(unregistered, .init = backend_begin, .timeout = 60);

/* Whether pages are not found where faults came from, as memory ceased to be watched just before. */
static atomic_bool not_found;
/* Protection that was left behind, and that somebody meets as soon as it takes effect. */
static atomic_bool left_behind;
/* The kernel registers one mapping and has no memory for the next. */
static atomic_bool registers_half;

long __real_sys_ioctl(int fd, unsigned long request, void *arg);
long __wrap_sys_ioctl(int fd, unsigned long request, void *arg);

static bool is_for_a_fault(const struct wwk_uffdio_writeprotect *wp)
{
	return memory && wp->range.start - (uintptr_t)memory < ALL && wp->range.len == PAGE &&
	       wp->mode == 0;
}

static void write_protected(int fd, const struct wwk_uffdio_range *range)
{
	struct wwk_uffdio_writeprotect wp = {
		.range = *range,
		.mode = WWK_UFFDIO_WRITEPROTECT_MODE_WP,
	};

	left_behind = false;
	if (__real_sys_ioctl(fd, WWK_UFFDIO_WRITEPROTECT, &wp) != 0)
		_exit(5);
	page_write(memory + 7 * PAGE, 1);
}

static long register_half(int fd, struct wwk_uffdio_register *all)
{
	struct wwk_uffdio_register half = *all;

	half.range.len = all->range.len / 2;
	__real_sys_ioctl(fd, WWK_UFFDIO_REGISTER, &half);
	return -ENOMEM;
}

static bool is_for_all(const struct wwk_uffdio_register *reg)
{
	return reg->range.start == (uintptr_t)memory && reg->range.len == ALL;
}

long __wrap_sys_ioctl(int fd, unsigned long request, void *arg)
{
	long r;

	if (request == WWK_UFFDIO_REGISTER && registers_half && is_for_all(arg))
		return register_half(fd, arg);
	r = __real_sys_ioctl(fd, request, arg);
	if (request == WWK_UFFDIO_WRITEPROTECT && not_found && is_for_a_fault(arg))
		return -ENOENT;
	if (request == WWK_UFFDIO_REGISTER && r == 0 && left_behind)
		write_protected(fd, arg);
	return r;
}

static void write_what_is_not_found(void)
{
	void *pages[PAGES];
	size_t count = PAGES;

	watch_memory(0);
	not_found = true;
	for (size_t i = 0; i < PAGES; i++)
		page_write(memory + i * PAGE, 1);
	if (ww_reset(w, memory, ALL) != 0)
		_exit(2);
	for (size_t i = 0; i < 5; i++)
		page_write(memory + i * PAGE, 1);
	not_found = false;
	if (ww_get(w, memory, ALL, WW_RESET, pages, &count) != 0)
		_exit(3);
	if (count != 5 || pages[0] != memory)
		_exit(4);
	ww_free(w);
}

/* Many threads' faults of memory that ceases to be watched are no reason to give up. */
Test(unregistered, faults_of_it_lose_no_other_state)
{
	int result;

	if (!(backend()->guarantees & WW_NO_SIGNAL_HANDLER))
		cr_skip_test("%s: such a fault is tried again once", backend()->name);
	result = run_child(write_what_is_not_found);
	cr_assert_eq(result, 0, "%d", result);
}

static void write_what_takes_effect(void)
{
	if (ww_new(&w, NULL) != 0)
		_exit(2);
	memory = map_private(ALL);
	memset(memory, 1, ALL);
	left_behind = true;
	if (ww_watch(w, memory, ALL, 0) != 0)
		_exit(3);
	expect_watched();
	ww_free(w);
}

/* As kernels before 6.1.191 and 6.12.11 leave it behind where mremap(2) moves memory. */
Test(unregistered, protection_that_takes_effect_ends_no_writer)
{
	int result = run_child(write_what_takes_effect);

	cr_assert_eq(result, 0, "%d", result);
}

static void write_what_was_registered_in_part(void)
{
	void *page;
	size_t count;

	watch_memory(0);
	close_file(&w->uffd);
	registers_half = true;
	for (int i = 0; i < 4; i++) {
		count = 1;
		ww_get(w, memory, 2 * PAGE, WW_RESET, &page, &count);
	}
	for (size_t i = 0; i < PAGES; i++)
		page_write(memory + i * PAGE, 1);
	registers_half = false;
	if (get_in_the_end(WW_RESET, &count) != 0)
		_exit(2);
	expect_watched();
	ww_free(w);
}

/* As a context does that begins anew when there is no memory for all of it. */
Test(unregistered, what_was_registered_in_part_ends_no_writer)
{
	int result;

	if (strcmp(backend()->reported, "uffd") != 0)
		cr_skip_test("%s: no faults of a userfaultfd", backend()->name);
	result = run_child(write_what_was_registered_in_part);
	cr_assert_eq(result, 0, "%d", result);
}
