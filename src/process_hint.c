/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "process.h"

#define CAP_PTRACE (UINT64_C(1) << 19)

/* The lines of a status file that decide. */
struct rights {
	unsigned uid[3];
	unsigned gid[3];
	unsigned long long permitted, effective;
};

static bool read_rights(const char *path, struct rights *r)
{
	char text[4096];
	const char *uid, *gid, *permitted, *effective;

	if (process_read_status(path, text, sizeof(text)) < 0)
		return false;
	uid = strstr(text, "\nUid:");
	gid = strstr(text, "\nGid:");
	permitted = strstr(text, "\nCapPrm:");
	effective = strstr(text, "\nCapEff:");
	return uid && gid && permitted && effective &&
	       sscanf(uid, "\nUid: %u %u %u", &r->uid[0], &r->uid[1], &r->uid[2]) == 3 &&
	       sscanf(gid, "\nGid: %u %u %u", &r->gid[0], &r->gid[1], &r->gid[2]) == 3 &&
	       sscanf(permitted, "\nCapPrm: %llx", &r->permitted) == 1 &&
	       sscanf(effective, "\nCapEff: %llx", &r->effective) == 1;
}

static bool same_user(const struct rights *own, const struct rights *other)
{
	for (size_t i = 0; i < 3; i++)
		if (other->uid[i] != own->uid[0] || other->gid[i] != own->gid[0])
			return false;
	return true;
}

/* The files of a process that is not dumpable belong to root. */
static bool is_dumpable(pid_t pid, const struct rights *other)
{
	struct stat st;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	return stat(path, &st) == -1 || st.st_uid == other->uid[1];
}

static const char *yama_hint(void)
{
	char text[16];

	if (process_read("/proc/sys/kernel/yama/ptrace_scope", text, sizeof(text)) < 0)
		return NULL;
	switch (text[0]) {
	case '1':
		return "kernel.yama.ptrace_scope is 1, which permits it to ancestors of the "
		       "process only: it takes CAP_SYS_PTRACE, or 0 there";
	case '2':
		return "kernel.yama.ptrace_scope is 2: it takes CAP_SYS_PTRACE";
	case '3':
		return "kernel.yama.ptrace_scope is 3, which permits it to nobody until the "
		       "system is started anew";
	default:
		return NULL;
	}
}

const char *ww_process_hint(pid_t pid)
{
	struct rights own, other;
	const char *yama = yama_hint();
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	if (!read_rights(path, &other) || !read_rights("/proc/thread-self/status", &own))
		return "there is no such process, or it is hidden from this one";
	if (own.effective & CAP_PTRACE)
		return yama && strstr(yama, "is 3") ? yama
						    : "it runs in another user namespace, or a "
						      "security module denies it";
	if (!same_user(&own, &other))
		return "it runs as another user or group, or changed its own: it takes "
		       "CAP_SYS_PTRACE";
	if (!is_dumpable(pid, &other))
		return "it is not dumpable, as programs that changed their user or whose file "
		       "cannot be read: it takes CAP_SYS_PTRACE";
	if (other.permitted & ~own.permitted)
		return "it has capabilities that this process has not: it takes CAP_SYS_PTRACE";
	return yama ? yama : "a security module denies it";
}
