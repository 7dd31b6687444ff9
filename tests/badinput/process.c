/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <writewatch/writewatch.h>

#include "backends.h"
#include "leaks.h"
#include "pages.h"

/* Processes with something missing. Each body runs in a child: 0 passed, 255 skipped. */

#define PAGE 4096
#define PAGES 64
#define SKIP 255
#define CHECK(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			return 1; \
		} \
	} while (0)

static void begin(void)
{
	backend_begin();
	leaks_begin();
}

TestSuite(process, .init = begin, .fini = leaks_end);

static void in_child(int (*body)(void))
{
	int status = -1;
	pid_t child = fork();

	cr_assert_geq(child, 0);
	if (child == 0)
		_exit(body());
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert(WIFEXITED(status), "signal %d", WTERMSIG(status));
	if (WEXITSTATUS(status) == SKIP)
		cr_skip_test("needs root");
	cr_assert_eq(WEXITSTATUS(status), 0);
}

static size_t written(struct ww *w, char *p, unsigned flags)
{
	void *pages[PAGES];
	size_t count = PAGES;

	return ww_get(w, p, PAGES * PAGE, flags, pages, &count) == 0 ? count : SIZE_MAX;
}

static const char *reason(void)
{
	static struct ww_info info;

	info = (struct ww_info){.size = sizeof(info)};
	return ww_probe(NULL, &info) == 0 && !info.backend ? info.refusals[0].reason : "";
}

static int works(void)
{
	char *p = map_private(PAGES * PAGE);
	struct ww *w;

	CHECK(ww_new(&w, NULL) == 0);
	CHECK(ww_watch(w, p, PAGES * PAGE, 0) == 0);
	p[PAGE] = 1;
	CHECK(written(w, p, WW_RESET) == 1);
	CHECK(written(w, p, 0) == 0);
	ww_free(w);
	return 0;
}

static int without_standard_descriptors(void)
{
	struct ww *w;

	close(0);
	close(1);
	close(2);
	CHECK(ww_new(&w, NULL) == 0);
	CHECK(fcntl(0, F_GETFD) == -1 && fcntl(1, F_GETFD) == -1 && fcntl(2, F_GETFD) == -1);
	ww_free(w);
	return works();
}

Test(process, closed_standard_descriptors_stay_closed)
{
	in_child(without_standard_descriptors);
}

static int without_descriptors(void)
{
	struct rlimit limit;
	struct ww *w;

	getrlimit(RLIMIT_NOFILE, &limit);
	for (rlim_t n = 0; n < 40; n++) {
		int r;

		limit.rlim_cur = n;
		setrlimit(RLIMIT_NOFILE, &limit);
		r = ww_new(&w, NULL);
		CHECK(r == 0 || r == -EMFILE);
		CHECK(r == 0 || strstr(reason(), "descriptors"));
		ww_free(w);
	}
	return works();
}

Test(process, no_descriptors_left)
{
	in_child(without_descriptors);
}

static char *watched;
static struct ww *made;

static void *make(void *unused)
{
	if (ww_new(&made, NULL) != 0 || ww_watch(made, watched, PAGES * PAGE, 0) != 0)
		made = NULL;
	return unused;
}

static int use_what_was_made(void)
{
	for (int i = 0; i < 3; i++) {
		watched[i * PAGE] = 1;
		CHECK(written(made, watched, WW_RESET) == 1);
		CHECK(written(made, watched, 0) == 0);
	}
	ww_free(made);
	return 0;
}

static int made_by_a_thread(void)
{
	pthread_t thread;

	watched = map_private(PAGES * PAGE);
	CHECK(pthread_create(&thread, NULL, make, NULL) == 0);
	CHECK(pthread_join(thread, NULL) == 0 && made);
	return use_what_was_made();
}

Test(process, the_thread_that_made_the_context_has_ended)
{
	in_child(made_by_a_thread);
}

static void *go_on_alone(void *first)
{
	char path[64], text[64] = "";
	int fd, tries = 0;

	(void)first;
	/* What it was is left until the process ends: a zombie. */
	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", getpid());
	while (!strstr(text, ") Z") && ++tries < 20000) {
		usleep(1000);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		(void)!read(fd, text, sizeof(text) - 1);
		close(fd);
	}
	_exit(tries < 20000 && use_what_was_made() == 0 ? works() : 2);
}

static int without_the_first_thread(void)
{
	pthread_t thread;

	watched = map_private(PAGES * PAGE);
	make(NULL);
	CHECK(made && pthread_create(&thread, NULL, go_on_alone, NULL) == 0);
	/* This thread, not the process, and without the C library, which loads another one for it. */
	syscall(SYS_exit, 0L);
	return 1;
}

Test(process, the_first_thread_has_ended)
{
	in_child(without_the_first_thread);
}

static int without_address_space(void)
{
	char *p = map_private(PAGES * PAGE);
	struct rlimit limit = {0, RLIM_INFINITY};
	struct ww *w;

	CHECK(ww_new(&w, NULL) == 0);
	CHECK(ww_watch(w, p, PAGES * PAGE, 0) == 0);
	p[PAGE] = 1;
	CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
	CHECK(written(w, p, 0) == 1);
	CHECK(written(w, p, WW_RESET) == 1);
	CHECK(written(w, p, WW_RESET) == 0);
	CHECK(ww_mark(w, p + 5 * PAGE, PAGE) == 0);
	CHECK(written(w, p, WW_RESET) == 1);
	ww_free(w);
	CHECK(ww_new(&w, NULL) == -ENOMEM && w == NULL);
	return 0;
}

Test(process, no_address_space_left)
{
	in_child(without_address_space);
}

static int deny(unsigned call, unsigned error)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof(code) / sizeof(*code), code};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static int denied(unsigned error)
{
	struct ww *w;

	if (setgid(65534) || setuid(65534) || prctl(PR_SET_DUMPABLE, 1))
		return SKIP;
	CHECK(deny(SYS_userfaultfd, error));
	if (except(NO_USERFAULTFD))
		return works();
	CHECK(ww_new(&w, NULL) == -ENOTSUP && w == NULL);
	CHECK(strstr(reason(), "seccomp") || strstr(reason(), "denied"));
	return 0;
}

static int denied_by_error(void)
{
	return denied(EPERM);
}

static int denied_by_absence(void)
{
	return denied(ENOSYS);
}

Test(process, userfaultfd_denied_by_seccomp)
{
	in_child(denied_by_error);
	in_child(denied_by_absence);
}

static int without_proc(void)
{
	struct ww *w;

	if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return SKIP;
	CHECK(umount2("/proc", MNT_DETACH) == 0);
	CHECK(ww_new(&w, NULL) == -ENOTSUP && w == NULL);
	CHECK(strstr(reason(), "is /proc mounted"));
	return 0;
}

Test(process, no_proc)
{
	in_child(without_proc);
}

static int proc_lost_later(void)
{
	char *p = map_private(PAGES * PAGE);
	struct ww *w;

	CHECK(ww_new(&w, NULL) == 0);
	if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return SKIP;
	CHECK(umount2("/proc", MNT_DETACH) == 0);
	CHECK(ww_watch(w, p, PAGES * PAGE, 0) == 0);
	p[PAGE] = 1;
	CHECK(written(w, p, WW_RESET) == 1);
	ww_free(w);
	return 0;
}

Test(process, proc_is_needed_at_the_beginning_only)
{
	in_child(proc_lost_later);
}

static int not_dumpable(void)
{
	char *p = map_private(PAGES * PAGE);
	struct ww *early, *late;

	CHECK(ww_new(&early, NULL) == 0);
	if (setgid(65534) || setuid(65534) || prctl(PR_SET_DUMPABLE, 0))
		return SKIP;
	if (except(NO_PAGEMAP)) {
		CHECK(works() == 0);
	} else {
		CHECK(ww_new(&late, NULL) == -ENOTSUP && late == NULL);
		CHECK(strstr(reason(), "not dumpable"));
	}
	CHECK(ww_watch(early, p, PAGES * PAGE, 0) == 0);
	p[PAGE] = 1;
	CHECK(written(early, p, WW_RESET) == 1);
	ww_free(early);
	return 0;
}

Test(process, not_dumpable)
{
	in_child(not_dumpable);
}

/* closefrom(3) by a host that becomes a daemon: an error or a report too many, never one less. */
static int host_reused_ours(bool by_pipes)
{
	char *p = map_private(PAGES * PAGE);
	int pipes[8][2];
	size_t count;
	struct ww *w;

	CHECK(ww_new(&w, NULL) == 0);
	CHECK(ww_watch(w, p, PAGES * PAGE, 0) == 0);
	p[PAGE] = 1;
	syscall(SYS_close_range, 3, ~0u, 0);
	/* These do not even say that they are no such thing: ioctl on them is EINVAL. */
	for (int i = 0; i < 8 && !by_pipes; i++)
		CHECK(epoll_create1(0) >= 0);
	for (int i = 0; i < 8; i++)
		CHECK(pipe(pipes[i]) == 0);
	p[2 * PAGE] = 1;
	if (except(NO_PAGEMAP)) {
		CHECK(written(w, p, WW_RESET) == 2);
	} else {
		count = written(w, p, WW_RESET);
		/* Whoever handles faults may have found out before. */
		CHECK(count == PAGES || (count == SIZE_MAX && written(w, p, WW_RESET) == PAGES));
	}
	CHECK(written(w, p, WW_RESET) == 0);
	p[3 * PAGE] = 1;
	CHECK(written(w, p, WW_RESET) == 1);
	ww_free(w);
	for (int i = 0; i < 8; i++)
		CHECK(write(pipes[i][1], "x", 1) == 1);
	return 0;
}

static int host_closed_ours(void)
{
	return host_reused_ours(true);
}

static int host_closed_ours_for_others(void)
{
	return host_reused_ours(false);
}

static int host_closed_ours_then_watches(void)
{
	char *p = map_private(PAGES * PAGE), *q = map_private(PAGES * PAGE);
	struct ww *w;

	CHECK(ww_new(&w, NULL) == 0);
	CHECK(ww_watch(w, p, PAGES * PAGE, 0) == 0);
	syscall(SYS_close_range, 3, ~0u, 0);
	p[2 * PAGE] = 1;
	CHECK(ww_watch(w, q, PAGES * PAGE, 0) == 0);
	CHECK(written(w, p, WW_RESET) == PAGES);
	q[PAGE] = 1;
	CHECK(written(w, q, WW_RESET) == 1);
	ww_free(w);
	return 0;
}

/* Each of ours alone; which one is which, the link in /proc tells. */
static int host_closed_one(const char *name)
{
	char *p = map_private(PAGES * PAGE), *q = map_private(PAGES * PAGE);
	struct ww *w;
	int closed = 0;

	CHECK(ww_new(&w, NULL) == 0);
	CHECK(ww_watch(w, p, PAGES * PAGE, 0) == 0);
	p[PAGE] = 1;
	for (int fd = 3; fd < 64; fd++) {
		char link[64], target[256] = "";

		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		if (readlink(link, target, sizeof(target) - 1) > 0 && strstr(target, name))
			closed += close(fd) == 0;
	}
	CHECK(closed > 0);
	CHECK(ww_watch(w, q, PAGES * PAGE, 0) == 0);
	q[PAGE] = 1;
	for (int tries = 0; tries < 2; tries++)
		if (written(w, p, 0) != SIZE_MAX)
			break;
	CHECK(written(w, p, WW_RESET) >= 1);
	CHECK(written(w, q, WW_RESET) >= 1);
	p[2 * PAGE] = 1;
	CHECK(written(w, p, WW_RESET) == 1);
	ww_free(w);
	return 0;
}

static int host_closed_pagemap(void)
{
	return host_closed_one("/pagemap");
}

static int host_closed_maps(void)
{
	return host_closed_one("/maps");
}

static int host_closed_uffd(void)
{
	return host_closed_one("userfaultfd");
}

Test(process, one_descriptor_closed_by_the_host)
{
	in_child(host_closed_maps);
	if (except(NO_PAGEMAP))
		left_out("closing /proc/self/pagemap", NO_PAGEMAP);
	else
		in_child(host_closed_pagemap);
	if (except(NO_USERFAULTFD))
		left_out("closing the userfaultfd", NO_USERFAULTFD);
	else
		in_child(host_closed_uffd);
}

Test(process, descriptors_closed_by_the_host)
{
	in_child(host_closed_ours);
	in_child(host_closed_ours_for_others);
	in_child(host_closed_ours_then_watches);
}
