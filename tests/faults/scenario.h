/* SPDX-License-Identifier: MIT */
#ifndef TEST_FAULTS_SCENARIO_H
#define TEST_FAULTS_SCENARIO_H

#include "model.h"

/* Address space that cases map their memory into, and what their shared memory is of. */
void scenario_prepare(void);

/*
 * Everything that the library can do, from ww_probe() to ww_free(), with calls failing as
 * inject->plan says; then they do not any more, and nothing must be lost. @brief: a part of it.
 */
void scenario_run(bool brief);

/* NULL, or the reason why no part of it is done by a child. */
const char *scenario_no_fork(const struct backend_row *row);

#endif
