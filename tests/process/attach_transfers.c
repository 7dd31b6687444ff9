/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attached.h"
#include "child.h"
#include "leaks.h"

/* Calls that are interrupted and would fail, and are made to go on. */

static void begin(void)
{
	attach_begin();
	leaks_begin();
}

TestSuite(transfers, .init = begin, .fini = leaks_end_threads);

enum transfer { RECEIVE, SEND, SEND_FILE, TRANSFERS };

/* For single bytes, and for pages, which some kernels still take when they take no bytes. */
static void fill(int socket, int file)
{
	char bytes[4096] = {0};

	while (send(socket, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
	while (send(socket, bytes, 1, MSG_DONTWAIT) > 0)
		;
	fcntl(socket, F_SETFL, O_NONBLOCK);
	while (sendfile(socket, file, &(off_t){0}, sizeof(bytes)) > 0)
		;
	fcntl(socket, F_SETFL, 0);
}

/* With a timeout, which is what makes them fail when they are interrupted. */
static void wait_in_transfer(enum transfer what)
{
	const struct timeval timeout = {.tv_sec = 100};
	char byte = 0;
	struct iovec iov = {&byte, 1};
	struct mmsghdr message = {.msg_hdr = {.msg_iov = &iov, .msg_iovlen = 1}};
	int ends[2], file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0 ||
	    setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0 ||
	    setsockopt(ends[0], SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) < 0)
		_exit(100);
	if (what != RECEIVE)
		fill(ends[0], file);
	if (what == RECEIVE)
		recvmmsg(ends[0], &message, 1, 0, NULL);
	else if (what == SEND)
		sendmmsg(ends[0], &message, 1, 0);
	else
		sendfile(ends[0], file, NULL, 100);
	_exit(errno);
}

Test(transfers, with_a_timeout_go_on)
{
	for (enum transfer what = RECEIVE; what < TRANSFERS; what++) {
		struct ww_attachment info;
		pid_t pid = fork();
		int status;

		if (pid == 0)
			wait_in_transfer(what);
		usleep(20000);
		for (int i = 0; i < 3; i++) {
			wait_for_state(pid, 'S');
			cr_assert_eq(attach_result(pid, &info), 0, "%d", what);
		}
		usleep(20000);
		cr_assert_eq(waitpid(pid, &status, WNOHANG), 0, "%d: %x", what, status);
		child_end(pid);
	}
}
