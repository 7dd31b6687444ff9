/* SPDX-License-Identifier: MIT */
/* The leak check of tests/support catches what it is for, and lets pass what it should. */
#include "leaks.h"
#include "pages.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <writewatch/writewatch.h>

#define BYTES ((size_t)64 * 4096)

TestSuite(leakcheck, .init = leaks_begin);

static void need_maps(void)
{
	void *probe = map_private(BYTES);
	size_t found = leaks_found(LEAKS_STRICT);

	unmap(probe, BYTES);
	if (found == 0 && getenv("WW_LEAKS") != NULL)
		cr_skip_test("mappings are not compared in this setup");
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(__clang__)
	cr_assert(found > 0 || getenv("WW_LEAKS") != NULL);
#endif
	if (found == 0)
		cr_skip_test("mappings are not compared in a sanitizer build");
}

Test(leakcheck, nothing)
{
	void *memory = map_private(BYTES);
	void *block = malloc(3 << 20);
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	memset(memory, 1, BYTES);
	memset(block, 1, 3 << 20);
	free(block);
	close(fd);
	unmap(memory, BYTES);
	cr_expect_eq(leaks_found(LEAKS_STRICT), 0);
}

Test(leakcheck, open_descriptor)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	cr_expect_eq(leaks_found(LEAKS_STRICT), 1);
	close(fd);
	cr_expect_eq(leaks_found(LEAKS_STRICT), 0);
}

Test(leakcheck, closed_descriptor)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	leaks_begin();
	close(fd);
	cr_expect_eq(leaks_found(LEAKS_STRICT), 1);
}

Test(leakcheck, mapping)
{
	char *memory;

	need_maps();
	memory = map_private(BYTES);
	cr_expect_eq(leaks_found(LEAKS_STRICT), 1);
	cr_expect_eq(leaks_found(LEAKS_THREAD_STACKS), 1);
	unmap(memory, BYTES / 2);
	cr_expect_eq(leaks_found(LEAKS_STRICT), 1, "half of it is still there");
	unmap(memory + BYTES / 2, BYTES / 2);
	cr_expect_eq(leaks_found(LEAKS_STRICT), 0);
}

Test(leakcheck, one_page_inside_what_was_known)
{
	char *memory = map_private(BYTES);

	unmap(memory + 4096, 4096);
	leaks_begin();
	cr_assert_eq(mmap(memory + 4096, 4096, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
		     memory + 4096);
	need_maps();
	cr_expect_eq(leaks_found(LEAKS_STRICT), 1);
	unmap(memory, BYTES);
}

Test(leakcheck, unmapped)
{
	char *memory = map_private(BYTES);

	need_maps();
	leaks_begin();
	unmap(memory + 4096, 4096);
	cr_expect_eq(leaks_found(LEAKS_STRICT), 1);
}

Test(leakcheck, still_registered)
{
	void *memory = map_private(BYTES);
	struct ww *w;

	need_maps();
	/* The descriptors are older than the check here: only the registration is new. */
	cr_assert_eq(ww_new(&w, NULL), 0);
	leaks_begin();
	cr_assert_eq(ww_watch(w, memory, BYTES, WW_DISCARDS), 0);
	cr_expect_eq(leaks_found(LEAKS_STRICT), 1);
	cr_assert_eq(ww_unwatch(w, memory, BYTES), 0);
	cr_expect_eq(leaks_found(LEAKS_STRICT), 0);
	ww_free(w);
	unmap(memory, BYTES);
}

static void *nothing(void *arg)
{
	free(malloc(100));
	return arg;
}

Test(leakcheck, stack_of_a_joined_thread)
{
	pthread_t thread;

	need_maps();
	cr_assert_eq(pthread_create(&thread, NULL, nothing, NULL), 0);
	pthread_join(thread, NULL);
	cr_expect_gt(leaks_found(LEAKS_STRICT), 0);
	cr_expect_eq(leaks_found(LEAKS_THREAD_STACKS), 0);
}
