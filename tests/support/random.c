/* SPDX-License-Identifier: MIT */
#include "random.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

uint64_t random_seed(const char *name)
{
	const char *text = getenv("WW_SEED");
	uint64_t seed = 0;

	if (text != NULL)
		seed = strtoull(text, NULL, 0);
	else if (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
		abort();
	fprintf(stderr, "# %s: WW_SEED=%" PRIu64 "\n", name, seed);
	return seed;
}

size_t env_number(const char *variable, size_t fallback)
{
	const char *text = getenv(variable);
	char *end;
	unsigned long long value;

	if (text == NULL || *text == '\0')
		return fallback;
	value = strtoull(text, &end, 0);
	if (*end != '\0') {
		fprintf(stderr, "%s=%s is not a number\n", variable, text);
		abort();
	}
	return (size_t)value;
}

bool in_a_hurry(void)
{
	return env_number("WW_SECONDS", 60) < 4;
}
