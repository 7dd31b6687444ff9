/* SPDX-License-Identifier: MIT */
/* A child has to see every page as written, and whatever it does must not reach its parent. */
#include "backends.h"
#include "moves.h"
#include "oracle.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "checkers.h"
#include "pages.h"

enum { CHILD_FINE, CHILD_ERROR, CHILD_MISSED, CHILD_OVER, CHILD_NOT_RESET, CHILD_LATER };

static bool bit(const uint64_t *bits, size_t i)
{
	return bits[i / 64] >> (i % 64) & 1;
}

static int child_get(struct oracle *o, unsigned flags, size_t *count)
{
	*count = o->page_count / 64 + 1;
	return ww_get_bitmap(o->w, o->base, bytes_of(o, o->page_count), WW_ACROSS | flags, o->bits,
			     count);
}

/* Stores what is there, as shared memory is the parent's too. */
static size_t child_store(struct oracle *o)
{
	for (size_t i = 0; i < o->page_count; i++) {
		size_t page = (i + o->number) % o->page_count;

		if (o->pages[page].watched && o->pages[page].prot == (PROT_READ | PROT_WRITE)) {
			page_write(page_at(o, page), o->pages[page].word);
			return page;
		}
	}
	return o->page_count;
}

static int child(struct oracle *o)
{
	const size_t moved_before = pages_moved();
	size_t count, stored;

	if (child_get(o, WW_RESET, &count) != 0)
		return CHILD_ERROR;
	for (size_t i = 0; i < o->page_count; i++) {
		if (o->pages[i].watched && !bit(o->bits, i))
			return CHILD_MISSED;
		if (!o->pages[i].watched && bit(o->bits, i))
			return CHILD_OVER;
	}
	if (child_get(o, 0, &count) != 0 ||
	    (!moves_explain(count, moved_before) && !except(NOT_EXACT)))
		return CHILD_NOT_RESET;
	stored = child_store(o);
	if (stored == o->page_count)
		return CHILD_FINE;
	if (child_get(o, 0, &count) != 0 || !bit(o->bits, stored) ||
	    (!moves_explain(count - 1, moved_before) && !except(NOT_EXACT)))
		return CHILD_LATER;
	return CHILD_FINE;
}

static void fork_by(struct oracle *o, pid_t (*start)(void))
{
	static const char *const verdicts[] = {"fine", "a call failed", "MISSED a page",
					       "OVER-REPORTED a page", "a reset did not reset",
					       "a store after the reset was not reported alone"};
	bool parent_first = rng_one_in(&o->rng, 2);
	int gate[2], status;
	char byte = 0;
	pid_t pid;

	for (size_t i = 0; i < o->region_count; i++)
		mend(o, o->regions[i]);
	if (pipe2(gate, O_CLOEXEC) != 0)
		oracle_fail(o, "pipe failed");
	pid = start();
	if (pid == 0) {
		/* Or it would wait for ever, should the parent fail first. */
		close(gate[1]);
		if (read(gate[0], &byte, 1) != 1)
			_exit(CHILD_ERROR);
		_exit(child(o));
	}
	if (pid < 0)
		oracle_fail(o, "no child");
	if (parent_first)
		check_everything(o, rng_one_in(&o->rng, 2) ? WW_RESET : 0);
	if (write(gate[1], &byte, 1) != 1 || waitpid(pid, &status, 0) != pid)
		oracle_fail(o, "lost the child");
	close(gate[0]);
	close(gate[1]);
	oracle_log(o, (struct range){0, o->page_count}, parent_first, status);
	if (!WIFEXITED(status) || WEXITSTATUS(status) > CHILD_LATER)
		oracle_fail(o, "the child ended with status 0x%x", status);
	if (WEXITSTATUS(status) != CHILD_FINE)
		oracle_fail(o, "in the child %s", verdicts[WEXITSTATUS(status)]);
	check_everything(o, 0);
}

void op_fork(struct oracle *o)
{
	fork_by(o, fork);
}

void op_clone(struct oracle *o)
{
	fork_by(o, raw_clone);
}
