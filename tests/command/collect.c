/* SPDX-License-Identifier: MIT */
/* What 'writewatch probe' does in its process, and that nothing of it is left behind. */
#include "checkers.h"
#include "leaks.h"
#include "probe.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct probe_report report;

/* The library may keep something for the life of the process, but not something each time. */
static void begin(void)
{
	probe_collect(&report);
	leaks_begin();
}

TestSuite(collect, .init = begin, .fini = leaks_end_threads);

static size_t count_threads(void)
{
	DIR *tasks = opendir("/proc/self/task");
	size_t count = 0;

	cr_assert(tasks);
	for (struct dirent *entry; (entry = readdir(tasks));)
		count += entry->d_name[0] != '.';
	closedir(tasks);
	return count;
}

/* In the place of a signal's number. */
#define CANNOT 100

static void read_handlers(struct sigaction *actions)
{
	memset(actions, 0, NSIG * sizeof(*actions));
	/* Fails for the two signals that glibc keeps for itself. */
	for (int s = 1; s < NSIG; s++)
		sigaction(s, NULL, &actions[s]);
}

Test(collect_first, leaves_no_handler_and_no_thread)
{
	struct sigaction before[NSIG], after[NSIG];
	sigset_t mask_before, mask_after;
	size_t threads = count_threads();

	read_handlers(before);
	sigprocmask(SIG_BLOCK, NULL, &mask_before);
	probe_collect(&report);
	sigprocmask(SIG_BLOCK, NULL, &mask_after);
	read_handlers(after);
	cr_expect_eq(count_threads(), threads);
	for (int s = 1; s < NSIG; s++) {
		/* Those of the library stay where there are other threads, as the framework has: ww_free(). */
		if (s != SIGSEGV && s != SIGBUS)
			cr_expect_eq(after[s].sa_handler, before[s].sa_handler, "signal %d", s);
		cr_expect_eq(sigismember(&mask_after, s), sigismember(&mask_before, s), "signal %d",
			     s);
	}
}

/* In a child, which has none of the framework's threads. */
static _Noreturn void collect_alone(void)
{
	struct sigaction before[NSIG], after[NSIG];

	if (count_threads() != 1)
		_exit(CANNOT);
	read_handlers(before);
	probe_collect(&report);
	read_handlers(after);
	/* One that was joined may take a moment to leave. */
	for (int i = 0; i < 1000 && count_threads() != 1; i++)
		usleep(1000);
	if (count_threads() != 1)
		_exit(CANNOT + 1);
	for (int s = 1; s < NSIG; s++)
		if (after[s].sa_handler != before[s].sa_handler)
			_exit(s);
	_exit(0);
}

Test(collect_first, leaves_no_handler_of_faults_where_it_is_alone)
{
	int status;
	pid_t pid;

	if (thread_sanitizer)
		cr_skip_test("ThreadSanitizer has a thread of its own");
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0)
		collect_alone();
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFEXITED(status), "status 0x%x", status);
	cr_assert_lt(WEXITSTATUS(status), CANNOT, "threads: %d", WEXITSTATUS(status));
	cr_assert_eq(WEXITSTATUS(status), 0, "signal %d", WEXITSTATUS(status));
}

Test(collect_first, keeps_one_thing_at_most)
{
	leaks_begin();
	probe_collect(&report);
	cr_expect_leq(leaks_found(LEAKS_THREAD_STACKS), 1);
}

/* The suite compares them. */
Test(collect, leaves_no_mapping_and_no_descriptor)
{
	probe_collect(&report);
	cr_expect_neq(report.machine.page_size, 0);
}

Test(collect, leaves_no_file)
{
	char directory[] = "/tmp/probe.XXXXXX";

	cr_assert(mkdtemp(directory));
	cr_assert_eq(chdir(directory), 0);
	cr_assert_eq(setenv("TMPDIR", directory, 1), 0);
	probe_collect(&report);
	cr_expect_eq(rmdir(directory), 0, "not empty");
}

Test(collect, tells_the_same_twice)
{
	static struct probe_report again;

	probe_collect(&report);
	probe_collect(&again);
	for (size_t i = 0; i < PROBE_BACKENDS; i++) {
		const struct probe_backend *a = &report.backends[i];
		const struct probe_backend *b = &again.backends[i];

		cr_expect_eq(a->usable, b->usable, "%s", a->name);
		cr_expect_eq(a->guarantees, b->guarantees, "%s", a->name);
		cr_expect_eq(a->error, b->error, "%s", a->name);
		cr_expect_eq(a->chosen, b->chosen, "%s", a->name);
	}
}

/* A name of the table that the library does not know would look like any other refusal. */
Test(collect, knows_the_names_of_the_library)
{
	probe_collect(&report);
	for (size_t i = 0; i < PROBE_BACKENDS; i++)
		cr_expect_neq(report.backends[i].error, EINVAL, "%s", report.backends[i].name);
}

Test(collect, every_usable_backend_is_measured)
{
	probe_collect(&report);
	for (size_t i = 0; i < PROBE_BACKENDS; i++) {
		const struct probe_backend *b = &report.backends[i];

		if (!b->usable)
			continue;
		cr_expect_eq(b->measure_error, 0, "%s: %s", b->name,
			     probe_error_words(b->measure_error));
		cr_expect_gt(b->cost.write_ns, 0, "%s", b->name);
		cr_expect_gt(b->cost.get_ns, 0, "%s", b->name);
	}
}

/* The first backend that is usable and not only by name. */
Test(collect, the_choice_is_the_first_usable_one)
{
	const struct probe_backend *first = NULL;

	probe_collect(&report);
	for (size_t i = 0; i < PROBE_BACKENDS - 1 && !first; i++) {
		if (report.backends[i].usable)
			first = &report.backends[i];
	}
	cr_expect_eq(report.chosen, first);
	cr_expect_eq(report.backends[PROBE_BACKENDS - 1].chosen, false);
}
