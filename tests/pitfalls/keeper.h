/* SPDX-License-Identifier: MIT */
#ifndef TEST_KEEPER_H
#define TEST_KEEPER_H

#include <stddef.h>

#include "sys.h"

/* The program closes descriptors of w, of faulting.h, and a child may have copies of them. */

void close_file(struct sys_file *file);
/* Everything that the library has, while a child holds copies of it, until end_keeper(). */
void close_all_but_the_childs(void);
void end_keeper(void);
/* Of all memory; 0 as soon as a call does not find out that something is gone. */
int get_in_the_end(unsigned flags, size_t *count);

#endif
