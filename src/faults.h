/* SPDX-License-Identifier: MIT */
#ifndef WW_FAULTS_H
#define WW_FAULTS_H

#include <stdbool.h>
#include <stdint.h>

/* The signal handlers: they ask the clients, and pass on what is none of ours. */

/*
 * One more context that needs a handler for SIGSEGV or SIGBUS; the first one installs it, after
 * clients_init(). And one less: the last one puts back what was there, unless another handler has
 * been installed on top, which may call ours.
 */
int faults_begin(int number);
void faults_end(int number);
/* Whether the calling thread runs on this memory: no signal frame could be put there. */
bool faults_stack_in(uintptr_t start, uintptr_t end);
/* Puts the handler back where the program installed one later: ours must see the fault first. */
void faults_keep(int number);

#endif
