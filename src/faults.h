/* SPDX-License-Identifier: MIT */
#ifndef WW_FAULTS_H
#define WW_FAULTS_H

/* The signal handlers: they ask the clients, and pass on what is none of ours. */

#include <stdbool.h>
#include <stdint.h>

struct ww;

/*
 * Makes the context a client, with w->states. The first one with a signal installs its handler,
 * unless the program has its own. The last one puts back what was there, unless memory was watched and
 * there are other threads, or another handler has been installed on top, which may call ours. number
 * and fault: see struct client.
 */
int faults_join(struct ww *w, const void *kind, int number,
		int (*fault)(struct ww *w, uintptr_t page, bool doubt));
/* May be called for a context that is no client. */
void faults_leave(struct ww *w);
/* Puts the handler back where the program installed one later: ours must see the fault first. */
void faults_keep(const struct ww *w);

/* Whether the program leaves the handler to us. */
bool faults_handled(const struct ww *w);
/*
 * Whether a fault could not be handled while this memory is protected: the calling thread runs on it,
 * where the kernel could put no signal frame, or handlers write to it.
 */
bool faults_need(uintptr_t start, uintptr_t end);

#endif
