/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <writewatch/writewatch.h>

#include "backends.h"
#include "checkers.h"
#include "leaks.h"
#include "pages.h"
#include "random.h"

/* A child inherits descriptors that act on its parent's memory. Children report by exit status. */

#define PAGE 4096
#define PAGES 256
#define CHECK(condition) \
	do { \
		if (!(condition)) \
			_exit(__LINE__ % 250 + 1); \
	} while (0)

static struct ww *w;
static char *memory;

static void begin(void)
{
	backend_begin();
	leaks_begin();
	cr_assert_eq(ww_new(&w, NULL), 0);
	memory = map_private(PAGES * PAGE);
}

static void end(void)
{
	ww_free(w);
	unmap(memory, PAGES * PAGE);
	leaks_end();
}

static void end_threads(void)
{
	ww_free(w);
	unmap(memory, PAGES * PAGE);
	leaks_end_threads();
}

TestSuite(fork, .init = begin, .fini = end);
TestSuite(fork_threads, .init = begin, .fini = end_threads);

static int get(unsigned flags, size_t *count)
{
	static void *pages[PAGES];

	*count = PAGES;
	return ww_get(w, memory, PAGES * PAGE, flags, pages, count);
}

static size_t pages_of_parent(unsigned flags)
{
	size_t count;

	cr_assert_eq(get(flags, &count), 0);
	return count;
}

static void child_body(void)
{
	size_t count;

	CHECK(get(0, &count) == 0 && count == PAGES);
	CHECK(get(WW_RESET, &count) == 0 && count == PAGES);
	CHECK(get(WW_RESET, &count) == 0 && count == 0);
	memory[9 * PAGE]++;
	CHECK(get(WW_RESET, &count) == 0 && count == 1);
	CHECK(ww_unwatch(w, memory, PAGE) == 0);
	CHECK(ww_watch(w, memory, PAGE, 0) == 0);
	ww_free(w);
	_exit(0);
}

static void expect_success(pid_t child)
{
	int status = -1;

	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0,
		  "the child failed near line %d (modulo 250)", WEXITSTATUS(status) - 1);
}

static void child_first(pid_t (*make_child)(void), unsigned flags)
{
	pid_t child;

	cr_assert_eq(ww_watch(w, memory, PAGES * PAGE, flags), 0);
	memory[3 * PAGE]++;
	child = make_child();
	if (child == 0)
		child_body();
	expect_success(child);
	cr_assert_eq(pages_of_parent(WW_RESET), 1, "the child took nothing from the parent");
	memory[4 * PAGE]++;
	cr_assert_eq(pages_of_parent(WW_RESET), 1);
	cr_assert_eq(ww_unwatch(w, memory, PAGES * PAGE), 0);
}

static void parent_first(pid_t (*make_child)(void), unsigned flags)
{
	int gate[2];
	pid_t child;

	cr_assert_eq(pipe(gate), 0);
	cr_assert_eq(ww_watch(w, memory, PAGES * PAGE, flags), 0);
	memory[3 * PAGE]++;
	child = make_child();
	if (child == 0) {
		char byte;

		close(gate[1]);
		CHECK(read(gate[0], &byte, 1) == 0);
		child_body();
	}
	cr_assert_eq(pages_of_parent(WW_RESET), 1);
	memory[5 * PAGE]++;
	close(gate[1]);
	expect_success(child);
	close(gate[0]);
	cr_assert_eq(pages_of_parent(WW_RESET), 1);
	cr_assert_eq(ww_unwatch(w, memory, PAGES * PAGE), 0);
}

Test(fork, child_asks_first)
{
	child_first(fork, 0);
	child_first(fork, discards_flag());
}

Test(fork, parent_asks_first)
{
	parent_first(fork, 0);
	parent_first(fork, discards_flag());
}

Test(fork, raw_clone_is_a_fork_too)
{
	child_first(raw_clone, 0);
	parent_first(raw_clone, discards_flag());
}

Test(fork, freeing_in_the_child_ends_nothing_in_the_parent)
{
	pid_t child;

	cr_assert_eq(ww_watch(w, memory, PAGES * PAGE, 0), 0);
	memory[3 * PAGE]++;
	child = fork();
	if (child == 0) {
		ww_free(w);
		_exit(0);
	}
	expect_success(child);
	cr_assert_eq(pages_of_parent(WW_RESET), 1);
	memory[6 * PAGE]++;
	cr_assert_eq(pages_of_parent(WW_RESET), 1);
}

Test(fork, grandchildren_begin_anew_as_well)
{
	pid_t child;

	cr_assert_eq(ww_watch(w, memory, PAGES * PAGE, 0), 0);
	child = fork();
	if (child == 0) {
		size_t count;
		pid_t grandchild;
		int status;

		CHECK(get(WW_RESET, &count) == 0 && count == PAGES);
		memory[1 * PAGE]++;
		grandchild = fork();
		if (grandchild == 0)
			child_body();
		CHECK(waitpid(grandchild, &status, 0) == grandchild && status == 0);
		CHECK(get(WW_RESET, &count) == 0 && count == 1);
		_exit(0);
	}
	expect_success(child);
	cr_assert_eq(pages_of_parent(0), 0);
}

Test(fork, memory_that_the_child_did_not_get_is_stale_and_the_rest_works)
{
	pid_t child;

	cr_assert_eq(ww_watch(w, memory, PAGES * PAGE, 0), 0);
	madvise(memory, 16 * PAGE, MADV_DONTFORK);
	child = fork();
	if (child == 0) {
		void *pages[PAGES];
		size_t count = PAGES;
		char *hole = mmap(memory, 16 * PAGE, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

		CHECK(hole == memory);
		CHECK(ww_watch(w, memory, PAGES * PAGE, 0) == 0);
		CHECK(ww_get(w, memory, PAGES * PAGE, WW_RESET, pages, &count) == 0);
		CHECK(count == PAGES);
		_exit(0);
	}
	expect_success(child);
	madvise(memory, 16 * PAGE, MADV_DOFORK);
}

Test(fork, a_hole_at_the_beginning_is_no_reason_to_fail)
{
	pid_t child;

	cr_assert_eq(ww_watch(w, memory, PAGES * PAGE, 0), 0);
	unmap(memory, 2 * PAGE);
	child = fork();
	if (child == 0) {
		size_t count;

		CHECK(get(WW_RESET, &count) == 0 && count == PAGES - 2);
		_exit(0);
	}
	expect_success(child);
	cr_assert_eq(pages_of_parent(0), 0);
}

Test(fork, a_child_without_descriptors_gets_an_error_and_can_try_again)
{
	pid_t child;

	cr_assert_eq(ww_watch(w, memory, PAGES * PAGE, 0), 0);
	child = fork();
	if (child == 0) {
		struct rlimit none = {0, 100}, some = {100, 100};
		size_t count;

		CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
		CHECK(get(WW_RESET, &count) == -EMFILE);
		CHECK(ww_watch(w, memory, PAGE, 0) == -EMFILE);
		CHECK(setrlimit(RLIMIT_NOFILE, &some) == 0);
		CHECK(get(WW_RESET, &count) == 0 && count == PAGES);
		_exit(0);
	}
	expect_success(child);
	cr_assert_eq(pages_of_parent(0), 0);
}

Test(fork, a_child_that_closed_everything_closes_nothing_of_its_own_later)
{
	pid_t child;

	cr_assert_eq(ww_watch(w, memory, PAGES * PAGE, 0), 0);
	child = fork();
	if (child == 0) {
		int pipes[40][2];
		size_t count;

		syscall(SYS_close_range, 3, ~0u, 0);
		for (int i = 0; i < 40; i++)
			CHECK(pipe(pipes[i]) == 0);
		CHECK(get(WW_RESET, &count) == 0 && count == PAGES);
		for (int i = 0; i < 40; i++)
			CHECK(write(pipes[i][1], "x", 1) == 1);
		_exit(0);
	}
	expect_success(child);
}

/* What another thread writes to as soon as content was dropped, and a child gets a share of. */
static char *raced;
static pid_t (*bequeath)(void);
static pid_t heir;

int __real_sys_madvise(uintptr_t start, size_t len, int advice);
int __wrap_sys_madvise(uintptr_t start, size_t len, int advice);

int __wrap_sys_madvise(uintptr_t start, size_t len, int advice)
{
	int r = __real_sys_madvise(start, len, advice);

	if (!raced || r != 0 || advice != MADV_DONTNEED)
		return r;
	*raced = 0x5a;
	raced = NULL;
	if (!bequeath)
		return r;
	heir = bequeath();
	if (heir == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pause();
		_exit(0);
	}
	return r;
}

static void race(pid_t (*do_fork)(void))
{
	const size_t written = 5;
	void *pages[PAGES];
	size_t count = PAGES;
	bool found = false;

	for (size_t i = 0; i < PAGES; i++)
		memory[i * PAGE] = 1;
	cr_assert_eq(ww_watch(w, memory, PAGES * PAGE, 0), 0);
	bequeath = do_fork;
	raced = memory + written * PAGE;
	cr_assert_eq(ww_discard(w, memory, PAGES * PAGE), 0);
	cr_assert_null(raced);
	cr_assert_eq(ww_get(w, memory, PAGES * PAGE, WW_RESET, pages, &count), 0);
	for (size_t i = 0; i < count; i++)
		found |= pages[i] == memory + written * PAGE;
	cr_assert(found, "%zu others are", count);
	for (size_t i = 0; i < PAGES; i++)
		cr_assert_eq(memory[i * PAGE], i == written ? 0x5a : 0);
	cr_assert_eq(pages_of_parent(0), 0);
	if (do_fork) {
		cr_assert_gt(heir, 0);
		kill(heir, SIGKILL);
		cr_assert_eq(waitpid(heir, NULL, 0), heir);
	}
	/* The next one is like any other. */
	memory[0] = 1;
	cr_assert_eq(ww_discard(w, memory, PAGES * PAGE), 0);
	cr_assert_eq(pages_of_parent(0), 0);
}

Test(fork, a_write_that_races_with_a_discard_is_reported)
{
	skip_if(NOT_ATOMIC);
	race(fork);
}

Test(fork, also_where_nobody_forks)
{
	skip_if(NOT_ATOMIC);
	race(NULL);
}

Test(fork, also_where_the_c_library_sees_no_fork)
{
	skip_if(NOT_ATOMIC);
	race(raw_clone);
}

/* So many times something else has a fault while one of ours is looked for. */
static int other_faults;

bool __real_sys_write_faults(volatile char *byte);
bool __wrap_sys_write_faults(volatile char *byte);

bool __wrap_sys_write_faults(volatile char *byte)
{
	return __real_sys_write_faults(byte) || other_faults-- > 0;
}

Test(fork, a_fault_of_something_else_is_no_fork)
{
	cr_assert_eq(ww_watch(w, memory, PAGES * PAGE, 0), 0);
	other_faults = 1;
	cr_assert_eq(ww_discard(w, memory, PAGES * PAGE), 0);
	cr_assert_eq(pages_of_parent(0), 0);
}

/* Threads that change the list of ranges and hold the lock while another one forks. */
static atomic_bool stop;

static void *churn(void *arg)
{
	size_t n = PAGES / 2;

	(void)arg;
	while (!stop) {
		ww_unwatch(w, memory + n * PAGE, 8 * PAGE);
		ww_watch(w, memory + n * PAGE, 8 * PAGE, 0);
		n = n + 8 < PAGES ? n + 8 : PAGES / 2;
	}
	return NULL;
}

/* AddressSanitizer's allocator, which every new thread needs, does not know of forks. */
static void skip_if_no_thread_can_start(void)
{
#if defined(__SANITIZE_ADDRESS__)
	if (!(backend()->guarantees & WW_NO_THREAD))
		cr_skip_test("AddressSanitizer may hang a child that starts a thread");
#endif
}

Test(fork_threads, a_fork_at_any_moment_leaves_a_whole_list_and_a_free_lock, .timeout = 60)
{
	pthread_t thread;

	skip_if_no_thread_can_start();
	cr_assert_eq(ww_watch(w, memory, PAGES * PAGE, 0), 0);
	cr_assert_eq(pthread_create(&thread, NULL, churn, NULL), 0);
	for (int i = 0; i < (in_a_hurry() ? 60 : 300); i++) {
		pid_t child = i % 2 ? fork() : raw_clone();

		if (child == 0) {
			static void *pages[PAGES];
			size_t count = PAGES;

			alarm(20);
			CHECK(ww_get(w, memory, PAGES / 2 * PAGE, WW_RESET, pages, &count) == 0);
			CHECK(count == PAGES / 2);
			count = PAGES;
			CHECK(ww_get(w, memory, PAGES * PAGE, WW_ACROSS, pages, &count) == 0);
			_exit(0);
		}
		expect_success(child);
	}
	stop = true;
	pthread_join(thread, NULL);
}
