/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "backends.h"
#include "faulting.h"
#include "pages.h"
#include "sys.h"

/* Protection where more than one party has to do with it. */

static void begin(void)
{
	backend_begin();
	signal(SIGSEGV, SIG_DFL);
	signal(SIGBUS, SIG_DFL);
}

TestSuite(protection, .init = begin, .timeout = 60);

static size_t written(struct ww *of, char *at, size_t pages)
{
	void *list[PAGES];
	size_t count = PAGES;

	cr_assert_eq(ww_get(of, at, pages * PAGE, WW_RESET, list, &count), 0);
	return count;
}

static void protect_all_by(struct ww *by, struct ww *other)
{
	const size_t half = PAGES / 2;

	cr_assert_eq(ww_protect(by, memory, ALL, PROT_READ), 0);
	cr_assert_eq(written(other, memory + half * PAGE, half), 0);
	cr_assert_eq(ww_protect(by, memory, ALL, PROT_READ | PROT_WRITE), 0);
	for (size_t i = 0; i < PAGES; i++)
		memory[i * PAGE]++;
	cr_assert_eq(written(w, memory, half), half);
	cr_assert_eq(written(other, memory + half * PAGE, half), half);
}

Test(protection, changed_by_one_context_loses_nothing_of_another)
{
	struct ww_options options = {.size = sizeof(options), .backend = "mprotect"};
	struct ww *other;

	watch_memory(0);
	cr_assert_eq(ww_unwatch(w, memory + ALL / 2, ALL / 2), 0);
	unsetenv("WRITEWATCH_BACKEND");
	cr_assert_eq(ww_new(&other, &options), 0);
	cr_assert_eq(ww_watch(other, memory + ALL / 2, ALL / 2, 0), 0);
	protect_all_by(w, other);
	protect_all_by(other, other);
	ww_free(other);
	unwatch_memory();
}

static void *executable;

static void watch_under_policy(void)
{
	const int set_mdwe = 65, refuse_exec_gain = 1;
	int refused = strcmp(backend()->name, "mprotect") == 0 ? -ENOTSUP : 0;

	watch_memory(0);
	if (prctl(set_mdwe, refuse_exec_gain, 0, 0, 0) != 0)
		_exit(2);
	if (ww_watch(w, executable, ALL, 0) != refused)
		_exit(3);
	memset(executable, 1, ALL);
	expect_watched();
	ww_free(w);
	memset(executable, 2, ALL);
}

/* Of memory that can be executed, what was taken could not be given back. */
Test(protection, is_left_where_a_policy_keeps_it_from_coming_back)
{
	int result;

	executable = mmap(NULL, ALL, PROT_READ | PROT_WRITE | PROT_EXEC,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (executable == MAP_FAILED)
		cr_skip_test("memory cannot be written to and executed here");
	memset(executable, 1, ALL);
	result = run_child(watch_under_policy);
	unmap(executable, ALL);
	if (result == 2)
		cr_skip_test("the kernel has no such policy (Linux 6.3)");
	cr_assert_eq(result, 0, "%d", result);
}

static size_t count_written(char *at)
{
	size_t count;

	if (ww_get(w, at, ALL, 0, NULL, &count) != 0)
		_exit(9);
	return count;
}

/* Of a file that was opened for reading only. */
Test(protection, that_the_kernel_refuses_is_refused_of_a_file)
{
	int fd = memfd_of(ALL), r;
	char path[64], *file;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	r = open(path, O_RDONLY | O_CLOEXEC);
	cr_assert_geq(r, 0);
	file = mmap(NULL, ALL, PROT_READ, MAP_SHARED, r, 0);
	cr_assert_neq(file, MAP_FAILED);
	close(r);
	close(fd);
	watch_memory(0);
	r = ww_watch(w, file, ALL, 0);
	cr_assert(r == 0 || strcmp(backend()->name, "mprotect") != 0, "%d", r);
	cr_assert_eq(ww_protect(w, file, ALL, PROT_READ | PROT_WRITE), -EACCES);
	cr_assert_eq(ww_protect(w, file + PAGE, PAGE, PROT_READ | PROT_WRITE), -EACCES);
	cr_assert_eq(ww_protect(w, file, ALL, PROT_NONE), 0);
	cr_assert_eq(ww_protect(w, file, ALL, PROT_READ), 0);
	if (r == 0)
		cr_assert_eq(count_written(file), 0);
	unwatch_memory();
	unmap(file, ALL);
}

static void protect_under_policy(void)
{
	const int set_mdwe = 65, refuse_exec_gain = 1;
	const int all = PROT_READ | PROT_WRITE | PROT_EXEC;

	watch_memory(0);
	if (prctl(set_mdwe, refuse_exec_gain, 0, 0, 0) != 0)
		_exit(2);
	if (ww_watch(w, executable, ALL, 0) != 0)
		_exit(3);
	if (ww_protect(w, executable, ALL, all) != -EACCES)
		_exit(4);
	if (count_written(executable) != 0)
		_exit(5);
	if (ww_protect(w, executable, ALL, PROT_READ) != 0)
		_exit(6);
	expect_watched();
	ww_free(w);
}

/* Nothing that can be executed becomes writable. */
Test(protection, that_the_kernel_refuses_is_refused_by_a_policy)
{
	int result;

	executable = mmap(NULL, ALL, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	cr_assert_neq(executable, MAP_FAILED);
	result = run_child(protect_under_policy);
	unmap(executable, ALL);
	if (result == 2)
		cr_skip_test("the kernel has no such policy (Linux 6.3)");
	cr_assert_eq(result, 0, "%d", result);
}

/* Of what the process may have, no mapping is left from the second piece on, but those in reserve. */
static char *scarce;
static enum { ENOUGH, NONE_LEFT, GIVEN_UP } mappings;
#define FRONT (6 * PAGE)

int __real_sys_mprotect(uintptr_t addr, size_t len, int prot);
int __wrap_sys_mprotect(uintptr_t addr, size_t len, int prot);

int __wrap_sys_mprotect(uintptr_t addr, size_t len, int prot)
{
	bool is_scarce = scarce && addr >= (uintptr_t)scarce && addr < (uintptr_t)scarce + ALL;

	if (is_scarce && mappings == ENOUGH && addr >= (uintptr_t)scarce + FRONT)
		mappings = NONE_LEFT;
	if (!is_scarce && mappings == NONE_LEFT && prot == (PROT_READ | PROT_WRITE))
		mappings = GIVEN_UP;
	return is_scarce && mappings == NONE_LEFT ? -ENOMEM : __real_sys_mprotect(addr, len, prot);
}

Test(protection, of_a_watch_that_failed_half_way_is_undone)
{
	int pipes[2];

	if (strcmp(backend()->name, "mprotect") != 0)
		cr_skip_test("only mprotect runs out of mappings");
	watch_memory(0);
	scarce = mmap(NULL, ALL, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	cr_assert_neq(scarce, MAP_FAILED);
	cr_assert_neq(mmap(scarce + FRONT, ALL - FRONT, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
		      MAP_FAILED);
	cr_assert_eq(ww_watch(w, scarce, ALL, 0), -ENOMEM);
	cr_assert_eq(ww_unwatch(w, scarce, ALL), -ENOENT);
	/* Neither is it watched, nor protected. */
	cr_assert_eq(pipe(pipes), 0);
	cr_assert_eq(write(pipes[1], "x", 1), 1);
	cr_assert_eq(read(pipes[0], scarce, 1), 1);
	close(pipes[0]);
	close(pipes[1]);
	ww_free(w);
	for (size_t i = 0; i < PAGES; i++)
		scarce[i * PAGE] = 1;
	unmap(scarce, ALL);
	unmap(memory, ALL);
}
