/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "kinds.h"
#include "leaks.h"

/*
 * Writes by system calls succeed and are reported, page by page, on every kind of memory. Every one
 * is announced, which is needed on some backends and changes nothing on the others.
 */

static void begin(void)
{
	backend_begin();
	leaks_begin();
}

TestSuite(kernel_writes, .init = begin, .fini = leaks_end);

/* Where something is to be written from this byte on; returns its address. */
static char *prepared(struct watched *t, size_t offset, size_t len)
{
	char *at = t->memory + offset;

	cr_assert_eq(ww_prepare_write(t->w, at, len), 0, "%s", t->kind->name);
	return at;
}

static void by_read(struct watched *t)
{
	int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);

	cr_assert_eq(read(fd, prepared(t, 2 * PAGE + 5, 2 * PAGE), 2 * PAGE), 2 * PAGE);
	close(fd);
	get(t, WW_RESET);
	EXPECT(t, 2, 3, 4);
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	cr_assert_eq(read(fd, t->memory, PAGE), 0);
	close(fd);
	cr_assert_eq(read(-1, t->memory, PAGE), -1);
	get(t, WW_RESET);
	EXPECT_NONE(t);
}

Test(kernel_writes, by_read)
{
	ON_ALL_KINDS(by_read);
}

static void by_pipe_and_socket(struct watched *t)
{
	int pipes[2], sockets[2];

	cr_assert(pipe(pipes) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0);
	cr_assert_eq(write(pipes[1], "hello", 5), 5);
	cr_assert_eq(write(sockets[1], "hello", 5), 5);
	cr_assert_eq(read(pipes[0], prepared(t, 6 * PAGE, 5), 3 * PAGE), 5);
	cr_assert_eq(recv(sockets[0], prepared(t, 9 * PAGE - 2, 5), 3 * PAGE, 0), 5);
	close(pipes[0]);
	close(pipes[1]);
	close(sockets[0]);
	close(sockets[1]);
	get(t, WW_RESET);
	EXPECT(t, 6, 8, 9);
}

Test(kernel_writes, by_pipe_and_socket)
{
	ON_ALL_KINDS(by_pipe_and_socket);
}

static void by_other_calls(struct watched *t)
{
	char source[100] = "x";
	struct iovec from = {source, sizeof(source)};
	struct iovec to = {prepared(t, 11 * PAGE - 50, sizeof(source)), sizeof(source)};

	cr_assert_eq(process_vm_writev(getpid(), &from, 1, &to, 1, 0), 100);
	cr_assert_eq(clock_gettime(CLOCK_PROCESS_CPUTIME_ID,
				   (struct timespec *)prepared(t, 13 * PAGE, 16)),
		     0);
	cr_assert_eq(getrandom(prepared(t, 15 * PAGE, 16), 16, 0), 16);
	get(t, WW_RESET);
	EXPECT(t, 10, 11, 13, 15);
}

Test(kernel_writes, by_other_system_calls)
{
	ON_ALL_KINDS(by_other_calls);
}

static int read_some(struct io_uring *ring, int fd, void *buffer, unsigned len, int index)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
	struct io_uring_cqe *cqe;
	int result;

	if (index >= 0)
		io_uring_prep_read_fixed(sqe, fd, buffer, len, 0, index);
	else
		io_uring_prep_read(sqe, fd, buffer, len, 0);
	io_uring_submit(ring);
	if (io_uring_wait_cqe(ring, &cqe) != 0)
		return -1;
	result = cqe->res;
	io_uring_cqe_seen(ring, cqe);
	return result;
}

/* Reads may be short, and do come short into file mappings. */
static unsigned uring_read(struct io_uring *ring, int fd, char *buffer, unsigned len, int index)
{
	unsigned done = 0;

	while (done < len) {
		int n = read_some(ring, fd, buffer + done, len - done, index);

		if (n <= 0 && n != -EINTR && n != -EAGAIN)
			break;
		done += n > 0 ? (unsigned)n : 0;
	}
	return done;
}

static void by_io_uring(struct watched *t)
{
	int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	struct io_uring ring;

	cr_assert_eq(io_uring_queue_init(4, &ring, 0), 0);
	cr_assert_eq(uring_read(&ring, fd, prepared(t, 30 * PAGE, 2 * PAGE), 2 * PAGE, -1),
		     2 * PAGE, "%s", t->kind->name);
	get(t, WW_RESET);
	EXPECT(t, 30, 31);
	io_uring_queue_exit(&ring);
	close(fd);
}

Test(kernel_writes, by_io_uring)
{
	struct io_uring ring;
	int r = io_uring_queue_init(4, &ring, 0);

	if (r < 0)
		cr_skip_test("the kernel refuses io_uring: %s", strerror(-r));
	io_uring_queue_exit(&ring);
	ON_ALL_KINDS(by_io_uring);
}

/*
 * The limit: a buffer that was registered, hence pinned, before the last reset is written without
 * the page table, and nothing reports that. Marking it is the way out.
 */
static void read_registered(struct watched *t, struct io_uring *ring, int fd)
{
	cr_assert_eq(ww_reset(t->w, t->memory, (size_t)PAGES * PAGE), 0);
	cr_assert_eq(uring_read(ring, fd, t->memory + 40 * PAGE, 2 * PAGE, 0), 2 * PAGE, "%s",
		     t->kind->name);
	get(t, 0);
	if (except(NOT_EXACT))
		left_out("that such a write is not reported", NOT_EXACT);
	else
		EXPECT_NONE(t);
	cr_assert_eq(ww_mark(t->w, t->memory + 40 * PAGE, 2 * PAGE), 0);
	get(t, WW_RESET);
	EXPECT(t, 40, 41);
}

static void by_registered_buffer(struct watched *t)
{
	struct iovec buffer = {prepared(t, 40 * PAGE, 2 * PAGE), 2 * PAGE};
	int r, fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	struct io_uring ring;

	cr_assert_eq(io_uring_queue_init(4, &ring, 0), 0);
	r = io_uring_register_buffers(&ring, &buffer, 1);
	if (r == 0)
		read_registered(t, &ring, fd);
	else
		fprintf(stderr, "# %s: left out: %s: the kernel registers no such buffer: %s\n",
			backend()->name, t->kind->name, strerror(-r));
	io_uring_queue_exit(&ring);
	close(fd);
}

Test(kernel_writes, to_registered_buffers_are_for_ww_mark)
{
	struct io_uring ring;
	int r = io_uring_queue_init(4, &ring, 0);

	if (r < 0)
		cr_skip_test("the kernel refuses io_uring: %s", strerror(-r));
	io_uring_queue_exit(&ring);
	ON_ALL_KINDS(by_registered_buffer);
}

/* Refused or done, a write by the kernel is never half a secret. */
static void unprepared(struct watched *t)
{
	int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	ssize_t n;

	memset(t->memory + 50 * PAGE, 1, 3 * PAGE);
	cr_assert_eq(ww_reset(t->w, t->memory, (size_t)PAGES * PAGE), 0);
	n = read(fd, t->memory + 50 * PAGE, PAGE);
	if (n < 0) {
		cr_assert(errno == EFAULT && except(NO_KERNEL_WRITES), "%s", t->kind->name);
		left_out("a system call that writes, not prepared: EFAULT", NO_KERNEL_WRITES);
		get(t, 0);
		EXPECT_NONE(t);
		cr_assert_eq(t->memory[50 * PAGE], 1, "%s", t->kind->name);
	} else {
		cr_assert_eq(n, PAGE);
		get(t, WW_RESET);
		EXPECT(t, 50);
	}
	/* Up to the page that nobody wrote: short, and what was written is reported. */
	t->memory[51 * PAGE] = 2;
	n = read(fd, t->memory + 51 * PAGE, 2 * PAGE);
	cr_assert_eq(n, except(NO_KERNEL_WRITES) ? PAGE : 2 * PAGE, "%s: %zd", t->kind->name, n);
	get(t, WW_RESET);
	if (except(NO_KERNEL_WRITES))
		EXPECT(t, 51);
	else
		EXPECT(t, 51, 52);
	/* The program itself can write there as if nothing had been. */
	t->memory[50 * PAGE]++;
	t->memory[52 * PAGE]++;
	get(t, WW_RESET);
	EXPECT(t, 50, 52);
	close(fd);
}

Test(kernel_writes, without_preparation_succeed_or_fail_cleanly)
{
	ON_ALL_KINDS(unprepared);
}
