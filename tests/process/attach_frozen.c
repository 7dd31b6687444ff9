/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "attached.h"
#include "child.h"
#include "leaks.h"
#include "pages.h"
#include "sys_process.h"

/* Processes that stop when they are told to, but do not run: they are what they were later. */

static char group[256];

static bool set_file(const char *name, const char *value)
{
	char path[512];
	int fd;
	bool done;

	snprintf(path, sizeof(path), "%s/%s", group, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	done = fd >= 0 && write(fd, value, strlen(value)) == (ssize_t)strlen(value);
	close(fd);
	return done;
}

/* Of the second version, whose frozen processes can be traced. */
static bool make_group(void)
{
	char line[1024], at[128], type[32];
	FILE *mounts = fopen("/proc/self/mounts", "re");

	group[0] = '\0';
	while (mounts && !group[0] && fgets(line, sizeof(line), mounts))
		if (sscanf(line, "%*s %127s %31s", at, type) == 2 && strcmp(type, "cgroup2") == 0)
			snprintf(group, sizeof(group), "%s/writewatch-test-%d", at, (int)getpid());
	if (mounts)
		fclose(mounts);
	return group[0] && mkdir(group, 0755) == 0;
}

/* The target is frozen when it has opened a userfaultfd. */
static bool freeze_when_open;
int __real_sys_pidfd_getfd(struct sys_file *file, int pidfd, int fd);
int __wrap_sys_pidfd_getfd(struct sys_file *file, int pidfd, int fd);

int __wrap_sys_pidfd_getfd(struct sys_file *file, int pidfd, int fd)
{
	if (freeze_when_open)
		cr_assert(set_file("cgroup.freeze", "1"));
	return __real_sys_pidfd_getfd(file, pidfd, fd);
}

static void begin(void)
{
	attach_begin();
	leaks_begin();
	if (!make_group())
		cr_skip("no group of processes can be made here that could be frozen");
}

static void end(void)
{
	for (int i = 0; group[0] && rmdir(group) < 0 && errno == EBUSY && i < 1000; i++)
		usleep(1000);
	leaks_end_threads();
}

TestSuite(frozen, .init = begin, .fini = end, .timeout = 60);

static unsigned *rounds;

static void count_rounds(void)
{
	for (;;) {
		usleep(1000);
		__atomic_add_fetch(rounds, 1, __ATOMIC_SEQ_CST);
	}
}

static void count(void *arg)
{
	static char small[64 * 1024];
	static ucontext_t inside;

	if (!*(bool *)arg)
		count_rounds();
	/* On a stack that no frame is put on. */
	getcontext(&inside);
	inside.uc_stack.ss_sp = small;
	inside.uc_stack.ss_size = sizeof(small);
	makecontext(&inside, count_rounds, 0);
	setcontext(&inside);
}

static void await_rounds(void)
{
	const unsigned before = __atomic_load_n(rounds, __ATOMIC_SEQ_CST);

	for (int i = 0; i < 5000 && __atomic_load_n(rounds, __ATOMIC_SEQ_CST) < before + 10; i++)
		usleep(1000);
	cr_assert_geq(__atomic_load_n(rounds, __ATOMIC_SEQ_CST), before + 10);
}

static pid_t start(bool small)
{
	char number[32];
	pid_t pid;

	rounds = map_common(sizeof(*rounds));
	pid = child_start_then(NULL, count, &small);
	await_rounds();
	snprintf(number, sizeof(number), "%d", (int)pid);
	if (!set_file("cgroup.procs", number) || !set_file("cgroup.freeze", "1"))
		cr_skip("processes cannot be frozen here");
	usleep(50000);
	return pid;
}

static void expect_frozen(pid_t pid, bool heals)
{
	struct ww_attachment info = {.size = sizeof(info)};
	struct ww_process *p;

	cr_assert_eq(ww_process_open(&p, pid, 0), 0);
	cr_assert_eq(ww_process_attach(p, 0), -ETIMEDOUT);
	cr_assert_eq(ww_process_attachment(p, &info), 0);
	cr_assert(info.reason && strstr(info.reason, "frozen"), "%s", info.reason);
	cr_assert_eq(info.self_healing, heals);
	ww_process_close(p);
}

/* It runs, and can be attached to again. */
static void end_well(pid_t pid)
{
	struct ww_attachment info;
	char *look;

	cr_assert(set_file("cgroup.freeze", "0"));
	await_rounds();
	look = look_of(pid);
	cr_assert_not(strstr(look, "userfaultfd"));
	free(look);
	cr_assert_eq(attach_result(pid, &info), 0);
	child_end(pid);
	munmap(rounds, sizeof(*rounds));
}

static void attach_to_frozen(bool small)
{
	pid_t pid = start(small);
	char *before = look_of(pid), *after;

	expect_frozen(pid, !small);
	usleep(50000);
	after = look_of(pid);
	cr_assert_str_eq(before, after);
	free(before);
	free(after);
	end_well(pid);
}

Test(frozen, go_on_as_they_were)
{
	attach_to_frozen(false);
}

Test(frozen, also_where_they_could_not_heal)
{
	attach_to_frozen(true);
}

Test(frozen, close_what_they_had_opened)
{
	pid_t pid = start(false);

	cr_assert(set_file("cgroup.freeze", "0"));
	await_rounds();
	freeze_when_open = true;
	expect_frozen(pid, true);
	freeze_when_open = false;
	end_well(pid);
}
