/* SPDX-License-Identifier: MIT */
#include "faulting.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backends.h"
#include "pages.h"

struct ww *w;
char *memory;
volatile struct seen seen;
static sigjmp_buf before;

void jump_info(int number, siginfo_t *info, void *context)
{
	seen.calls++;
	seen.number = number;
	seen.code = info->si_code;
	seen.addr = info->si_addr;
	seen.had_context = context != NULL;
	siglongjmp(before, 1);
}

void jump_plain(int number)
{
	seen.calls++;
	seen.number = number;
	siglongjmp(before, 1);
}

struct sigaction handle(int number, void (*handler)(int, siginfo_t *, void *), int flags)
{
	struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags}, old;

	if (sigaction(number, &action, &old) != 0)
		cr_fatal("sigaction");
	return old;
}

bool try_write(volatile char *at)
{
	if (sigsetjmp(before, 1) != 0)
		return false;
	*at = 7;
	return true;
}

bool try_read(const volatile char *at)
{
	if (sigsetjmp(before, 1) != 0)
		return false;
	(void)*at;
	return true;
}

char *bad_address(int number)
{
	static char *protected, *behind;

	if (number == SIGSEGV) {
		if (!protected)
			protected = map_reserve(PAGE, PAGE);
		return protected + 16;
	}
	if (!behind) {
		int fd = memfd_of(PAGE);

		behind = map_fd(NULL, 2 * PAGE, MAP_SHARED, fd, 0);
		close(fd);
	}
	return behind + PAGE + 16;
}

void watch_memory(uint64_t flags)
{
	struct ww_options options = {.size = sizeof(options), .flags = flags};

	if (ww_new(&w, &options) != 0)
		cr_fatal("ww_new");
	memory = map_private(ALL);
	memset(memory, 1, ALL);
	if (ww_watch(w, memory, ALL, 0) != 0)
		cr_fatal("ww_watch");
}

void unwatch_memory(void)
{
	ww_free(w);
	unmap(memory, ALL);
}

static void fail(const char *what, size_t number)
{
	/* In a child no assertion would be heard of. */
	fprintf(stderr, "# %s: %s %zu\n", backend()->name, what, number);
	abort();
}

void expect_watched(void)
{
	void *pages[PAGES];
	size_t count = PAGES;

	if (ww_reset(w, memory, ALL) != 0)
		fail("ww_reset", 0);
	for (size_t i = 1; i < PAGES; i += 7)
		memory[i * PAGE]++;
	if (ww_get(w, memory, ALL, WW_RESET, pages, &count) != 0)
		fail("ww_get", 0);
	for (size_t i = 0, n = 1; n < PAGES; i++, n += 7)
		if (i >= count || pages[i] != memory + n * PAGE)
			fail("lost or invented, near page", n);
	if (count != (PAGES - 1 + 6) / 7)
		fail("pages:", count);
}

int run_child(void (*body)(void))
{
	const struct rlimit no_core = {0, 0};
	int status = -1;
	pid_t child = fork();

	if (child < 0)
		cr_fatal("fork: %s", strerror(errno));
	if (child == 0) {
		setrlimit(RLIMIT_CORE, &no_core);
		alarm(30);
		body();
		_exit(0);
	}
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	return WIFSIGNALED(status) ? DIES_BY(WTERMSIG(status)) : WEXITSTATUS(status);
}
