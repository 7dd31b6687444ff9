/* SPDX-License-Identifier: MIT */
/*
 * A program that has handlers of SIGSEGV and SIGBUS itself, as it makes its memory accessible where
 * it is first used. The library installs none beside them: they ask it whether a fault was its own.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <writewatch/writewatch.h>

#define SIZE ((size_t)1 << 20)
#define PAGE ((size_t)4096)

static char *arena; /* the program's own affair: inaccessible until it is used */
static volatile sig_atomic_t own_faults;

static void check(int error, const char *what)
{
	if (error == 0)
		return;
	fprintf(stderr, "%s: %s\n", what, strerror(-error));
	/* 77 tells the tests that this example cannot run here. */
	exit(error == -ENOTSUP ? 77 : 1);
}

static void own_fault(int number, siginfo_t *info)
{
	uintptr_t offset = (uintptr_t)info->si_addr - (uintptr_t)arena;

	if (number == SIGSEGV && offset < SIZE) {
		own_faults++;
		mprotect(arena + offset / PAGE * PAGE, PAGE, PROT_READ | PROT_WRITE);
		return;
	}
	/* As if there were no handler: the fault comes again. */
	signal(number, SIG_DFL);
}

/* Instructions that are fetched are no affair of the library's. */
static bool may_be_write(void *context)
{
#ifdef __x86_64__
	return ((ucontext_t *)context)->uc_mcontext.gregs[REG_ERR] & 2;
#else
	return context != NULL;
#endif
}

static void on_fault(int number, siginfo_t *info, void *context)
{
	int code = number == SIGBUS ? BUS_ADRERR : SEGV_ACCERR;
	bool its_kind = info->si_code == code && may_be_write(context);

	if (!its_kind || !ww_handle_fault(info->si_addr))
		own_fault(number, info);
}

/* mprotect causes SIGSEGV, uffd without privilege SIGBUS. */
static void install_handlers(void)
{
	struct sigaction action = {.sa_sigaction = on_fault};

	/* SA_NODEFER: the handler may write to watched memory, too. */
	action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
}

/* Where writes are faults, read(2) fails with EFAULT otherwise. */
static ssize_t read_into(struct ww *w, int fd, char *to, size_t size)
{
	int r = ww_prepare_write(w, to, size);

	return r < 0 ? r : read(fd, to, size);
}

static char *map(int protection)
{
	void *memory = mmap(NULL, SIZE, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	check(memory == MAP_FAILED ? -errno : 0, "mmap");
	return memory;
}

int main(void)
{
	struct ww_options options = {.size = sizeof(options), .flags = WW_NO_HANDLER};
	struct ww_info info = {.size = sizeof(info)};
	char *memory = map(PROT_READ | PROT_WRITE);
	void *pages[SIZE / PAGE];
	size_t count = SIZE / PAGE;
	struct ww *w;
	int ends[2];

	arena = map(PROT_NONE);
	install_handlers();
	check(ww_new(&w, &options), "no backend is usable here");
	check(ww_watch(w, memory, SIZE, 0), "ww_watch");
	check(ww_info(w, &info), "ww_info");
	check(pipe(ends) < 0 || write(ends[1], "hello", 5) != 5 ? -errno : 0, "pipe");

	memory[5 * PAGE] = memory[9 * PAGE + 17] = 1;
	arena[3 * PAGE] = 1;
	if (read_into(w, ends[0], memory + 20 * PAGE, 5) != 5)
		return 1;

	check(ww_get(w, memory, SIZE, WW_RESET, pages, &count), "ww_get");
	printf("%s, and %d fault of the program's own\n", info.backend, (int)own_faults);
	for (size_t i = 0; i < count; i++)
		printf("page %zu was written\n", (size_t)((char *)pages[i] - memory) / PAGE);
	ww_free(w);
	return count != 3 || own_faults != 1 || pages[0] != memory + 5 * PAGE ||
	       pages[1] != memory + 9 * PAGE || pages[2] != memory + 20 * PAGE;
}
