/* SPDX-License-Identifier: MIT */
#ifndef TEST_PROCESS_SELFCHECK_H
#define TEST_PROCESS_SELFCHECK_H

#include <stdint.h>

/* What a process does that never stops checking whether it still is what it was. */
enum selfcheck_way {
	IN_REGISTERS, /* general, vector and floating point registers, flags, the red zone */
	IN_NANOSLEEP,
	IN_POLL,
	IN_EPOLL_WAIT,
	IN_FUTEX,
	IN_SIGTIMEDWAIT,
	IN_PPOLL, /* with a signal mask */
	SELFCHECK_WAYS
};

/**
 * struct selfcheck - what it says, in memory that is shared with it
 * @rounds:   counts on while it is well
 * @failures: how often something was wrong
 * @what:     what, the last time
 * @eintr:    how often a call failed with EINTR of those that do when a process is only stopped
 */
struct selfcheck {
	enum selfcheck_way way;
	uint64_t rounds;
	uint64_t failures;
	int what;
	uint64_t eintr;
};

/* Whether this processor has the registers that are checked. */
int selfcheck_possible(void);
/* Never returns. */
_Noreturn void selfcheck_run(struct selfcheck *s);
/* Waits for a full round that begins now; fails the test if none comes or something is wrong. */
void selfcheck_await(struct selfcheck *s);

#endif
