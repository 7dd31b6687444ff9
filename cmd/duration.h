/* SPDX-License-Identifier: MIT */
#ifndef WRITEWATCH_DURATION_H
#define WRITEWATCH_DURATION_H

#include <stddef.h>
#include <stdint.h>

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_SECOND UINT64_C(1000000000)

#define DURATION_MIN_NS NS_PER_MS
#define DURATION_MAX_NS (24 * 3600 * NS_PER_SECOND)

/* "100ms", "0.1s", "2m", "1h" or, in seconds, "0.1"; -EINVAL, or -ERANGE outside of the limits. */
int duration_parse(const char *text, uint64_t *ns);
/* "100 ms", "1.5 s" */
void duration_print(uint64_t ns, char *text, size_t size);

/* On the monotonic clock. */
uint64_t duration_now(void);

/**
 * struct ticker - a beat that does not drift
 * @next: when the next interval ends. The beats that were missed are left out.
 */
struct ticker {
	uint64_t interval;
	uint64_t next;
};

void ticker_start(struct ticker *t, uint64_t interval, uint64_t now);
/* Sets the next beat after now, and returns how many were missed. */
uint64_t ticker_advance(struct ticker *t, uint64_t now);

#endif
