/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attached.h"
#include "child.h"
#include "leaks.h"
#include "pages.h"

#define PAGES 64

static int ends[2];
static char *memory;

static void begin(void)
{
	attach_begin();
	leaks_begin();
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	memory = map_private(PAGES * page_bytes());
}

static void end(void)
{
	close(ends[0]);
	close(ends[1]);
	unmap(memory, PAGES * page_bytes());
	leaks_end();
}

TestSuite(offer, .init = begin, .fini = end);

/* Offers itself, and writes one more page for each byte that it is sent. */
static void offer_and_write(void *arg)
{
	const uid_t user = *(uid_t *)arg;
	char c;

	if (user && (setgid(user) < 0 || setuid(user) < 0))
		_exit(2);
	memory[0] = 1;
	if (ww_process_offer(ends[1]) < 0)
		_exit(1);
	for (size_t i = 1; read(ends[1], &c, 1) == 1; i++) {
		memory[i * page_bytes()] = 1;
		if (write(ends[1], "", 1) != 1)
			_exit(1);
	}
	_exit(0);
}

static pid_t start(uid_t user)
{
	pid_t pid = fork();

	if (pid == 0)
		offer_and_write(&user);
	return pid;
}

static void let_it_write(void)
{
	char c;

	cr_assert_eq(write(ends[0], "", 1), 1);
	cr_assert_eq(read(ends[0], &c, 1), 1);
}

Test(offer, is_watched_from_then_on)
{
	const size_t page = page_bytes();
	struct ww_attachment info = {.size = sizeof(info)};
	struct ww_process *p;
	pid_t pid = start(0);

	cr_assert_eq(ww_process_accept(&p, ends[0]), 0);
	cr_assert_eq(ww_process_attachment(p, &info), 0);
	cr_assert(info.attached && info.stopped_ns == 0 && info.watched > 0);
	cr_assert_eq(take_written(p, memory, PAGES * page), 0);
	for (size_t i = 1; i < 10; i++) {
		let_it_write();
		cr_assert(is_written(p, memory + i * page, 0));
		cr_assert_eq(take_written(p, memory, PAGES * page), 1);
	}
	cr_assert_eq(ww_process_refresh(p), 0);
	ww_process_close(p);
	child_end(pid);
}

static int watch_as_nobody(void *arg)
{
	struct ww_process *p;
	int r;

	(void)arg;
	if (setgid(65534) < 0 || setuid(65534) < 0)
		return 2;
	r = ww_process_accept(&p, ends[0]);
	if (r < 0)
		return 100 - r;
	let_it_write();
	r = is_written(p, memory + page_bytes(), 0) ? 0 : 3;
	ww_process_close(p);
	return r;
}

Test(offer, takes_no_permission)
{
	pid_t pid;

	if (geteuid() != 0)
		cr_skip("takes root to become another user");
	pid = start(0);
	cr_assert_eq(child_result(watch_as_nobody, NULL), 0);
	child_end(pid);
}

static void send_bytes(const void *bytes, size_t size)
{
	cr_assert_eq(write(ends[1], bytes, size), (ssize_t)size);
}

Test(offer, anything_else_is_refused)
{
	struct ww_process *p = (struct ww_process *)&p;
	int file = open("/dev/null", O_RDWR | O_CLOEXEC);

	cr_assert_eq(ww_process_accept(NULL, ends[0]), -EINVAL);
	cr_assert_eq(ww_process_accept(&p, -1), -EBADF);
	cr_assert_null(p);
	cr_assert_eq(ww_process_accept(&p, file), -ENOTSOCK);
	cr_assert_eq(ww_process_offer(-1), -EBADF);
	cr_assert_eq(ww_process_offer(file), -ENOTSOCK);
	close(file);
	send_bytes("writewatch 1", 13);
	cr_assert_eq(ww_process_accept(&p, ends[0]), -EPROTO, "no descriptors");
	send_bytes("x", 1);
	cr_assert_eq(ww_process_accept(&p, ends[0]), -EPROTO);
	cr_assert_eq(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
	cr_assert_eq(ww_process_accept(&p, ends[0]), -EAGAIN);
	shutdown(ends[1], SHUT_WR);
	cr_assert_eq(ww_process_accept(&p, ends[0]), -EPIPE);
	shutdown(ends[0], SHUT_RD);
	cr_assert_eq(ww_process_offer(ends[1]), -EPIPE);
}

/* As ww_process_offer() does, but with one descriptor that is another's. */
static void offer_with(int which, int foreign)
{
	const size_t size = 4 * sizeof(int);
	struct iovec iov = {(char *)"writewatch 1", 13};
	char control[CMSG_SPACE(4 * sizeof(int))] __attribute__((aligned(sizeof(size_t))));
	struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
				.msg_controllen = sizeof(control)};
	struct cmsghdr *part = CMSG_FIRSTHDR(&header);
	int fds[4] = {pidfd_of(getpid()), open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC),
		      open("/proc/self/maps", O_RDONLY | O_CLOEXEC), dup(foreign)};

	close(fds[which]);
	fds[which] = dup(foreign);
	part->cmsg_level = SOL_SOCKET;
	part->cmsg_type = SCM_RIGHTS;
	part->cmsg_len = CMSG_LEN(size);
	memcpy(CMSG_DATA(part), fds, size);
	cr_assert_eq(sendmsg(ends[1], &header, 0), 13);
	for (int i = 0; i < 4; i++)
		close(fds[i]);
}

Test(offer, of_other_files_is_refused)
{
	const int yes = 1;
	int file = open("/dev/null", O_RDWR | O_CLOEXEC), pipes[2];
	struct ww_process *p;

	cr_assert_eq(pipe(pipes), 0);
	/* What is sent before it is waited for has a sender, too. */
	cr_assert_eq(setsockopt(ends[0], SOL_SOCKET, SO_PASSCRED, &yes, sizeof(yes)), 0);
	offer_with(3, file);
	cr_assert_eq(ww_process_accept(&p, ends[0]), -EPROTO);
	offer_with(2, pipes[0]);
	cr_assert_eq(ww_process_accept(&p, ends[0]), -EPROTO);
	close(file);
	close(pipes[0]);
	close(pipes[1]);
}
