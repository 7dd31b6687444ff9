/* SPDX-License-Identifier: MIT */
#include "scan_fuzz.h"
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/*
 * Fuzzes PAGEMAP_SCAN and the ioctls of userfaultfd that go with it. Processes with several threads
 * do everything to one window of memory at the same time; in each, other threads have regions of
 * their own and know what they wrote there, see scan_fuzz_model.c. For some calls memory runs out,
 * see scan_fuzz_starve.c. What swaps, merges and migrates pages of all of them runs outside, see
 * tools/fuzz-kernel.sh.
 */

struct fuzz *fuzz;

static _Thread_local sigjmp_buf escape;
static _Thread_local volatile sig_atomic_t guarded;

uint64_t fuzz_random(struct actor *actor, uint64_t below)
{
	uint64_t x = actor->random += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	x ^= x >> 31;
	return below ? x % below : x;
}

bool fuzz_chance(struct actor *actor, unsigned int one_in)
{
	return fuzz_random(actor, one_in) == 0;
}

void fuzz_count(enum fuzz_op op, bool ok)
{
	atomic_fetch_add_explicit(ok ? &fuzz->done[op] : &fuzz->refused[op], 1,
				  memory_order_relaxed);
}

void fuzz_violation(const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	atomic_store(&fuzz->failed, true);
	atomic_store(&fuzz->stop, true);
	dprintf(STDOUT_FILENO, "violation (seed %" PRIu64 ", process %d): %s\n", fuzz->seed,
		getpid(), text);
}

static void fault(int signal_number, siginfo_t *info, void *context)
{
	(void)context;
	if (guarded)
		siglongjmp(escape, 1);
	signal(signal_number, SIG_DFL);
	fuzz_violation("%s at %p", strsignal(signal_number), info->si_addr);
}

bool fuzz_store(volatile uint64_t *address, uint64_t value)
{
	if (sigsetjmp(escape, 0)) {
		guarded = 0;
		return false;
	}
	guarded = 1;
	*address = value;
	guarded = 0;
	return true;
}

bool fuzz_load(const volatile uint64_t *address, uint64_t *value)
{
	if (sigsetjmp(escape, 0)) {
		guarded = 0;
		return false;
	}
	guarded = 1;
	*value = *address;
	guarded = 0;
	return true;
}

int fuzz_uffd(uint64_t features)
{
	struct wwk_uffdio_api api = {.api = WWK_UFFD_API, .features = features};
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | WWK_UFFD_USER_MODE_ONLY);

	if (fd >= 0 && ioctl(fd, WWK_UFFDIO_API, &api) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

bool fuzz_register(int uffd, const void *start, size_t length, uint64_t mode)
{
	struct wwk_uffdio_register arg = {{(uintptr_t)start, length}, mode, 0};

	return fuzz_ioctl(uffd, WWK_UFFDIO_REGISTER, &arg) == 0;
}

bool fuzz_protect(int uffd, const void *start, size_t length, uint64_t mode)
{
	struct wwk_uffdio_writeprotect arg = {{(uintptr_t)start, length}, mode};

	return fuzz_ioctl(uffd, WWK_UFFDIO_WRITEPROTECT, &arg) == 0;
}

/* A file on a disk, one in memory, and one in memory that may have huge pages. */
static bool open_files(void)
{
	char name[] = "scan-fuzz-XXXXXX";
	int fds[FILES] = {mkstemp(name), memfd_create("scan-fuzz", MFD_CLOEXEC),
			  memfd_create("scan-fuzz", MFD_CLOEXEC)};

	unlink(name);
	for (int i = 0; i < FILES; i++) {
		if (fds[i] < 0 || ftruncate(fds[i], WINDOW) != 0 ||
		    dup3(fds[i], FD_FILE + i, O_CLOEXEC) < 0)
			return false;
		close(fds[i]);
	}
	return true;
}

static int worker(int number)
{
	struct sigaction action = {.sa_sigaction = fault, .sa_flags = SA_NODEFER | SA_SIGINFO};
	struct actor actors[MODELS + CHAOS];
	pthread_t threads[MODELS + CHAOS];
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	if (fd < 0 || dup3(fd, FD_PAGEMAP, O_CLOEXEC) < 0 || !open_files() || !model_reserve()) {
		fuzz_violation("cannot start: %s", strerror(errno));
		return 1;
	}
	for (int i = 0; i < MODELS + CHAOS; i++) {
		actors[i].worker = number;
		actors[i].random = fuzz->seed * 64 + (uint64_t)(number * (MODELS + CHAOS) + i);
		if (pthread_create(&threads[i], NULL, i < MODELS ? model_thread : chaos_thread,
				   &actors[i]) != 0) {
			fuzz_violation("cannot start a thread");
			return 1;
		}
	}
	for (int i = 0; i < MODELS + CHAOS; i++)
		pthread_join(threads[i], NULL);
	chaos_end();
	return atomic_load(&fuzz->failed);
}

static void print_counts(void)
{
	static const char *const names[] = {
#define X(name) #name,
	    FUZZ_OPS(X)
#undef X
	};

	for (int i = 0; i < OPS; i++)
		printf("count %-24s done %9" PRIu64 "  refused %9" PRIu64 "\n", names[i],
		       atomic_load(&fuzz->done[i]), atomic_load(&fuzz->refused[i]));
	for (int i = 0; i < 256; i++)
		if (atomic_load(&fuzz->scan_errors[i]) != 0)
			printf("scans %-24s %9" PRIu64 "\n", i ? strerrorname_np(i) : "successful",
			       atomic_load(&fuzz->scan_errors[i]));
	for (int i = 0; i < 2; i++)
		printf("starved %-22s %9" PRIu64 "  ENOMEM %10" PRIu64 "\n",
		       i ? "scans" : "userfaultfd", atomic_load(&fuzz->starved[i]),
		       atomic_load(&fuzz->no_memory[i]));
	printf("pages that a model checked: %" PRIu64 "\n", atomic_load(&fuzz->checked_pages));
}

static void print_file(const char *thread, const char *name)
{
	char path[300], text[4096];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", thread, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	dprintf(STDOUT_FILENO, "  %s: %s\n", path, text);
	if (fd >= 0)
		close(fd);
}

/* Where all threads of the fuzzer wait, or that they do not. */
static void print_threads(void)
{
	glob_t found;

	if (glob("/proc/[0-9]*/task/[0-9]*", 0, NULL, &found) != 0)
		return;
	for (size_t i = 0; i < found.gl_pathc; i++) {
		char path[300], name[16] = "";
		int fd;

		snprintf(path, sizeof(path), "%s/comm", found.gl_pathv[i]);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (read(fd, name, 9) == 9 && strcmp(name, "scan_fuzz") == 0) {
			print_file(found.gl_pathv[i], "stat");
			print_file(found.gl_pathv[i], "syscall");
			print_file(found.gl_pathv[i], "wchan");
			print_file(found.gl_pathv[i], "stack");
		}
		close(fd);
	}
	globfree(&found);
}

/* Waits until the time is over or something went wrong; what does not end then is stuck. */
static void watch(long seconds)
{
	struct timespec tick = {0, 100000000};
	int left = WORKERS, late = 0, status;
	long ticks = 0;

	while (left > 0) {
		pid_t pid = waitpid(-1, &status, WNOHANG);

		if (pid > 0) {
			left--;
			if (WIFSIGNALED(status))
				fuzz_violation("process %d: %s", pid, strsignal(WTERMSIG(status)));
			else if (WEXITSTATUS(status) != 0)
				fuzz_violation("process %d: status %d", pid, WEXITSTATUS(status));
			continue;
		}
		nanosleep(&tick, NULL);
		if (++ticks >= seconds * 10)
			atomic_store(&fuzz->stop, true);
		if (atomic_load(&fuzz->stop) && ++late == 600) {
			fuzz_violation("a process does not end");
			print_threads();
			for (int i = 0; i < WORKERS; i++)
				kill(fuzz->workers[i], SIGKILL);
			return;
		}
	}
}

int main(int argc, char **argv)
{
	struct timespec now;

	if (argc < 2 || argc > 4) {
		fprintf(stderr, "usage: scan_fuzz SECONDS [SEED|- [strict]]\n");
		return 2;
	}
	fuzz = mmap(NULL, sizeof(*fuzz), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (fuzz == MAP_FAILED)
		return 1;
	clock_gettime(CLOCK_REALTIME, &now);
	fuzz->seed = argc > 2 && strcmp(argv[2], "-") != 0
			 ? strtoull(argv[2], NULL, 10)
			 : (uint64_t)now.tv_nsec / 1000 + (uint64_t)now.tv_sec % 1000;
	fuzz->strict = argc > 3;
	printf("seed %" PRIu64 "\n", fuzz->seed);
	fflush(stdout);
	/* At the same place in every process, so that one may scan the other's. */
	fuzz->window = mmap(NULL, WINDOW + HUGE_PAGE, PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (fuzz->window == MAP_FAILED)
		return 1;
	fuzz->window += -(uintptr_t)fuzz->window & (HUGE_PAGE - 1);
	for (int i = 0; i < WORKERS; i++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(worker(i));
		fuzz->workers[i] = pid;
	}
	watch(strtol(argv[1], NULL, 10));
	print_counts();
	printf("%s\n", atomic_load(&fuzz->failed) ? "FAIL" : "PASS");
	return atomic_load(&fuzz->failed);
}
