/* SPDX-License-Identifier: MIT */
#ifndef TEST_SUPPORT_RANDOM_H
#define TEST_SUPPORT_RANDOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Repeatable randomness: a counter stepped by an odd constant, and a mixing function. */
struct rng {
	uint64_t state;
};

/* The seed: WW_SEED of the environment, or else a random one; printed with @name either way. */
uint64_t random_seed(const char *name);

/* A number from the environment, or @fallback. */
size_t env_number(const char *variable, size_t fallback);

/* Whether WW_SECONDS asks for next to nothing, as where processors are emulated. */
bool in_a_hurry(void);

static inline uint64_t rng_next(struct rng *rng)
{
	uint64_t z = rng->state += UINT64_C(0xd1342543de82ef95);

	z = (z ^ (z >> 32)) * UINT64_C(0xdaba0b6eb09322e3);
	z = (z ^ (z >> 29)) * UINT64_C(0xaef17502108ef2d9);
	return z ^ (z >> 32);
}

/* 0 to @n - 1; @n is not 0. The bias of the remainder does not matter to a test. */
static inline size_t rng_below(struct rng *rng, size_t n)
{
	return (size_t)(rng_next(rng) % n);
}

static inline bool rng_one_in(struct rng *rng, size_t n)
{
	return rng_below(rng, n) == 0;
}

#endif
