/* SPDX-License-Identifier: MIT */
/* The lists of errors are what the header says: the comment of each function is read. */
#include <criterion/criterion.h>
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "calls.h"

static char text[65536];

static bool read_header(void)
{
	FILE *file = fopen(WW_HEADER, "re");
	size_t n;

	if (!file)
		return false;
	n = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	text[n] = '\0';
	return true;
}

/* The comment that begins with the function's name and "() -". */
static const char *comment_of(enum api api, const char **end)
{
	char title[64];
	const char *start;

	snprintf(title, sizeof(title), " * %s() -", api_names[api]);
	start = strstr(text, title);
	cr_assert_not_null(start, "no comment for %s", api_names[api]);
	*end = strstr(start, "*/");
	cr_assert_not_null(*end);
	return start;
}

/* The errno value behind a minus sign, or 0. */
static int error_at(const char *p)
{
	char name[32] = "";

	if (p[0] != '-' || p[1] != 'E')
		return 0;
	for (size_t i = 0; i < sizeof(name) - 1 && isupper((unsigned char)p[1 + i]); i++)
		name[i] = p[1 + i];
	for (int error = 1; error < 134; error++)
		if (strcmp(error_name(error), name) == 0)
			return error;
	return 0;
}

static bool lists(enum api api, int error)
{
	const char *end, *p = comment_of(api, &end), *as = strstr(p, "as ww_get()");

	for (const char *q = p; q < end; q++)
		if (error_at(q) == error)
			return true;
	return as && as < end && api != API_GET && lists(API_GET, error);
}

/* What only wrong arguments are told, which nothing that fails may be. */
static bool blames_arguments(enum api api, int error)
{
	return !is_documented(api, error) && (strcmp(error_name(error), "EINVAL") == 0 ||
					      strcmp(error_name(error), "EFAULT") == 0 ||
					      strcmp(error_name(error), "ENOENT") == 0);
}

Test(header, lists_the_errors_that_the_walk_expects)
{
	if (!read_header())
		cr_skip_test("no %s", WW_HEADER);
	for (enum api api = 0; api < API_INFO; api++) {
		for (int error = 1; error < 134; error++) {
			bool expected = is_documented(api, error) || is_documented_anew(api, error);

			if (expected && !lists(api, error))
				cr_expect_fail("%s: the header does not list %s", api_names[api],
					       error_name(error));
			if (!expected && lists(api, error) && !blames_arguments(api, error))
				cr_expect_fail("%s: the header lists %s, and the walk does not",
					       api_names[api], error_name(error));
		}
	}
}
