/* SPDX-License-Identifier: MIT */
#include "moves.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backends.h"

#define PAGES_OF_A_HUGE_PAGE 512

/* What failed has been tried, and the page been taken out of its page table and put back. */
static const struct {
	const char *name;
	size_t pages;
} counters[] = {
	{"pgmigrate_success", 1},
	{"pgmigrate_fail", 1},
	{"thp_split_page", PAGES_OF_A_HUGE_PAGE},
	{"thp_split_page_failed", PAGES_OF_A_HUGE_PAGE},
};

static size_t pages_of(const char *name)
{
	for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++)
		if (strcmp(name, counters[i].name) == 0)
			return counters[i].pages;
	return 0;
}

static bool kernel_is_exact(void)
{
	const char *said = getenv("WW_MOVES");

	return said != NULL && strcmp(said, "exact") == 0;
}

size_t pages_moved(void)
{
	char name[64];
	size_t count, sum = 0;
	FILE *file;

	if (!except(REPEATS_MOVED) || kernel_is_exact())
		return 0;
	file = fopen("/proc/vmstat", "re");
	if (file == NULL)
		return 0;
	while (fscanf(file, "%63s %zu", name, &count) == 2)
		sum += count * pages_of(name);
	fclose(file);
	return sum;
}

bool moves_explain(size_t pages, size_t moved_before)
{
	const bool may_move = except(REPEATS_MOVED) && !kernel_is_exact();

	for (int i = 0; may_move && i < 500 && pages > pages_moved() - moved_before; i++)
		usleep(20000);
	return pages <= pages_moved() - moved_before;
}
