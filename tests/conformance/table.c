/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <writewatch/writewatch.h>

#include "backends.h"
#include "leaks.h"
#include "pages.h"

/*
 * The table of backends, on which all other tests rely, says what is so: what ww_info() promises,
 * and no exception that is none.
 */

#define PAGE 4096
#define PAGES 64

static struct ww *w;
static char *memory;

static void begin(void)
{
	backend_begin();
	/* A sanitizer has handlers of its own. */
	signal(SIGSEGV, SIG_DFL);
	signal(SIGBUS, SIG_DFL);
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

TestSuite(table, .init = begin, .fini = end);

static void watch(void)
{
	memset(memory, 1, PAGES * PAGE);
	cr_assert_eq(ww_watch(w, memory, PAGES * PAGE, 0), 0);
}

static bool reports(char *page)
{
	size_t count = 0;

	cr_assert_eq(ww_get(w, page, PAGE, 0, NULL, &count), 0);
	return count == 1;
}

#define EXPECT_EXCEPTION(e, is) \
	cr_expect_eq(except(e) != NULL, is, "%s: %s", backend()->name, #e)

Test(table, agrees_with_what_the_library_promises)
{
	const char *name = getenv("WRITEWATCH_BACKEND");
	struct ww_info info = {.size = sizeof(info)};

	cr_assert_eq(ww_info(w, &info), 0);
	cr_expect_str_eq(info.backend, backend()->reported);
	cr_expect_eq(info.guarantees, backend()->guarantees, "%lx instead of %lx",
		     (unsigned long)info.guarantees, (unsigned long)backend()->guarantees);
	cr_expect_eq(info.widened, 0);
	if (name)
		cr_expect_str_eq(backend()->name, name);
	EXPECT_EXCEPTION(NO_KERNEL_WRITES, !(info.guarantees & WW_KERNEL_WRITES));
	EXPECT_EXCEPTION(NOT_ATOMIC, !(info.guarantees & WW_ATOMIC_RESET));
	cr_expect(!except(NOT_EXACT) || !(info.guarantees & WW_EXACT));
	cr_expect(info.guarantees & WW_SURVIVES_FORK);
}

/* A thread, and a handler, where they are promised not to be. */
Test(table, threads_and_handlers_are_as_promised)
{
	struct sigaction segv, bus;
	char line[256];
	int threads = 0;
	FILE *status = fopen("/proc/self/status", "r");

	while (status && fgets(line, sizeof(line), status))
		sscanf(line, "Threads: %d", &threads);
	if (status)
		fclose(status);
	sigaction(SIGSEGV, NULL, &segv);
	sigaction(SIGBUS, NULL, &bus);
	/* A sanitizer may have a thread of its own, but not one fewer. */
	cr_expect_geq(threads, backend()->guarantees & WW_NO_THREAD ? 1 : 2);
	cr_expect(backend()->guarantees & WW_NO_SIGNAL_HANDLER ||
		  segv.sa_flags & SA_SIGINFO || bus.sa_flags & SA_SIGINFO);
	if (backend()->guarantees & WW_NO_SIGNAL_HANDLER)
		cr_expect(segv.sa_handler == SIG_DFL && bus.sa_handler == SIG_DFL);
}

Test(table, kinds_of_memory)
{
	char path[] = "test-file-XXXXXX";
	int fd = mkstemp(path);
	char *file, *shared;

	unlink(path);
	cr_assert_eq(ftruncate(fd, PAGE), 0);
	file = map_fd(NULL, PAGE, MAP_PRIVATE, fd, 0);
	close(fd);
	fd = memfd_of(PAGE);
	shared = map_fd(NULL, PAGE, MAP_SHARED, fd, 0);
	close(fd);
	EXPECT_EXCEPTION(NO_DISK_FILES, ww_watch(w, file, PAGE, 0) == -ENOTSUP);
	EXPECT_EXCEPTION(NO_SHARED, ww_watch(w, shared, PAGE, 0) == -ENOTSUP);
	EXPECT_EXCEPTION(NO_DISCARDS, ww_watch(w, memory, PAGE, WW_DISCARDS) == -ENOTSUP);
	ww_unwatch(w, file, PAGE);
	ww_unwatch(w, shared, PAGE);
	unmap(file, PAGE);
	unmap(shared, PAGE);
}

Test(table, kernel_writes)
{
	int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	ssize_t n;

	watch();
	n = read(fd, memory, PAGE);
	EXPECT_EXCEPTION(NO_KERNEL_WRITES, n < 0 && errno == EFAULT);
	close(fd);
}

static void map_over(char *at, size_t bytes)
{
	cr_assert_eq(mmap(at, bytes, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
		     at);
}

Test(table, memory_mapped_anew)
{
	size_t count;

	watch();
	map_over(memory, PAGE);
	EXPECT_EXCEPTION(NO_STALE, ww_get(w, memory, PAGE, 0, NULL, &count) != -ESTALE);
	memory[0] = 1;
	EXPECT_EXCEPTION(NO_ANEW, ww_get(w, memory, PAGE, 0, NULL, &count) == 0 && count == 0);
}

/* The page that was there held something, and the one that is there now reads as zero. */
Test(table, memory_moved_in_that_holds_nothing)
{
	char *empty = map_private(PAGE);
	size_t count;

	watch();
	cr_assert_eq(mremap(empty, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, memory), memory);
	EXPECT_EXCEPTION(NO_EMPTY, ww_get(w, memory, PAGE, 0, NULL, &count) == 0 && count == 0);
	cr_assert_eq(ww_watch(w, memory, PAGE, 0), 0);
	cr_expect(reports(memory));
}

/* What a program does that has not read the manual. */
Test(table, plain_mprotect)
{
	watch();
	cr_assert_eq(mprotect(memory, PAGE, PROT_READ), 0);
	cr_assert_eq(mprotect(memory, PAGE, PROT_READ | PROT_WRITE), 0);
	memory[0]++;
	EXPECT_EXCEPTION(NO_MPROTECT, !reports(memory));
}

Test(table, pages_that_are_gone)
{
	watch();
	memory[5 * PAGE]++;
	unmap(memory + 5 * PAGE, PAGE);
	EXPECT_EXCEPTION(NO_HOLES, reports(memory + 5 * PAGE));
	map_over(memory + 5 * PAGE, PAGE);
}

/* What it takes, asked for without the library: a backend that refuses all the same is a bug. */
static bool has_userfaultfd(int flags, uint64_t features)
{
	struct {
		uint64_t api, features, ioctls;
	} api = {0xaa, features, 0};
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | flags);
	bool has = fd >= 0 && ioctl(fd, _IOWR(0xaa, 0x3f, api), &api) == 0;

	if (fd >= 0)
		close(fd);
	return has;
}

static bool can_have(const char *name)
{
	const int user_mode = 1;
	const uint64_t protect_empty = 1u << 13, no_thread = 1u << 7, async = 1u << 15;

	if (strcmp(name, "pagemap-scan") == 0)
		return has_userfaultfd(user_mode, async | protect_empty);
	if (strcmp(name, "uffd-thread") == 0)
		return has_userfaultfd(0, protect_empty);
	if (strcmp(name, "uffd-sigbus") == 0)
		return has_userfaultfd(user_mode, protect_empty | no_thread);
	return strcmp(name, "mprotect") == 0;
}

Test(table_of_all, is_complete_and_names_what_this_machine_has)
{
	struct ww_info off = {.size = sizeof(off)};
	struct ww_options options = {.size = sizeof(options), .backend = "off",
				     .flags = WW_WRITERS_STOPPED};

	unsetenv("WRITEWATCH_BACKEND");
	cr_assert_eq(ww_probe(&options, &off), 0);
	cr_assert_eq(off.refusal_count, backend_row_count);
	for (size_t i = 0; i < backend_row_count; i++) {
		struct ww_info info = {.size = sizeof(info)};

		cr_expect_str_eq(off.refusals[i].backend, backend_rows[i].name);
		options.backend = backend_rows[i].name;
		cr_assert_eq(ww_probe(&options, &info), 0);
		fprintf(stderr, "# %s: %s\n", options.backend,
			info.backend ? "usable" : info.refusals[0].reason);
		cr_expect(info.backend || !can_have(options.backend), "%s is refused",
			  options.backend);
		for (size_t e = 0; e < EXCEPTIONS; e++)
			cr_expect(!backend_rows[i].except[e] || *backend_rows[i].except[e]);
	}
}
