/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "process_track.h"
#include "sys_process.h"
#include "uapi/userfaultfd.h"

/* What a process hands over: all that its watcher needs, so that no permission has to be asked. */
enum offered { PIDFD, PAGEMAP, MAPS, UFFD, OFFERED };

#define GREETING "writewatch 1"

struct message {
	struct msghdr header;
	struct iovec iov;
	char text[sizeof(GREETING)];
	/* Room for more descriptors than there are, which are closed. */
	char control[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(16 * sizeof(int))]
		__attribute__((aligned(sizeof(size_t))));
};

static void prepare(struct message *m)
{
	memset(m, 0, sizeof(*m));
	m->iov = (struct iovec){m->text, sizeof(m->text)};
	m->header.msg_iov = &m->iov;
	m->header.msg_iovlen = 1;
	m->header.msg_control = m->control;
	m->header.msg_controllen = sizeof(m->control);
}

static int socket_error(int r)
{
	switch (r) {
	case -EBADF:
	case -ENOTSOCK:
	case -ENOMEM:
	case -EMFILE:
	case -ENFILE:
	case -EAGAIN:
		return r;
	case -ENOBUFS:
		return -ENOMEM;
	case -ETOOMANYREFS:
		return -EMFILE;
	default:
		return -EPIPE;
	}
}

static int send_all(int socket, const struct sys_file *files)
{
	const struct ucred own = {.pid = getpid(), .uid = geteuid(), .gid = getegid()};
	struct message m;
	struct cmsghdr *part;
	int fds[OFFERED], r;

	for (int i = 0; i < OFFERED; i++)
		fds[i] = files[i].fd;
	prepare(&m);
	memcpy(m.text, GREETING, sizeof(m.text));
	part = CMSG_FIRSTHDR(&m.header);
	part->cmsg_level = SOL_SOCKET;
	part->cmsg_type = SCM_CREDENTIALS;
	part->cmsg_len = CMSG_LEN(sizeof(own));
	memcpy(CMSG_DATA(part), &own, sizeof(own));
	part = CMSG_NXTHDR(&m.header, part);
	part->cmsg_level = SOL_SOCKET;
	part->cmsg_type = SCM_RIGHTS;
	part->cmsg_len = CMSG_LEN(sizeof(fds));
	memcpy(CMSG_DATA(part), fds, sizeof(fds));
	m.header.msg_controllen = CMSG_SPACE(sizeof(own)) + CMSG_SPACE(sizeof(fds));
	do
		r = (int)sys_sendmsg(socket, &m.header, MSG_NOSIGNAL);
	while (r == -EINTR);
	return r == sizeof(m.text) ? 0 : socket_error(r);
}

static int open_error(int r)
{
	return r == 0 || r == -EMFILE || r == -ENFILE || r == -ENOMEM ? r : -ENOTSUP;
}

int ww_process_offer(int socket)
{
	struct sys_file files[OFFERED];
	int r;

	for (int i = 0; i < OFFERED; i++)
		files[i] = SYS_NO_FILE;
	r = sys_pidfd_open(&files[PIDFD], getpid());
	if (r == 0)
		r = sys_open(&files[PAGEMAP], "/proc/thread-self/pagemap", O_RDONLY);
	if (r == 0)
		r = sys_open(&files[MAPS], "/proc/thread-self/maps", O_RDONLY);
	if (r == 0)
		r = sys_userfaultfd(&files[UFFD], WWK_UFFD_USER_MODE_ONLY);
	r = r < 0 ? open_error(r) : send_all(socket, files);
	for (int i = 0; i < OFFERED; i++)
		sys_close(&files[i]);
	return r;
}

/* Takes over what came, and closes what is too much; returns how many there are. */
static int take_files(struct message *m, struct sys_file *files, struct ucred *from)
{
	int count = 0;

	for (struct cmsghdr *part = CMSG_FIRSTHDR(&m->header); part;
	     part = CMSG_NXTHDR(&m->header, part)) {
		const unsigned char *data = CMSG_DATA(part);
		size_t size = part->cmsg_len - CMSG_LEN(0);

		if (part->cmsg_level != SOL_SOCKET)
			continue;
		if (part->cmsg_type == SCM_CREDENTIALS && size >= sizeof(*from))
			memcpy(from, data, sizeof(*from));
		for (size_t at = 0; part->cmsg_type == SCM_RIGHTS && at + sizeof(int) <= size;
		     at += sizeof(int), count++) {
			struct sys_file file;
			int fd;

			memcpy(&fd, data + at, sizeof(fd));
			if (sys_adopt(&file, fd) < 0)
				continue;
			if (count < OFFERED)
				files[count] = file;
			else
				sys_close(&file);
		}
	}
	return count;
}

static int receive(int socket, struct sys_file *files)
{
	struct ucred from = {.pid = 0};
	const int yes = 1;
	int before = 0, count, r;
	socklen_t size = sizeof(before);
	struct message m;

	prepare(&m);
	if (getsockopt(socket, SOL_SOCKET, SO_PASSCRED, &before, &size) == -1 ||
	    setsockopt(socket, SOL_SOCKET, SO_PASSCRED, &yes, sizeof(yes)) == -1)
		return socket_error(-errno);
	do
		r = (int)sys_recvmsg(socket, &m.header, MSG_CMSG_CLOEXEC);
	while (r == -EINTR);
	setsockopt(socket, SOL_SOCKET, SO_PASSCRED, &before, sizeof(before));
	if (r < 0)
		return socket_error(r);
	if (r == 0)
		return -EPIPE;
	count = take_files(&m, files, &from);
	if (count < OFFERED && m.header.msg_flags & MSG_CTRUNC)
		return -EMFILE;
	if (count != OFFERED || r != sizeof(m.text) ||
	    memcmp(m.text, GREETING, sizeof(m.text)) != 0)
		return -EPROTO;
	return from.pid;
}

static int track(struct ww_process *p, struct sys_file *uffd)
{
	int r;

	if (!p->has_scan)
		return -ENOTSUP;
	r = process_track_begin(p, uffd);
	return r == -EINVAL || r == -EPERM ? -ENOTSUP : r;
}

/* What was handed over need not be what it is said to be, and may answer anything. */
static int offered_error(int r)
{
	switch (r) {
	case -EBADF:
	case -ENOTSOCK:
	case -EPIPE:
	case -EAGAIN:
	case -ENOTSUP:
	case -ESRCH:
	case -ECHILD:
	case -EACCES:
	case -ESTALE:
	case -ENOMEM:
	case -EMFILE:
	case -ENFILE:
	case -EIO:
		return r;
	default:
		return r < 0 ? -EPROTO : r;
	}
}

int ww_process_accept(struct ww_process **out, int socket)
{
	struct sys_file files[OFFERED];
	struct ww_process *p = NULL;
	int number, from, r;

	if (!out)
		return -EINVAL;
	*out = NULL;
	for (int i = 0; i < OFFERED; i++)
		files[i] = SYS_NO_FILE;
	from = r = receive(socket, files);
	if (r >= 0)
		r = process_adopt(&p, &files[PIDFD], &files[PAGEMAP], &files[MAPS]);
	/* Whose the rest is nobody can tell; but it is not in another's name. */
	if (r == 0 && (process_number(p, &number) < 0 || number != from))
		r = -EPROTO;
	if (r == 0)
		r = track(p, &files[UFFD]);
	r = offered_error(r);
	for (int i = 0; i < OFFERED; i++)
		sys_close(&files[i]);
	if (r < 0)
		ww_process_close(p);
	else
		*out = p;
	return r;
}
