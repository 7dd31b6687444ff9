/* SPDX-License-Identifier: MIT */
#include "probe.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const struct probe_guarantee probe_guarantees[] = {
    {WW_EXACT, "exact", "exact", "may report more than was written"},
    {WW_ATOMIC_RESET, "atomic_reset", "atomic reset", "writers must stop during a reset"},
    {WW_RANGED_RESET, "ranged_reset", "ranged reset", "a reset is for the whole process"},
    {WW_KERNEL_WRITES, "kernel_writes", "sees system calls' writes",
     "system calls that write fail (EFAULT)"},
    {WW_NO_SIGNAL_HANDLER, "no_signal_handler", "no signal handler", "a signal handler"},
    {WW_NO_THREAD, "no_thread", "no thread", "a thread"},
    {WW_SURVIVES_FORK, "survives_fork", "survives fork", "does not survive fork"},
    {0, NULL, NULL, NULL},
};

/* In the order of preference. */
static const struct {
	const char *name;
	const char *how;
} rows[PROBE_BACKENDS] = {
    {"pagemap-scan", "userfaultfd's asynchronous write-protection and PAGEMAP_SCAN"},
    {"uffd-thread", "userfaultfd's write-protection, lifted by a thread"},
    {"uffd-sigbus", "userfaultfd's write-protection, lifted by a SIGBUS handler"},
    {"mprotect", "page protection, lifted by a SIGSEGV handler"},
    {"soft-dirty", "the kernel's soft-dirty bits; used only when asked for"},
};

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* Tells which backend ww_new() would take; else why none, *reason being NULL if errno says it all.
 */
static const char *ask(const struct ww_options *options, const char **reason, int *error)
{
	struct ww_info info = {.size = sizeof(info)};
	int r = ww_probe(options, &info);

	*reason = NULL;
	*error = r < 0 ? -r : ENOTSUP;
	if (r == 0 && info.backend) {
		*error = 0;
		return info.backend;
	}
	if (r == 0 && info.refusal_count > 0) {
		*reason = info.refusals[0].reason;
		*error = info.refusals[0].error;
	}
	return NULL;
}

static void try_backend(struct probe_backend *b)
{
	const struct ww_options options = {.size = sizeof(options), .backend = b->name};
	struct ww_info info = {.size = sizeof(info)};
	struct ww *w;
	int r = ww_new(&w, &options);

	if (r < 0) {
		/* What was short may be there again by now. */
		if (ask(&options, &b->reason, &b->error))
			b->error = -r;
		return;
	}
	b->usable = true;
	ww_info(w, &info);
	b->public_name = info.backend;
	b->guarantees = info.guarantees;
	ww_free(w);
}

static void measure_backend(struct probe_backend *b, const struct probe_scratch *scratch)
{
	const struct ww_options options = {.size = sizeof(options), .backend = b->name};
	struct ww *w;

	b->measure_error = -ww_new(&w, &options);
	if (b->measure_error)
		return;
	b->measure_error = probe_measure(w, scratch, b->guarantees, &b->cost);
	ww_free(w);
}

static void copy_printable(char *to, size_t size, const char *from)
{
	size_t i;

	for (i = 0; from[i] && i + 1 < size; i++)
		to[i] = (char)(from[i] >= ' ' && from[i] <= '~' ? from[i] : '?');
	to[i] = '\0';
}

static void take_wish(struct probe_wish *wish)
{
	const char *value = getenv("WRITEWATCH_BACKEND");

	if (!value || !*value)
		return;
	wish->set = true;
	copy_printable(wish->value, sizeof(wish->value), value);
	wish->backend = ask(NULL, &wish->reason, &wish->error);
	unsetenv("WRITEWATCH_BACKEND");
}

static void find_choice(struct probe_report *r)
{
	struct ww_info info = {.size = sizeof(info)};

	if (ww_probe(NULL, &info) < 0 || !info.backend)
		return;
	for (size_t i = 0; i < PROBE_BACKENDS; i++) {
		struct probe_backend *b = &r->backends[i];

		/* Both kinds of uffd have one name and differ in what they guarantee. */
		if (!b->usable || strcmp(b->public_name, info.backend) != 0 ||
		    b->guarantees != info.guarantees)
			continue;
		b->chosen = true;
		r->chosen = b;
		return;
	}
}

static void measure(struct probe_report *r)
{
	struct probe_scratch scratch;

	probe_scratch_init(&scratch, r->machine.page_size);
	for (size_t i = 0; i < PROBE_BACKENDS; i++) {
		if (r->backends[i].usable)
			measure_backend(&r->backends[i], &scratch);
	}
	probe_scratch_free(&scratch);
}

void probe_collect(struct probe_report *r)
{
	double began = now_ms();

	*r = (struct probe_report){0};
	take_wish(&r->wish);
	probe_machine_read(&r->machine);
	for (size_t i = 0; i < PROBE_BACKENDS; i++) {
		struct probe_backend *b = &r->backends[i];

		b->name = rows[i].name;
		b->how = rows[i].how;
		try_backend(b);
		if (!b->usable)
			probe_advise(&r->machine, b);
	}
	find_choice(r);
	/* Last, as the memory that it takes may be what a backend then lacks. */
	measure(r);
	r->elapsed_ms = now_ms() - began;
}
