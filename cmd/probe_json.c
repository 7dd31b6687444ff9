/* SPDX-License-Identifier: MIT */
#include "probe.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>

/*
 * jansson's functions take null for "could not be made" and steal what they are given; the object
 * as a whole is null then, and that is where it is noticed.
 */

/* null for a number that could not be read. */
static json_t *number_or_null(long value)
{
	return value < 0 ? json_null() : json_integer(value);
}

static json_t *text_or_null(const char *text)
{
	return text && *text ? json_string(text) : json_null();
}

static json_t *bool_or_null(int value)
{
	return value < 0 ? json_null() : json_boolean(value);
}

/* A tenth of a nanosecond is less than what is measured. */
static json_t *rounded(double value)
{
	return json_real((double)(json_int_t)(value * 10 + 0.5) / 10);
}

/* errno as number and as the words for it. */
static json_t *error_or_null(int error)
{
	return error ? json_pack("{s:i, s:s}", "errno", error, "message", probe_error_words(error))
		     : json_null();
}

static json_t *machine(const struct probe_machine *m)
{
	return json_pack("{s:s, s:s, s:s, s:I, s:o, s:o}", "system", m->kernel.sysname, "release",
			 m->kernel.release, "architecture", m->kernel.machine, "page_size",
			 (json_int_t)m->page_size, "transparent_hugepage",
			 text_or_null(m->huge_pages), "max_map_count",
			 number_or_null(m->max_map_count));
}

static json_t *user(const struct probe_machine *m)
{
	return json_pack("{s:I, s:b, s:o, s:o}", "uid", (json_int_t)m->uid, "cap_sys_ptrace",
			 m->cap_sys_ptrace, "dumpable", bool_or_null(m->dumpable), "seccomp_filter",
			 bool_or_null(m->seccomp));
}

static json_t *userfaultfd(const struct probe_machine *m)
{
	return json_pack("{s:o, s:o, s:o, s:o}", "unprivileged_userfaultfd",
			 number_or_null(m->unprivileged_uffd), "kernel_faults",
			 error_or_null(m->uffd_error), "user_faults",
			 error_or_null(m->uffd_user_error), "device",
			 error_or_null(m->device_error));
}

static json_t *environment(const struct probe_wish *w)
{
	if (!w->set)
		return json_null();
	return json_pack("{s:s, s:o, s:o, s:o}", "WRITEWATCH_BACKEND", w->value, "backend",
			 text_or_null(w->backend), "reason", text_or_null(w->reason), "error",
			 error_or_null(w->error));
}

static json_t *guarantees(uint64_t bits)
{
	json_t *object = json_object();

	for (const struct probe_guarantee *g = probe_guarantees; g->bit; g++) {
		if (json_object_set_new(object, g->key, json_boolean(bits & g->bit)) < 0) {
			json_decref(object);
			return NULL;
		}
	}
	return object;
}

static json_t *strings(const char (*texts)[PROBE_TEXT], size_t count)
{
	json_t *array = json_array();

	for (size_t i = 0; i < count; i++) {
		if (json_array_append_new(array, json_string(texts[i])) < 0) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

static json_t *backend(const struct probe_backend *b)
{
	bool measured = b->usable && !b->measure_error;

	return json_pack(
	    "{s:s, s:s, s:b, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "name", b->name, "how",
	    b->how, "usable", b->usable, "chosen", b->chosen, "guarantees",
	    b->usable ? guarantees(b->guarantees) : json_null(), "first_write_ns",
	    measured ? rounded(b->cost.write_ns) : json_null(), "clean_get_ns_per_page",
	    measured ? rounded(b->cost.get_ns) : json_null(), "over_reported_pages",
	    measured ? json_integer(b->cost.extra) : json_null(), "measure_error",
	    error_or_null(b->measure_error), "reason", text_or_null(b->reason), "error",
	    error_or_null(b->error), "changes", strings(b->changes, b->change_count));
}

static json_t *backends(const struct probe_report *r)
{
	json_t *array = json_array();

	for (size_t i = 0; i < PROBE_BACKENDS; i++) {
		if (json_array_append_new(array, backend(&r->backends[i])) < 0) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

int probe_print_json(const struct probe_report *r)
{
	char version[32];
	json_t *root;
	int failed;

	snprintf(version, sizeof(version), "%d.%d.%d", WW_VERSION_MAJOR, WW_VERSION_MINOR,
		 WW_VERSION_PATCH);
	root = json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "version", version, "machine",
			 machine(&r->machine), "user", user(&r->machine), "userfaultfd",
			 userfaultfd(&r->machine), "environment", environment(&r->wish), "backends",
			 backends(r), "choice", text_or_null(r->chosen ? r->chosen->name : NULL),
			 "elapsed_ms", rounded(r->elapsed_ms));
	if (!root)
		return -ENOMEM;
	failed = json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(12));
	json_decref(root);
	putchar('\n');
	return failed ? -EIO : 0;
}
