/* SPDX-License-Identifier: MIT */
/*
 * The calls by which the memory functions of Windows map, protect and drop memory, failing one by
 * one: each function tells a documented error or does what it should, and no page is lost.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <writewatch/winapi.h>

#include "case.h"
#include "model.h"

#define ALL_PAGES ((size_t)64)
#define ALL_BYTES (ALL_PAGES * PAGE)

TestSuite(windows, .init = backend_begin, .timeout = 600);

/* Which calls were made at all. */
static bool reached[CALLS];

/* In a case. */
static BYTE *base;
static bool must[ALL_PAGES];

static void expect_documented(const char *what)
{
	static const DWORD errors[] = {
		ERROR_NOT_ENOUGH_MEMORY, ERROR_GEN_FAILURE,   ERROR_NOT_SUPPORTED,
		ERROR_TOO_MANY_OPEN_FILES, ERROR_ACCESS_DENIED,
	};

	for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++)
		if (GetLastError() == errors[i])
			return;
	fail("%s fails with %u", what, (unsigned)GetLastError());
}

/* Whether the step succeeded; one that fails has to succeed when nothing fails any more. */
#define DO(call) \
	do { \
		result->at = #call; \
		if (!(call)) { \
			expect_documented(#call); \
			inject->on = false; \
			if (!(call)) \
				fail("%s with nothing failing any more: %u", #call, \
				     (unsigned)GetLastError()); \
			inject->on = true; \
		} \
	} while (0)

static void put(size_t page)
{
	base[page * PAGE]++;
	must[page] = true;
}

static bool query(DWORD flags)
{
	static PVOID list[ALL_PAGES];
	ULONG_PTR count = ALL_PAGES;
	DWORD granularity;
	size_t n = 0;

	if (GetWriteWatch(flags, base, ALL_BYTES, list, &count, &granularity) != 0)
		return false;
	for (size_t i = 0; i < ALL_PAGES; i++) {
		while (n < count && (BYTE *)list[n] < base + i * PAGE)
			n++;
		if (must[i] && (n == count || list[n] != base + i * PAGE))
			fail("page %zu is lost", i);
		must[i] &= !(flags & WRITE_WATCH_FLAG_RESET);
	}
	return true;
}

static bool allocate(void)
{
	memset(must, 0, sizeof(must));
	base = VirtualAlloc(NULL, ALL_BYTES, MEM_RESERVE | MEM_COMMIT | MEM_WRITE_WATCH,
			    PAGE_READWRITE);
	return base;
}

/* Where it was before. */
static bool allocate_again(void)
{
	memset(must, 0, sizeof(must));
	return VirtualAlloc(base, ALL_BYTES, MEM_RESERVE | MEM_COMMIT | MEM_WRITE_WATCH,
			    PAGE_READWRITE) == base;
}

static bool reset(void)
{
	if (ResetWriteWatch(base, ALL_BYTES) != 0)
		return false;
	memset(must, 0, sizeof(must));
	return true;
}

static bool reprotect(size_t first, size_t count, DWORD how)
{
	DWORD old;

	return VirtualProtect(base + first * PAGE, count * PAGE, how, &old);
}

/* What became of the content is not known if it fails. */
static bool decommit(size_t first, size_t count)
{
	memset(must + first, 0, count);
	return VirtualFree(base + first * PAGE, count * PAGE, MEM_DECOMMIT);
}

static bool commit(size_t first, size_t count)
{
	return VirtualAlloc(base + first * PAGE, count * PAGE, MEM_COMMIT, PAGE_READWRITE);
}

/* Memory that could not be released is there as before. */
static bool free_all(void)
{
	if (VirtualFree(base, 0, MEM_RELEASE))
		return true;
	expect_documented("VirtualFree");
	inject->on = false;
	put(9);
	if (!query(0))
		fail("GetWriteWatch of what was not released: %u", (unsigned)GetLastError());
	return false;
}

static void recover(void)
{
	inject->on = false;
	DO(allocate());
	put(1);
	DO(query(WRITE_WATCH_FLAG_RESET));
	DO(free_all());
}

static void run(bool brief)
{
	(void)brief;
	inject->on = true;
	DO(allocate());
	put(3);
	put(10);
	DO(query(0));
	DO(query(WRITE_WATCH_FLAG_RESET));
	put(5);
	DO(reprotect(4, 4, PAGE_READONLY));
	DO(query(0));
	DO(reprotect(4, 4, PAGE_READWRITE));
	put(6);
	put(21);
	DO(decommit(20, 8));
	DO(commit(20, 8));
	put(22);
	DO(VirtualAlloc(base, PAGE, MEM_RESET, PAGE_READWRITE));
	DO(query(WRITE_WATCH_FLAG_RESET));
	put(7);
	DO(reset());
	put(8);
	DO(query(0));
	DO(free_all());
	DO(allocate_again());
	put(11);
	DO(query(0));
	DO(free_all());
	recover();
	_exit(0);
}

static void walk(struct plan *plan)
{
	bool ok = true;

	for (plan->nth = 1; ok && (plan->nth == 1 || case_reached()); plan->nth++) {
		ok = case_run(plan, run, false);
		cr_expect(ok, "%s, call %u, %s, %s: %s (%s)", calls[plan->call].name, plan->nth,
			  plan->mode == EVER ? "EVER" : "ONCE", error_name(plan->error),
			  result->failure, result->at);
		reached[plan->call] |= case_reached();
	}
}

static void walk_errors(enum call_id call)
{
	struct plan plan = {.call = call};

	for (size_t i = 0; i < 8 && calls[call].lasting[i]; i++) {
		if (case_is_answer(&plan, calls[call].lasting[i]))
			continue;
		plan.error = calls[call].lasting[i];
		plan.mode = ONCE;
		walk(&plan);
		plan.mode = EVER;
		walk(&plan);
	}
	plan.mode = ONCE;
	for (size_t i = 0; i < 3 && calls[call].passing[i]; i++) {
		plan.error = calls[call].passing[i];
		walk(&plan);
	}
}

Test(windows, every_call_may_fail)
{
	static const enum call_id own[] = {CALL_MMAP, CALL_MUNMAP, CALL_MPROTECT, CALL_DONTNEED,
					   CALL_WIPEONFORK};

	case_prepare();
	for (int call = 0; call < CALLS; call++)
		walk_errors((enum call_id)call);
	for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++)
		cr_expect(reached[own[i]], "%s is never made", calls[own[i]].name);
}
