/* SPDX-License-Identifier: MIT */
#ifndef TEST_FAULTS_CASE_H
#define TEST_FAULTS_CASE_H

#include "inject.h"

/* What all cases share; before leaks_begin(). */
void case_prepare(void);

/*
 * Runs the scenario, which ends its process, in one of its own; false: it went wrong, as
 * result->failure says.
 */
bool case_run(const struct plan *plan, void (*scenario)(bool brief), bool brief);

/* The scenario made the call for the n-th time. */
static inline bool case_reached(void)
{
	return inject->failed > 0;
}

/* The end of a list is an answer, where lists are read. */
bool case_is_answer(const struct plan *plan, int error);

/* The signal that the process died of, as it may; 0: it lived. */
extern int case_killed_by;

#endif
