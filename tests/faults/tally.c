/* SPDX-License-Identifier: MIT */
#include "tally.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "case.h"
#include "model.h"

static const char *const settings[] = {
	[USUAL] = "",
	[NO_USERFAULTFD_CALL] = " without userfaultfd(2)",
	[NO_QUERY_MAP] = " without PROCMAP_QUERY",
	[NO_MARKERS] = " without markers",
	[STALE_BITS] = " with stale bits",
	[NO_ZERO_PAGE] = " without a zero page",
	[EVERY_FAULT_TWICE] = " with every fault twice",
};
static const char *const scopes[] = {"", " in the handler"};
static const char *const modes[] = {"only", "and all behind", "late"};

static const char *chosen;
static FILE *list;
static unsigned total;

/* Outcomes, each a few words, and how often. */
static struct {
	char text[64];
	unsigned count;
} outcomes[64];
static size_t outcome_count;
static unsigned cases;

void tally_open(const char *backend, enum setting setting)
{
	char path[64], here[256];

	chosen = backend;
	total = 0;
	snprintf(path, sizeof(path), "faults-%s-%d.log", backend, setting);
	list = fopen(path, "we");
	if (list && getcwd(here, sizeof(here)))
		fprintf(stderr, "# %s: every case is listed in %s/%s\n", backend, here, path);
	else
		fprintf(stderr, "# %s: no file for the list of all cases\n", backend);
}

void tally_close(void)
{
	if (chosen)
		fprintf(stderr, "# %s: %u cases\n", chosen, total);
	if (list)
		fclose(list);
	list = NULL;
}

static void count(const char *text)
{
	size_t i = 0;

	while (i < outcome_count && strcmp(outcomes[i].text, text) != 0)
		i++;
	if (i == sizeof(outcomes) / sizeof(*outcomes))
		return;
	if (i == outcome_count) {
		snprintf(outcomes[i].text, sizeof(outcomes[i].text), "%s", text);
		outcomes[i].count = 0;
		outcome_count++;
	}
	outcomes[i].count++;
}

static void say(const char *text)
{
	count(text);
	if (list)
		fprintf(list, " %s;", text);
}

static void say_errors(void)
{
	char text[64];

	for (size_t i = 0; i < result->error_count; i++) {
		snprintf(text, sizeof(text), "%s %s", api_names[result->errors[i].api],
			 error_name(result->errors[i].error));
		say(text);
	}
}

void tally_case(const struct plan *plan)
{
	bool other = result->backend[0] && strcmp(result->backend, chosen) != 0;
	char text[64];

	cases++;
	total++;
	if (list)
		fprintf(list, "%s%s: %s%s, call %u %s, %s:", chosen, settings[plan->setting],
			calls[plan->call].name, scopes[plan->scope], plan->nth, modes[plan->mode],
			error_name(plan->error));
	if (other) {
		snprintf(text, sizeof(text), "the backend is %s", result->backend);
		say(text);
	}
	say_errors();
	if (case_killed_by) {
		snprintf(text, sizeof(text), "killed by SIG%s", sigabbrev_np(case_killed_by));
		say(text);
	}
	if (result->failure[0])
		say("WRONG");
	else if (!other && !result->error_count && !case_killed_by)
		say("no error");
	if (list)
		fprintf(list, "\n");
}

void tally_flush(const struct plan *plan)
{
	if (cases == 0)
		return;
	fprintf(stderr, "# %s%s: %s%s: %s: %u cases:", chosen, settings[plan->setting],
		calls[plan->call].name, scopes[plan->scope], error_name(plan->error), cases);
	for (size_t i = 0; i < outcome_count; i++)
		fprintf(stderr, "%s %s %u", i ? "," : "", outcomes[i].text, outcomes[i].count);
	fprintf(stderr, "\n");
	cases = 0;
	outcome_count = 0;
}
