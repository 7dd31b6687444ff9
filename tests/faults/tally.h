/* SPDX-License-Identifier: MIT */
#ifndef TEST_FAULTS_TALLY_H
#define TEST_FAULTS_TALLY_H

#include <stdio.h>

#include "inject.h"

/* What came of the cases of one call and one error, and the list of all cases. */

/* For this backend, or the automatic choice, and what is amiss. */
void tally_open(const char *backend, enum setting setting);
void tally_close(void);

void tally_case(const struct plan *plan);
/* Prints the line of what was counted since the last one, if there is anything. */
void tally_flush(const struct plan *plan);

#endif
