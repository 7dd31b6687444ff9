/* SPDX-License-Identifier: MIT */
#ifndef TEST_FAULTS_RECOVER_H
#define TEST_FAULTS_RECOVER_H

#include "model.h"

/*
 * The calls do not fail any more: all that was written is reported, and from there on exactly what
 * is written. Leaves the failures on again for ww_free().
 */
void recover(struct model *m);
/* The same where there is no context. */
void recover_none(struct model *m);
/* ww_free() with the failures, and what must not be left behind. */
void finish_with(struct model *m);
/* The size of the address space. */
size_t mapped_pages(void);

#endif
