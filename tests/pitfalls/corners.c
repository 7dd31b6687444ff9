/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backends.h"
#include "context.h"
#include "faulting.h"
#include "pages.h"
#include "sys.h"

/* Handlers of faults: what they need themselves, what they are told late, and what is refused. */

static void begin(void)
{
	backend_begin();
	signal(SIGSEGV, SIG_DFL);
	signal(SIGBUS, SIG_DFL);
}

TestSuite(corners, .init = begin, .timeout = 60);

/* As much as backend_uffd_thread.c maps for it. */
#define THREAD_STACK ((size_t)1 << 20)

static bool has_handler(void)
{
	return !(backend()->guarantees & WW_NO_SIGNAL_HANDLER);
}

static void *page_of(const void *at)
{
	return (void *)((uintptr_t)at & ~(uintptr_t)(PAGE - 1));
}

/* While it is protected, no fault could be handled any more. */
static void watch_what_handlers_write_to(void)
{
	struct ww *other;
	int refused = has_handler() ? -ENOTSUP : 0;

	watch_memory(0);
	if (ww_new(&other, NULL) != 0)
		_exit(2);
	if (ww_watch(w, page_of(&errno), PAGE, 0) != refused)
		_exit(3);
	if (has_handler() && ww_watch(other, w, 8 * PAGE, 0) != -ENOTSUP)
		_exit(4);
	expect_watched();
	ww_free(other);
	unwatch_memory();
}

Test(corners, what_handlers_write_to_cannot_be_watched)
{
	int result = run_child(watch_what_handlers_write_to);

	cr_assert_eq(result, 0, "%d", result);
}

Test(corners, errno_is_kept)
{
	watch_memory(0);
	cr_assert_eq(ww_reset(w, memory, ALL), 0);
	errno = 1234;
	for (int i = 0; i < PAGES; i++)
		memory[i * PAGE]++;
	cr_assert_eq(errno, 1234);
	unwatch_memory();
}

#define MUCH ((size_t)64 << 20)
/* Just large enough, so that no part of it stays a hole. */
#define HOLE ((sizeof(struct ww) + PAGE - 1) & ~(size_t)(PAGE - 1))

static size_t count_written(struct ww *of, char *at, size_t size)
{
	size_t count = 4;
	void *list[4];

	return ww_get(of, at, size, WW_RESET, list, &count) == 0 ? count : SIZE_MAX;
}

static void make_a_context_in_a_hole(void)
{
	char *much = map_private(MUCH), *few = map_private(4 * PAGE), *above = much;
	struct ww *other;
	size_t count;

	if (ww_new(&w, NULL) != 0 || ww_watch(w, much, MUCH, 0) != 0)
		_exit(2);
	/* As where a program runs for long, there is no room above. */
	while (above >= much)
		above = map_private(16 * PAGE);
	if (munmap(much + MUCH / 2, HOLE) != 0)
		_exit(3);
	if (ww_new(&other, NULL) != 0 || ww_watch(other, few, 4 * PAGE, 0) != 0)
		_exit(4);
	for (int i = 0; i < 3; i++) {
		much[0]++;
		much[MUCH - 1]++;
		few[0]++;
		/* Where the kernel tells that something else is in the hole, that is -ESTALE. */
		count_written(w, much, MUCH);
		count = count_written(other, few, 4 * PAGE);
		if (count == SIZE_MAX || count == 0 || (count > 1 && !except(NOT_EXACT)))
			_exit(5);
	}
}

/* Where the program left a hole in watched memory, the next mapping may come to lie. */
Test(corners, a_context_made_in_a_hole_of_watched_memory_works)
{
	int result = run_child(make_a_context_in_a_hole);

	cr_assert_eq(result, 0, "%d", result);
}

/* Nobody would resolve the fault of the thread that resolves faults. */
static void watch_the_stack_of_the_thread(void)
{
	watch_memory(0);
	for (size_t at = 0; at < THREAD_STACK; at += PAGE)
		if (ww_watch(w, (char *)w->stack + at, PAGE, 0) != -ENOTSUP)
			_exit(3);
	if (ww_watch(w, w->stack, THREAD_STACK, 0) != -ENOTSUP)
		_exit(4);
	expect_watched();
	unwatch_memory();
}

Test(corners, the_stack_of_the_thread_for_faults_cannot_be_watched)
{
	int result;

	if (backend()->guarantees & WW_NO_THREAD)
		cr_skip_test("%s: there is no thread for faults", backend()->name);
	result = run_child(watch_the_stack_of_the_thread);
	cr_assert_eq(result, 0, "%d", result);
}

Test(corners, a_protection_that_fails_leaves_the_old_one)
{
	handle(SIGSEGV, jump_info, SA_ONSTACK);
	watch_memory(0);
	cr_assert_eq(munmap(memory + 3 * PAGE, PAGE), 0);
	cr_assert_neq(protect(w, memory, ALL, PROT_READ), 0);
	/* As after mprotect(2): what is behind the hole, nobody came to. */
	cr_assert(try_write(memory + 4 * PAGE));
	cr_assert(try_write(memory + (PAGES - 1) * PAGE));
	unwatch_memory();
}

/* Linux before 5.14 cannot be asked to populate, so that it has to be found out otherwise. */
static bool old_kernel;
/* What the program handles by a userfaultfd of its own cannot be populated by everybody. */
static bool unpopulated;

int __real_sys_madvise(uintptr_t start, size_t len, int advice);
int __wrap_sys_madvise(uintptr_t start, size_t len, int advice);

int __wrap_sys_madvise(uintptr_t start, size_t len, int advice)
{
	const int populate_read = 22, populate_write = 23;

	if (old_kernel && (advice == populate_read || advice == populate_write))
		return -EINVAL;
	if (unpopulated && (advice == populate_read || advice == populate_write))
		return -EFAULT;
	return __real_sys_madvise(start, len, advice);
}

static void ask_or_jump(int number, siginfo_t *info, void *context)
{
	if (++seen.calls > 100)
		_exit(7);
	if (!ww_handle_fault(info->si_addr))
		jump_info(number, info, context);
}

Test(corners, old_kernels_tell_the_end_of_a_file_too)
{
	struct ww_options options = {.size = sizeof(options), .flags = WW_NO_HANDLER};
	int fd = memfd_of(8 * PAGE);
	char *p = map_fd(NULL, 8 * PAGE, MAP_PRIVATE, fd, 0);

	if (strcmp(backend()->name, "mprotect") != 0) {
		unmap(p, 8 * PAGE);
		close(fd);
		cr_skip_test("%s: %s", backend()->name,
			     has_handler() ? "it works only on kernels that can be asked"
					   : "it handles no signals");
	}
	old_kernel = true;
	handle(SIGSEGV, ask_or_jump, 0);
	handle(SIGBUS, ask_or_jump, 0);
	cr_assert_eq(ww_new(&w, &options), 0);
	cr_assert_eq(ww_watch(w, p, 8 * PAGE, 0), 0);
	cr_assert_eq(ftruncate(fd, 4 * PAGE), 0);
	seen.calls = 0;
	cr_assert_not(try_write(p + 6 * PAGE));
	cr_assert_leq(seen.calls, 3);
	cr_assert(try_write(p + 2 * PAGE));
	ww_free(w);
	unmap(p, 8 * PAGE);
	close(fd);
}

Test(corners, what_cannot_be_populated_is_known_to_be_ours)
{
	watch_memory(WW_NO_HANDLER);
	handle(SIGSEGV, ask_or_jump, 0);
	handle(SIGBUS, ask_or_jump, 0);
	cr_assert_eq(ww_reset(w, memory, ALL), 0);
	unpopulated = true;
	for (size_t i = 0; i < PAGES; i++)
		cr_assert(try_write(memory + i * PAGE), "page %zu", i);
	unpopulated = false;
	unwatch_memory();
}

static sigjmp_buf back;
static volatile int called;
static struct sigaction below;

static void leave(int which)
{
	called = which;
	siglongjmp(back, 1);
}

static void oldest(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)info;
	(void)context;
	leave(1);
}

static void newer(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)info;
	(void)context;
	leave(2);
}

static void on_top(int number, siginfo_t *info, void *context)
{
	below.sa_sigaction(number, info, context);
	/* Its frame is to stay meanwhile. */
	seen.calls++;
}

static void chain(void (*handler)(int, siginfo_t *, void *))
{
	struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK};

	sigfillset(&action.sa_mask);
	cr_assert_eq(sigaction(SIGSEGV, &action, &below), 0);
}

static int who_is_called(void)
{
	called = 0;
	if (sigsetjmp(back, 1) == 0)
		*(volatile char *)bad_address(SIGSEGV) = 1;
	return called;
}

/* On an alternate stack the next signal has its context where that of the last one was. */
Test(corners, a_handler_that_was_left_by_a_jump_is_called_again)
{
	stack_t stack = {.ss_size = 64 << 10, .ss_sp = map_private(64 << 10)};

	cr_assert_eq(sigaltstack(&stack, NULL), 0);
	chain(oldest);
	watch_memory(0);
	chain(newer);
	cr_assert_eq(ww_reset(w, memory, ALL), 0);
	cr_assert_eq(who_is_called(), 2);
	chain(on_top);
	for (int i = 0; i < 3; i++)
		cr_assert_eq(who_is_called(), 2);
	unwatch_memory();
	stack.ss_flags = SS_DISABLE;
	cr_assert_eq(sigaltstack(&stack, NULL), 0);
}

static bool allocates;

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
			  void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
			  void *arg);

/* As the C library does, which may take what a thread needs from the heap. */
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
			  void *arg)
{
	if (allocates)
		page_write(memory, 1);
	return __real_pthread_create(thread, attr, run, arg);
}

static bool blocks_faults(const char *task)
{
	const uint64_t both = UINT64_C(1) << (SIGSEGV - 1) | UINT64_C(1) << (SIGBUS - 1);
	char path[300], line[256];
	uint64_t blocked = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%s/status", task);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		sscanf(line, "SigBlk: %" SCNx64, &blocked);
	if (file)
		fclose(file);
	return (blocked & both) == both;
}

static int threads_that_block(void)
{
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *entry;
	int n = 0;

	while (tasks && (entry = readdir(tasks)))
		n += entry->d_name[0] != '.' && blocks_faults(entry->d_name);
	if (tasks)
		closedir(tasks);
	return n;
}

#define NO_THREAD 77

static void begin_a_thread(void)
{
	struct ww_options options = {.size = sizeof(options), .backend = "uffd-thread"};
	struct ww *other;
	int before;

	watch_memory(0);
	if (ww_reset(w, memory, ALL) != 0)
		_exit(2);
	before = threads_that_block();
	unsetenv("WRITEWATCH_BACKEND");
	allocates = true;
	if (ww_new(&other, &options) != 0)
		_exit(NO_THREAD);
	/* A signal that is sent does not come to it. */
	if (threads_that_block() != before + 1)
		_exit(3);
	ww_free(other);
}

Test(corners, a_thread_is_begun_where_the_heap_is_watched)
{
	int result = run_child(begin_a_thread);

	if (result == NO_THREAD)
		cr_skip_test("no context with a thread can be made here");
	cr_assert_eq(result, 0, "%d", result);
}
