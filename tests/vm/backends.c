/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <writewatch/writewatch.h>

#include "backends.h"

/*
 * backends [EXPECTED]: which backend works here for this user, and what it reports without a write.
 *
 * Prints "backend NAME", "promise NAME", "refused NAME: WHY", and "over SITUATION: N of M", N pages
 * having been reported for nothing. Ends with 1 if a written page was not reported or the backend
 * is not the one expected, with 3 if none is usable.
 */

static const struct {
	uint64_t bit;
	const char *name;
} promises[] = {
    {WW_EXACT, "exact"},
    {WW_ATOMIC_RESET, "atomic-reset"},
    {WW_RANGED_RESET, "ranged-reset"},
    {WW_KERNEL_WRITES, "kernel-writes"},
    {WW_NO_SIGNAL_HANDLER, "no-signal-handler"},
    {WW_NO_THREAD, "no-thread"},
    {WW_SURVIVES_FORK, "survives-fork"},
};

/* Both kinds of uffd have one name in the interface; what they promise tells them apart. */
static const char *name_of(const struct ww_info *info)
{
	if (!info->backend || strcmp(info->backend, "uffd") != 0)
		return info->backend ? info->backend : "none";
	return info->guarantees & WW_NO_THREAD ? "uffd-sigbus" : "uffd-thread";
}

static void print_info(const struct ww_info *info)
{
	printf("backend %s\n", name_of(info));
	for (size_t i = 0; i < sizeof(promises) / sizeof(promises[0]); i++)
		if (info->guarantees & promises[i].bit)
			printf("promise %s\n", promises[i].name);
	for (size_t i = 0; i < info->refusal_count; i++)
		printf("refused %s: %s (%s)\n", info->refusals[i].backend,
		       info->refusals[i].reason ? info->refusals[i].reason : "no reason",
		       strerror(info->refusals[i].error));
}

/* True if a written page was lost, or the situation could not be brought about. */
static bool try_situation(struct ww *w, const struct situation *s)
{
	struct outcome o = {0};
	int r = s->run(w, &o);

	if (r == -ENOTSUP) {
		printf("cannot %s\n", s->name);
	} else if (r < 0) {
		printf("failed %s: %s\n", s->name, strerror(-r));
	} else {
		printf("over %s: %zu of %zu\n", s->name, o.over, o.pages);
		if (o.lost)
			printf("lost %s: %zu of %zu\n", s->name, o.lost, o.pages);
	}
	return o.lost > 0 || (r < 0 && r != -ENOTSUP);
}

int main(int argc, char **argv)
{
	struct ww_info info = {.size = sizeof(info)};
	bool bad = false;
	struct ww *w;
	int r = ww_probe(NULL, &info);

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (r < 0) {
		printf("ww_probe: %s\n", strerror(-r));
		return 1;
	}
	print_info(&info);
	if (argc > 1 && strcmp(argv[1], name_of(&info)) != 0) {
		printf("not the backend expected, %s\n", argv[1]);
		return info.backend ? 1 : 3;
	}
	if (!info.backend)
		return 3;
	r = ww_new(&w, NULL);
	if (r < 0) {
		printf("ww_new: %s\n", strerror(-r));
		return 1;
	}
	for (const struct situation *s = situations; s->name; s++)
		bad |= try_situation(w, s);
	ww_free(w);
	return bad;
}
