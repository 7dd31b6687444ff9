/* SPDX-License-Identifier: MIT */
#include "helpers.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "support/leaks.h"

/* A process in which nothing can watch memory: everything but the watch works. */

#define UNIT ((SIZE_T)0x10000)
#define WATCHED (MEM_RESERVE | MEM_COMMIT | MEM_WRITE_WATCH)

static void begin(void)
{
	backend_begin();
	leaks_begin();
}

Test(winapi_no_backend, the_watch_is_not_supported, .init = begin)
{
	BYTE *base;

	setenv("WRITEWATCH_BACKEND", "off", 1);
	FAILS_WITH(ERROR_NOT_SUPPORTED, VirtualAlloc(NULL, UNIT, WATCHED, PAGE_READWRITE));
	FAILS_WITH(ERROR_INVALID_PARAMETER,
		   VirtualAlloc(NULL, UNIT, MEM_WRITE_WATCH, PAGE_READWRITE));

	base = VirtualAlloc(NULL, UNIT, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
	cr_assert(ne(ptr, base, NULL));
	WRITE(base, 3);
	EXPECT_PROTECT(base, PAGE, PAGE_READONLY, PAGE_READWRITE);
	EXPECT_QUERY(base, PAGE, MEM_COMMIT, PAGE_READONLY);
	EXPECT_GET_FAILS(ERROR_INVALID_PARAMETER, 0, base, UNIT);
	EXPECT_RESET_FAILS(ERROR_INVALID_PARAMETER, base, UNIT);
	SUCCEEDS(VirtualFree(base, 0, MEM_DECOMMIT));
	release(base);
}

Test(winapi_no_backend, an_unknown_backend_is_none, .init = begin)
{
	setenv("WRITEWATCH_BACKEND", "no-such-backend", 1);
	FAILS_WITH(ERROR_NOT_SUPPORTED, VirtualAlloc(NULL, UNIT, WATCHED, PAGE_READWRITE));
}

Test(winapi_no_backend, the_watch_is_tried_again, .init = backend_begin)
{
	struct rlimit limit, none;
	BYTE *base;

	getrlimit(RLIMIT_NOFILE, &limit);
	none = limit;
	none.rlim_cur = 3;
	setrlimit(RLIMIT_NOFILE, &none);
	FAILS_WITH(ERROR_NOT_SUPPORTED, VirtualAlloc(NULL, UNIT, WATCHED, PAGE_READWRITE));
	setrlimit(RLIMIT_NOFILE, &limit);
	base = alloc_watched(16);
	WRITE(base, 3);
	EXPECT_WRITTEN(base, 16, 0, "3");
	release(base);
}
