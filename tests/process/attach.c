/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attached.h"
#include "child.h"
#include "leaks.h"
#include "pages.h"
#include "random.h"

#define PAGES 512

static void begin(void)
{
	attach_begin();
	leaks_begin();
}

/* Criterion counts on its children to end by themselves. */
TestSuite(attach, .init = begin, .fini = leaks_end_threads);

/**
 * struct orders - what the test asks of a child, through pipes
 * @memory: what the child writes to, mapped by the test before, as its own
 */
struct orders {
	int to[2], from[2];
	char *memory;
};

enum order { WRITE, READ, MAP_NEW, DROP, PROTECT, UNPROTECT };

struct order_text {
	enum order what;
	size_t page, count;
};

static void *obey(const struct orders *o, const struct order_text *order)
{
	const size_t page = page_bytes();
	char *at = o->memory + order->page * page;

	switch (order->what) {
	case WRITE:
		for (size_t i = 0; i < order->count; i++)
			at[i * page]++;
		break;
	case READ:
		for (size_t i = 0; i < order->count; i++)
			(void)*(volatile char *)(at + i * page);
		break;
	case MAP_NEW:
		at = mmap(order->page ? at : NULL, order->count * page, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | (order->page ? MAP_FIXED : 0), -1, 0);
		at[0] = 1;
		break;
	case DROP:
		madvise(at, order->count * page, MADV_DONTNEED);
		break;
	case PROTECT:
		mprotect(at, order->count * page, PROT_READ);
		break;
	case UNPROTECT:
		mprotect(at, order->count * page, PROT_READ | PROT_WRITE);
		break;
	}
	return at;
}

static void obedient(void *arg)
{
	const struct orders *o = arg;
	struct order_text order;

	for (bool first = true;; first = false) {
		void *answer = NULL;

		if (!first) {
			if (read(o->to[0], &order, sizeof(order)) != sizeof(order))
				_exit(1);
			answer = obey(o, &order);
		}
		if (write(o->from[1], &answer, sizeof(answer)) != sizeof(answer))
			_exit(1);
	}
}

static int run_obedient(void *arg)
{
	obedient(arg);
	return 0;
}

static void *await(const struct orders *o)
{
	void *answer;

	cr_assert_eq(read(o->from[0], &answer, sizeof(answer)), sizeof(answer));
	return answer;
}

static void *tell(const struct orders *o, enum order what, size_t page, size_t count)
{
	struct order_text order = {what, page, count};

	cr_assert_eq(write(o->to[1], &order, sizeof(order)), sizeof(order));
	return await(o);
}

static pid_t start(struct orders *o)
{
	pid_t pid;

	o->memory = map_private(PAGES * page_bytes());
	madvise(o->memory, PAGES * page_bytes(), MADV_NOHUGEPAGE);
	cr_assert_eq(pipe(o->to), 0);
	cr_assert_eq(pipe(o->from), 0);
	pid = fork();
	if (pid == 0)
		_exit(run_obedient(o));
	await(o);
	return pid;
}

static void end(struct orders *o, pid_t pid)
{
	child_end(pid);
	for (int i = 0; i < 2; i++) {
		close(o->to[i]);
		close(o->from[i]);
	}
	unmap(o->memory, PAGES * page_bytes());
}

static void expect(struct ww_process *p, const struct orders *o, size_t first, size_t count)
{
	const size_t page = page_bytes();

	for (size_t i = 0; i < PAGES; i++)
		cr_assert_eq(is_written(p, o->memory + i * page, 0),
			     i >= first && i < first + count, "page %zu", i);
	cr_assert_eq(take_written(p, o->memory, PAGES * page), count);
	cr_assert_eq(take_written(p, o->memory, PAGES * page), 0);
}

Test(attach, tells_what_was_written_since)
{
	struct orders o;
	pid_t pid = start(&o);
	struct ww_process *p;

	tell(&o, WRITE, 0, 100);
	p = attach_to(pid);
	expect(p, &o, 0, 0);
	tell(&o, WRITE, 10, 5);
	expect(p, &o, 10, 5);
	tell(&o, WRITE, 95, 20);
	expect(p, &o, 95, 20);
	tell(&o, DROP, 50, 1);
	expect(p, &o, 0, 0);
	tell(&o, WRITE, 50, 1);
	tell(&o, PROTECT, 0, PAGES);
	cr_assert_eq(ww_process_refresh(p), 0);
	expect(p, &o, 50, 1);
	ww_process_close(p);
	end(&o, pid);
}

/* As what a program makes at run time to be executed. */
Test(attach, sees_what_is_writable_in_between_only)
{
	struct orders o;
	pid_t pid = start(&o);
	struct ww_process *p;

	tell(&o, WRITE, 0, 100);
	tell(&o, PROTECT, 0, PAGES);
	p = attach_to(pid);
	expect(p, &o, 0, 0);
	for (int i = 0; i < 3; i++) {
		tell(&o, UNPROTECT, 0, PAGES);
		tell(&o, WRITE, 90, 20);
		tell(&o, PROTECT, 0, PAGES);
		cr_assert_eq(i == 2 ? ww_process_refresh(p) : 0, 0);
		expect(p, &o, 90, 20);
	}
	ww_process_close(p);
	end(&o, pid);
}

Test(attach, finds_mappings_that_come)
{
	const size_t page = page_bytes();
	struct orders o;
	pid_t pid = start(&o);
	struct ww_process *p = attach_to(pid);
	struct ww_attachment info = {.size = sizeof(info)};
	uint64_t watched;
	char *fresh;

	cr_assert_eq(ww_process_attachment(p, &info), 0);
	watched = info.watched_bytes;
	/* Where nothing was, and in the place of what was watched. */
	fresh = tell(&o, MAP_NEW, 0, 64);
	cr_assert_not(is_written(p, fresh, 0), "nobody has looked at the mappings yet");
	tell(&o, WRITE, 100, 3);
	tell(&o, MAP_NEW, 101, 1);
	cr_assert_eq(ww_process_refresh(p), 0);
	cr_assert_eq(take_written(p, fresh, 64 * page), 1);
	expect(p, &o, 100, 3);
	cr_assert_eq(ww_process_attachment(p, &info), 0);
	cr_assert_eq(info.watched_bytes, watched + 64 * page);
	cr_assert_eq(ww_process_refresh(p), 0);
	cr_assert_eq(take_written(p, fresh, 64 * page), 0, "found once");
	ww_process_close(p);
	end(&o, pid);
}

Test(attach, leaves_the_process_as_it_was)
{
	struct orders o;
	pid_t pid = start(&o);
	char *before, *after;

	tell(&o, WRITE, 0, 100);
	/* The last order is the one that comes again: it can be seen in registers. */
	tell(&o, WRITE, 50, 1);
	wait_for_state(pid, 'S');
	before = look_of(pid);
	for (int i = 0; i < 3; i++) {
		struct ww_process *p = attach_to(pid);

		tell(&o, WRITE, 50, 1);
		wait_for_state(pid, 'S');
		if (i == 1)
			cr_assert_eq(ww_process_detach(p), 0);
		ww_process_close(p);
		after = look_of(pid);
		cr_assert_str_eq(before, after);
		free(after);
	}
	free(before);
	end(&o, pid);
}

static int by_time(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static uint64_t median_stop(pid_t pid)
{
	struct ww_attachment info;
	uint64_t times[51];

	for (size_t i = 0; i < 51; i++) {
		cr_assert_eq(attach_result(pid, &info), 0);
		cr_assert(info.self_healing);
		times[i] = info.stopped_ns;
	}
	qsort(times, 51, sizeof(*times), by_time);
	fprintf(stderr, "# stopped for %lu us, %lu to %lu\n", (unsigned long)times[25] / 1000,
		(unsigned long)times[0] / 1000, (unsigned long)times[50] / 1000);
	return times[25];
}

/*
 * Where there is a processor for it: what else wants that prolongs each stop, for as long as it
 * does, so that many stops are measured again, later. What attaching costs itself, all would show.
 */
Test(attach, stops_for_less_than_a_millisecond, .timeout = 50)
{
	pid_t pid = child_start(NULL, NULL);
	uint64_t median = median_stop(pid);

	for (int i = 1; i < 10 && median >= 1000000 && !in_a_hurry(); i++) {
		usleep(500000);
		median = median_stop(pid);
	}
	cr_assert(in_a_hurry() || median < 1000000);
	child_end(pid);
}

Test(attach, watches_the_own_process)
{
	const size_t page = page_bytes();
	char *memory = map_private(16 * page);
	struct ww_process *p = attach_to(0);
	struct ww_attachment info = {.size = sizeof(info)};

	cr_assert_eq(ww_process_attachment(p, &info), 0);
	cr_assert_eq(info.stopped_ns, 0);
	memory[3 * page] = 1;
	cr_assert_eq(take_written(p, memory, 16 * page), 1);
	memory[5 * page] = 1;
	cr_assert(is_written(p, memory + 5 * page, 0));
	ww_process_close(p);
	unmap(memory, 16 * page);
}

static int close_inherited(void *arg)
{
	ww_process_close(arg);
	return 0;
}

Test(attach, outlives_what_a_child_inherits)
{
	struct orders o;
	pid_t pid = start(&o);
	struct ww_process *p = attach_to(pid);

	cr_assert_eq(child_result(close_inherited, p), 0);
	tell(&o, WRITE, 3, 2);
	expect(p, &o, 3, 2);
	ww_process_close(p);
	end(&o, pid);
}

Test(attach, refuses_bad_arguments)
{
	struct ww_attachment info = {.size = 1};
	struct ww_page_range range;
	pid_t pid = child_start(NULL, NULL);
	struct ww_process *p;
	uint64_t at = 0;
	size_t one = 1, none = 0;

	cr_assert_eq(ww_process_open(&p, pid, 0), 0);
	cr_assert_eq(ww_process_attach(NULL, 0), -EINVAL);
	cr_assert_eq(ww_process_attach(p, 1), -EINVAL);
	cr_assert_eq(ww_process_refresh(NULL), -EINVAL);
	cr_assert_eq(ww_process_refresh(p), -EINVAL);
	cr_assert_eq(ww_process_detach(NULL), -EINVAL);
	cr_assert_eq(ww_process_detach(p), -EINVAL);
	cr_assert_eq(ww_process_get(p, &at, 0, 0, &range, &one), -EINVAL, "not attached");
	cr_assert_eq(ww_process_attachment(p, &info), -EINVAL);
	cr_assert_eq(ww_process_attachment(p, NULL), -EINVAL);
	cr_assert_eq(ww_process_attach(p, 0), 0);
	cr_assert_eq(ww_process_attach(p, 0), -EALREADY);
	one = 1;
	cr_assert_eq(ww_process_get(p, &at, 0, 2, &range, &one), -EINVAL);
	cr_assert_eq(ww_process_get(p, &at, 0, 0, &range, &none), -EINVAL);
	cr_assert_eq(ww_process_get(p, &at, UINT64_MAX, 0, &range, &one), -EINVAL);
	at = 1;
	cr_assert_eq(ww_process_get(p, &at, 0, 0, &range, &one), -EINVAL);
	at = 2 * page_bytes();
	cr_assert_eq(ww_process_get(p, &at, page_bytes(), 0, &range, &one), -EINVAL);
	ww_process_close(p);
	child_end(pid);
}

Test(attach, is_told_of_an_end_and_of_another_program)
{
	struct ww_page_range range;
	struct orders o;
	uint64_t at = 0;
	size_t one = 1;
	pid_t pid = start(&o);
	struct ww_process *p = attach_to(pid);

	kill(pid, SIGKILL);
	wait_for_state(pid, 'Z');
	cr_assert_eq(ww_process_refresh(p), -ESRCH);
	cr_assert_eq(ww_process_get(p, &at, 0, 0, &range, &one), -ESRCH);
	ww_process_close(p);
	end(&o, pid);

	pid = fork();
	if (pid == 0) {
		/* Until the test has attached. */
		raise(SIGSTOP);
		execl("/bin/sleep", "sleep", "100", NULL);
		_exit(1);
	}
	wait_for_state(pid, 'T');
	p = attach_to(pid);
	kill(pid, SIGCONT);
	for (int i = 0, r = 0; r != -ESTALE; i++) {
		cr_assert_lt(i, 5000);
		usleep(1000);
		r = ww_process_refresh(p);
		cr_assert(r == 0 || r == -ESTALE, "%d", r);
	}
	one = 1;
	cr_assert_eq(ww_process_get(p, &at, 0, 0, &range, &one), -ESTALE);
	ww_process_close(p);
	child_end(pid);
}
