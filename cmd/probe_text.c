/* SPDX-License-Identifier: MIT */
#include "probe.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define INDENT 13
#define WIDTH 79

/* "label  words", wrapped at blanks below the first word. */
static void print_entry(const char *label, const char *text)
{
	size_t column = INDENT;

	printf("%-*s", INDENT, label);
	while (*text) {
		size_t len = strcspn(text, " ");

		if (column > INDENT && column + 1 + len > WIDTH) {
			printf("\n%*s", INDENT, "");
			column = INDENT;
		} else if (column > INDENT) {
			putchar(' ');
			column++;
		}
		printf("%.*s", (int)len, text);
		column += len;
		text += len + strspn(text + len, " ");
	}
	putchar('\n');
}

static void print_format(const char *label, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void print_format(const char *label, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	print_entry(label, text);
}

static const char *reason_of(const char *reason, int error)
{
	return reason ? reason : strerror(error);
}

static const char *seccomp_words(int seccomp)
{
	if (seccomp < 0)
		return "unknown";
	return seccomp ? "yes" : "none";
}

static void print_machine(const struct probe_machine *m)
{
	char count[32] = "unknown", sysctl[32] = "unknown";

	if (m->max_map_count >= 0)
		snprintf(count, sizeof(count), "%ld", m->max_map_count);
	if (m->unprivileged_uffd >= 0)
		snprintf(sysctl, sizeof(sysctl), "%d", m->unprivileged_uffd);
	print_format("machine", "%s %s on %s, pages of %zu bytes", m->kernel.sysname,
		     m->kernel.release, m->kernel.machine, m->page_size);
	print_format("", "transparent huge pages %s; vm.max_map_count %s",
		     m->huge_pages[0] ? m->huge_pages : "unknown", count);
	print_format("user", "uid %u, %s CAP_SYS_PTRACE, %sdumpable, seccomp filter: %s",
		     (unsigned)m->uid, m->cap_sys_ptrace ? "with" : "without",
		     m->dumpable == 0 ? "not " : "", seccomp_words(m->seccomp));
	print_format("userfaultfd", "vm.unprivileged_userfaultfd %s; /dev/userfaultfd: %s", sysctl,
		     m->device_error ? strerror(m->device_error) : "can be opened");
}

static void print_wish(const struct probe_wish *w)
{
	if (!w->set)
		print_entry("environment", "WRITEWATCH_BACKEND is not set");
	else if (w->backend)
		print_format("environment",
			     "WRITEWATCH_BACKEND is \"%s\": programs started from here get %s, "
			     "whatever they ask for. What follows is without it.",
			     w->value, w->backend);
	else
		print_format("environment",
			     "WRITEWATCH_BACKEND is \"%s\": programs started from here get no "
			     "backend (%s). What follows is without it.",
			     w->value, reason_of(w->reason, w->error));
}

static void print_cost(const struct probe_backend *b)
{
	if (b->measure_error) {
		print_format("", "its cost could not be measured: %s",
			     probe_error_words(b->measure_error));
		return;
	}
	print_format("", "first write %.0f ns a page; get of clean pages %.1f ns a page",
		     b->cost.write_ns, b->cost.get_ns);
	if (b->cost.extra)
		print_format("", "reported %ld pages meanwhile that were not written",
			     b->cost.extra);
}

static void print_guarantees(uint64_t guarantees)
{
	char text[1024] = "";

	for (const struct probe_guarantee *g = probe_guarantees; g->bit; g++) {
		size_t used = strlen(text);

		snprintf(text + used, sizeof(text) - used, "%s%s", used ? ", " : "",
			 guarantees & g->bit ? g->with : g->without);
	}
	print_entry("", text);
}

static void print_refusal(const struct probe_backend *b)
{
	if (!b->reason)
		print_format(b->name, "not usable: %s", strerror(b->error));
	else if (b->error == ENOTSUP)
		print_format(b->name, "not usable: %s", b->reason);
	else
		print_format(b->name, "not usable: %s (%s)", b->reason, strerror(b->error));
	print_entry("", b->how);
	for (size_t i = 0; i < b->change_count; i++)
		print_format("", "%s: %s", i ? "and" : "would change it", b->changes[i]);
}

static void print_backend(const struct probe_backend *b)
{
	putchar('\n');
	if (!b->usable) {
		print_refusal(b);
		return;
	}
	print_entry(b->name, b->chosen ? "usable, and the automatic choice" : "usable");
	print_entry("", b->how);
	print_cost(b);
	print_guarantees(b->guarantees);
}

void probe_print_text(const struct probe_report *r)
{
	print_machine(&r->machine);
	print_wish(&r->wish);
	for (size_t i = 0; i < PROBE_BACKENDS; i++)
		print_backend(&r->backends[i]);
	putchar('\n');
	print_format("choice", "%s; probed in %.1f ms",
		     r->chosen ? r->chosen->name : "none, programs get no backend", r->elapsed_ms);
}
