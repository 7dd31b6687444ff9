/* SPDX-License-Identifier: MIT */
/* Watches a megabyte, writes to two of its pages and asks which. */
/* With -std=c99 or c11, where the C library is strict. */
#define _DEFAULT_SOURCE
#include <stdio.h>
#include <sys/mman.h>

#include <writewatch/writewatch.h>

int main(void)
{
	char *memory = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0);
	void *pages[256];
	size_t count = 256;
	struct ww *w;

	if (ww_new(&w, NULL) || ww_watch(w, memory, 1 << 20, 0))
		return 1;
	memory[5 * 4096] = memory[9 * 4096 + 17] = 1;
	if (ww_get(w, memory, 1 << 20, WW_RESET, pages, &count))
		return 1;
	for (size_t i = 0; i < count; i++)
		printf("page %zu was written\n", (size_t)((char *)pages[i] - memory) / 4096);
	ww_free(w);
	return 0;
}
