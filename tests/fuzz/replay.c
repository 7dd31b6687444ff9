/* SPDX-License-Identifier: MIT */
/* Runs the inputs that are given, files or folders of them, without a fuzzer. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "fuzz.h"

#define LONGEST ((size_t)1 << 20)

static size_t inputs;

static void run_file(const char *path)
{
	static uint8_t room[LONGEST];
	FILE *file = fopen(path, "rb");
	uint8_t *data;
	size_t size;

	if (!file) {
		perror(path);
		exit(1);
	}
	size = fread(room, 1, LONGEST, file);
	fclose(file);
	/* Of exactly this size, for the checkers. */
	data = malloc(size + 1);
	if (!data)
		exit(1);
	for (size_t i = 0; i < size; i++)
		data[i] = room[i];
	fprintf(stderr, "%s\n", path);
	LLVMFuzzerTestOneInput(data, size);
	free(data);
	inputs++;
}

static void run_folder(const char *path)
{
	struct dirent **entries;
	int n = scandir(path, &entries, NULL, alphasort);

	for (int i = 0; i < n; i++) {
		char name[4096];

		snprintf(name, sizeof(name), "%s/%s", path, entries[i]->d_name);
		if (entries[i]->d_name[0] != '.')
			run_file(name);
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
}

int main(int argc, char **argv)
{
	const char *backend = getenv("WRITEWATCH_BACKEND");
	struct stat st;

	if (!fuzz_begin())
		return 77;
	for (int i = 1; i < argc; i++) {
		if (stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode))
			run_folder(argv[i]);
		else
			run_file(argv[i]);
	}
	printf("%s: %zu inputs, %zu operations, nothing missed\n",
	       backend ? backend : "each input's backend", inputs, fz.operations);
	return inputs == 0;
}
