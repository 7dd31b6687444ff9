/* SPDX-License-Identifier: MIT */
#include "keeper.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "context.h"
#include "faulting.h"

static pid_t keeper;

void close_file(struct sys_file *file)
{
	if (sys_is_open(file))
		close(file->fd);
}

void close_all_but_the_childs(void)
{
	keeper = fork();
	if (keeper == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	close_file(&w->pagemap);
	close_file(&w->maps.file);
	close_file(&w->uffd);
}

void end_keeper(void)
{
	kill(keeper, SIGKILL);
	waitpid(keeper, NULL, 0);
}

int get_in_the_end(unsigned flags, size_t *count)
{
	static void *pages[PAGES];
	int r = -ESTALE;

	for (int tries = 0; r == -ESTALE && tries < 4; tries++) {
		*count = PAGES;
		r = ww_get(w, memory, ALL, flags, pages, count);
		if (r == -ESTALE)
			r = ww_watch(w, memory, ALL, 0) == 0 ? -ESTALE : -EIO;
	}
	return r;
}
