/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

/*
 * Memory pressure: has the kernel take back all memory of a control group, again and again, as if
 * the machine were full. Every page of its processes is swapped out many times, whatever they need.
 */
int main(int argc, char **argv)
{
	struct timespec pause = {0};
	char path[4096];
	long ms;
	int fd;

	if (argc != 3) {
		fprintf(stderr, "usage: reclaim CGROUP MILLISECONDS\n");
		return 2;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	ms = strtol(argv[2], NULL, 10);
	pause.tv_sec = ms / 1000;
	pause.tv_nsec = ms % 1000 * 1000000;
	snprintf(path, sizeof(path), "%s/memory.reclaim", argv[1]);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0) {
		fprintf(stderr, "reclaim: %s: %s\n", path, strerror(errno));
		return 1;
	}
	for (;;) {
		/* EAGAIN: there was less than that, and the kernel took all of it. */
		if (write(fd, "1G", 2) < 0 && errno != EAGAIN && errno != EINTR) {
			fprintf(stderr, "reclaim: %s: %s\n", path, strerror(errno));
			return 1;
		}
		nanosleep(&pause, NULL);
	}
}
