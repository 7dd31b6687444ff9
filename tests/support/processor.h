/* SPDX-License-Identifier: MIT */
#ifndef TEST_SUPPORT_PROCESSOR_H
#define TEST_SUPPORT_PROCESSOR_H

#include <stdbool.h>

/* Keeps the calling thread, and what it starts, where it is now; false: that cannot be had. */
bool stay_on_one_processor(void);

#endif
