/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <writewatch/writewatch.h>

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

Test(options, every_guarantee_can_be_required)
{
	struct ww_options options = {.size = sizeof(options), .required = ALL_GUARANTEES,
				     .flags = WW_WRITERS_STOPPED};
	struct ww_info info = {.size = sizeof(info)};
	struct ww *w;

	cr_assert_eq(ww_new(&w, &options), 0);
	cr_assert_eq(ww_info(w, &info), 0);
	cr_assert_str_eq(info.backend, "pagemap-scan");
	cr_assert_eq(info.guarantees, ALL_GUARANTEES);
	cr_assert_eq(info.refusal_count, 0);
	cr_assert(info.page_size >= 4096 && info.watched == 0 && info.range_count == 0);
	ww_free(w);
}

Test(options, a_backend_by_name_is_the_only_one_tried)
{
	struct ww_options options = {.size = sizeof(options), .backend = "pagemap-scan"};
	struct ww_info info = {.size = sizeof(info)};

	cr_assert_eq(try(&options), 0);
	options.backend = "soft-dirty";
	cr_assert_eq(try(&options), -ENOTSUP);
	cr_assert_eq(ww_probe(&options, &info), 0);
	cr_assert_null(info.backend);
	cr_assert_eq(info.refusal_count, 1);
	cr_assert_str_eq(info.refusals[0].backend, "soft-dirty");
	cr_assert_eq(info.refusals[0].error, ENOTSUP);
	cr_assert(strlen(info.refusals[0].reason) > 0);
}

Test(options, the_environment_overrides_the_program)
{
	struct ww_options options = {.size = sizeof(options), .backend = "soft-dirty"};

	setenv("WRITEWATCH_BACKEND", "pagemap-scan", 1);
	cr_assert_eq(try(&options), 0);
	setenv("WRITEWATCH_BACKEND", "auto", 1);
	cr_assert_eq(try(&options), 0);
	setenv("WRITEWATCH_BACKEND", "", 1);
	cr_assert_eq(try(NULL), 0, "empty is as if unset");
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
	cr_assert_str_eq(larger.info.backend, "pagemap-scan");

	info.size = offsetof(struct ww_info, refusals) - 1;
	cr_assert_eq(ww_info(w, &info), -EINVAL);
	cr_assert_eq(ww_info(w, NULL), -EINVAL);
	cr_assert_eq(ww_info(NULL, &larger.info), -EINVAL);
	cr_assert_eq(ww_probe(NULL, NULL), -EINVAL);
	cr_assert_eq(ww_probe(NULL, &info), -EINVAL);
	ww_free(w);
}
