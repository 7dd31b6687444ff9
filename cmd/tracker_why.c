/* SPDX-License-Identifier: MIT */
#include "tracker_why.h"
#include "tracker.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <writewatch/process.h>

void tracker_explain(char *why, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, TRACKER_WHY, format, args);
	va_end(args);
}

void tracker_explain_error(int error, pid_t pid, char *why)
{
	switch (error) {
	case -ESRCH:
		tracker_explain(why, "there is no such process");
		break;
	case -ECHILD:
		tracker_explain(why, "it has ended; its parent has not noticed yet");
		break;
	case -ENXIO:
		tracker_explain(why,
				"it is a thread of the kernel, which has no memory of its own");
		break;
	case -EACCES:
	case -EPERM:
		tracker_explain(why, "not permitted: %s", ww_process_hint(pid));
		break;
	case -ENOTSUP:
		tracker_explain(why, "%s",
				access("/proc/self", F_OK) < 0
					? "/proc is not mounted here: mount -t proc proc /proc"
					: strerror(-error));
		break;
	case -EBUSY:
		tracker_explain(why, "another process traces it, such as a debugger");
		break;
	case -ETIMEDOUT:
		tracker_explain(why, "none of its threads stopped for a moment, as is needed to "
				     "begin");
		break;
	default:
		tracker_explain(why, "%s", strerror(-error));
	}
}
