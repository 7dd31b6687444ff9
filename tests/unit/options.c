/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <writewatch/writewatch.h>

#include "backends.h"
#include "leaks.h"

#define ALL_GUARANTEES \
	(WW_EXACT | WW_ATOMIC_RESET | WW_RANGED_RESET | WW_KERNEL_WRITES | WW_NO_SIGNAL_HANDLER | \
	 WW_NO_THREAD | WW_SURVIVES_FORK)

static void begin(void)
{
	unsetenv("WRITEWATCH_BACKEND");
	leaks_begin();
}

TestSuite(options, .init = begin, .fini = leaks_end);

static int try(const struct ww_options *options)
{
	struct ww *w = (struct ww *)&w;
	int r = ww_new(&w, options);

	cr_assert_eq(r == 0, w != NULL, "a context exactly on success");
	ww_free(w);
	return r;
}

static bool usable(const char *name)
{
	struct ww_options options = {.size = sizeof(options), .backend = name};
	struct ww_info info = {.size = sizeof(info)};

	cr_assert_eq(ww_probe(&options, &info), 0);
	return info.backend != NULL;
}

Test(options, none_and_zero_are_the_defaults)
{
	cr_assert_eq(try(NULL), 0);
	cr_assert_eq(try(&(struct ww_options){.size = sizeof(struct ww_options)}), 0);
	cr_assert_eq(try(&(struct ww_options){.size = sizeof(size_t)}), 0, "an older struct");
}

Test(options, a_newer_struct_is_taken_if_what_is_unknown_is_zero)
{
	struct {
		struct ww_options options;
		uint64_t newer;
	} larger = {.options.size = sizeof(larger)};

	cr_assert_eq(try(&larger.options), 0);
	larger.newer = 1;
	cr_assert_eq(try(&larger.options), -EINVAL);
}

Test(options, wrong_ones_are_refused)
{
	size_t size = sizeof(struct ww_options);

	cr_assert_eq(ww_new(NULL, NULL), -EINVAL);
	cr_assert_eq(try(&(struct ww_options){.size = 0}), -EINVAL);
	cr_assert_eq(try(&(struct ww_options){.size = sizeof(size_t) - 1}), -EINVAL);
	cr_assert_eq(try(&(struct ww_options){.size = size - 4}), -EINVAL, "half a member");
	cr_assert_eq(try(&(struct ww_options){.size = size, .required = 1u << 30}), -EINVAL);
	cr_assert_eq(try(&(struct ww_options){.size = size, .flags = 1u << 30}), -EINVAL);
	cr_assert_eq(try(&(struct ww_options){.size = size, .backend = "soft dirty"}), -EINVAL);
	cr_assert_eq(try(&(struct ww_options){.size = size, .backend = ""}), -EINVAL);
}

/* The first usable backend that has them all, if there is one, is the choice. */
Test(options, guarantees_can_be_required)
{
	for (uint64_t required = 0; required <= ALL_GUARANTEES; required++) {
		struct ww_options options = {.size = sizeof(options), .required = required,
					     .flags = WW_WRITERS_STOPPED};
		const struct backend_row *expected = NULL;
		struct ww_info info = {.size = sizeof(info)};

		/* What this machine has is asked for once, each alone and all of them. */
		if (required & (required - 1) && required != ALL_GUARANTEES)
			continue;
		for (size_t i = backend_row_count; i-- > 0;)
			if (usable(backend_rows[i].name) &&
			    (backend_rows[i].guarantees & required) == required)
				expected = &backend_rows[i];
		cr_assert_eq(try(&options), expected ? 0 : -ENOTSUP);
		cr_assert_eq(ww_probe(&options, &info), 0);
		cr_assert_eq(info.backend != NULL, expected != NULL);
		if (!expected)
			continue;
		cr_assert_str_eq(info.backend, expected->reported);
		cr_assert_eq(info.guarantees, expected->guarantees);
		cr_assert_eq(info.refusal_count, (size_t)(expected - backend_rows));
		cr_assert(info.page_size >= 4096 && info.watched == 0 && info.range_count == 0);
	}
}

Test(options, a_backend_by_name_is_the_only_one_tried)
{
	for (size_t i = 0; i < backend_row_count; i++) {
		const char *name = backend_rows[i].name;
		struct ww_options options = {.size = sizeof(options), .backend = name};
		struct ww_info info = {.size = sizeof(info)};

		cr_assert_eq(try(&options), usable(name) ? 0 : -ENOTSUP);
		cr_assert_eq(ww_probe(&options, &info), 0);
		if (info.backend) {
			cr_assert_str_eq(info.backend, backend_rows[i].reported);
			cr_assert_eq(info.refusal_count, 0);
			continue;
		}
		cr_assert_eq(info.refusal_count, 1);
		cr_assert_str_eq(info.refusals[0].backend, name);
		cr_assert_gt(info.refusals[0].error, 0);
		cr_assert(strlen(info.refusals[0].reason) > 0);
	}
}

Test(options, one_name_stands_for_both_ways_to_use_userfaultfd)
{
	struct ww_options options = {.size = sizeof(options), .backend = "uffd"};

	cr_assert_eq(try(&options), usable("uffd-thread") || usable("uffd-sigbus") ? 0 : -ENOTSUP);
}

Test(options, the_environment_overrides_the_program)
{
	struct ww_options options = {.size = sizeof(options), .backend = "off"};

	setenv("WRITEWATCH_BACKEND", "mprotect", 1);
	cr_assert_eq(try(&options), 0);
	setenv("WRITEWATCH_BACKEND", "auto", 1);
	cr_assert_eq(try(&options), 0);
	setenv("WRITEWATCH_BACKEND", "", 1);
	cr_assert_eq(try(NULL), 0, "empty is as if unset");
	cr_assert_eq(try(&options), -ENOTSUP);
	setenv("WRITEWATCH_BACKEND", "off", 1);
	cr_assert_eq(try(NULL), -ENOTSUP);
	setenv("WRITEWATCH_BACKEND", "fastest", 1);
	cr_assert_eq(try(NULL), -EINVAL);
}

Test(options, a_probe_gives_each_reason_when_all_is_off)
{
	struct ww_options options = {.size = sizeof(options), .backend = "off"};
	struct ww_info info = {.size = sizeof(info)};

	cr_assert_eq(ww_probe(&options, &info), 0);
	cr_assert_null(info.backend);
	cr_assert_eq(info.refusal_count, 4);
	for (size_t i = 0; i < info.refusal_count; i++)
		cr_assert(info.refusals[i].reason && info.refusals[i].error > 0);
}

Test(options, info_keeps_to_the_size_it_is_given)
{
	struct {
		struct ww_info info;
		unsigned char newer[8];
	} larger;
	struct ww_info info = {.size = sizeof(info)};
	struct ww *w;

	cr_assert_eq(ww_new(&w, NULL), 0);
	memset(&larger, 0xff, sizeof(larger));
	larger.info.size = sizeof(larger);
	cr_assert_eq(ww_info(w, &larger.info), 0);
	cr_assert_eq(larger.info.size, sizeof(info));
	cr_assert_eq(larger.newer[0] | larger.newer[7], 0);

	memset(&larger, 0xff, sizeof(larger));
	larger.info.size = offsetof(struct ww_info, refusals);
	cr_assert_eq(ww_info(w, &larger.info), 0);
	cr_assert_eq(*(unsigned char *)&larger.info.refusals, 0xff, "nothing behind the size");
	cr_assert_not_null(larger.info.backend);

	info.size = offsetof(struct ww_info, refusals) - 1;
	cr_assert_eq(ww_info(w, &info), -EINVAL);
	cr_assert_eq(ww_info(w, NULL), -EINVAL);
	cr_assert_eq(ww_info(NULL, &larger.info), -EINVAL);
	cr_assert_eq(ww_probe(NULL, NULL), -EINVAL);
	cr_assert_eq(ww_probe(NULL, &info), -EINVAL);
	ww_free(w);
}
