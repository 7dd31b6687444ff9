/* SPDX-License-Identifier: MIT */
#include "case.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scenario.h"
#include "uapi/procmap_query.h"

/* A case takes some milliseconds. */
#define HANGS_MS 20000

int case_killed_by;

void case_prepare(void)
{
	inject_prepare();
	result =
	    mmap(NULL, sizeof(*result), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	cr_assert_neq(result, MAP_FAILED);
	scenario_prepare();
}

static void wrong(const char *format, const char *what)
{
	snprintf(result->failure, sizeof(result->failure), format, what);
}

/* Signals may be blocked in what hangs, so no alarm(2). */
static int wait_for(pid_t pid, bool *hangs)
{
	struct pollfd fd = {.fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN};
	int status;

	cr_assert_geq(fd.fd, 0);
	while (poll(&fd, 1, HANGS_MS) == -1 && errno == EINTR)
		;
	*hangs = !fd.revents;
	if (*hangs)
		kill(pid, SIGKILL);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	close(fd.fd);
	return status;
}

/* A handler that never can un-protect a page can do nothing; one that can next time has to. */
static bool may_die(const struct plan *plan, int number)
{
	if (plan->scope != BY_HANDLER || !inject->in_handler || plan->mode != EVER)
		return false;
	/* It lets go of all memory then, but of what it is told is another's. */
	if (plan->call == CALL_UFFD_PROTECT && plan->error != ENOENT)
		return false;
	return number == (plan->call == CALL_MPROTECT ? SIGSEGV : SIGBUS);
}

bool case_run(const struct plan *plan, void (*scenario)(bool brief), bool brief)
{
	int status, number;
	bool hangs;
	pid_t pid;

	memset(result, 0, sizeof(*result));
	result->at = "start";
	case_killed_by = 0;
	inject_begin(plan);
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0)
		scenario(brief);
	status = wait_for(pid, &hangs);
	inject->on = false;
	if (hangs) {
		wrong("hangs: %s", result->at);
		return false;
	}
	number = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	if (number && may_die(plan, number))
		case_killed_by = number;
	else if (number)
		wrong("killed by SIG%s", sigabbrev_np(number));
	else if (status && !result->failure[0])
		wrong("%s", "exits");
	if (inject->allocates)
		wrong("%s", "whoever handles faults calls malloc() or free()");
	return !result->failure[0];
}

/* Linux before 6.11 tells what is mapped as text only. */
static bool has_query_map(void)
{
	struct wwk_procmap_query query = {.size = sizeof(query)};
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC), r;

	cr_assert_geq(fd, 0);
	r = ioctl(fd, WWK_PROCMAP_QUERY, &query);
	cr_assert(r == 0 || errno == ENOTTY || errno == ENOENT, "PROCMAP_QUERY: %s",
		  strerror(errno));
	close(fd);
	return r == 0 || errno != ENOTTY;
}

bool case_is_answer(const struct plan *plan, int error)
{
	return plan->call == CALL_PREAD && error == END_OF_FILE &&
	       (plan->setting == NO_QUERY_MAP || !has_query_map());
}
