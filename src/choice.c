/* SPDX-License-Identifier: MIT */
#include "choice.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "context.h"

static const uint64_t known_guarantees = WW_EXACT | WW_ATOMIC_RESET | WW_RANGED_RESET |
					 WW_KERNEL_WRITES | WW_NO_SIGNAL_HANDLER | WW_NO_THREAD |
					 WW_SURVIVES_FORK;

static const uint64_t known_flags = WW_WRITERS_STOPPED | WW_NO_HANDLER;

static int read_name(const char *name, struct wish *wish)
{
	wish->none = strcmp(name, "off") == 0;
	wish->only = wish->none || strcmp(name, "auto") == 0 ? NULL : name;
	return !wish->only || backend_known(name) ? 0 : -EINVAL;
}

static bool all_zero(const unsigned char *bytes, size_t n)
{
	while (n && *bytes == 0) {
		bytes++;
		n--;
	}
	return n == 0;
}

int choice_read(const struct ww_options *given, struct wish *wish)
{
	struct ww_options options = {0};
	const char *env = secure_getenv("WRITEWATCH_BACKEND");
	int r = 0;

	*wish = (struct wish){0};
	if (given) {
		size_t size = given->size;

		/* No member is cut in two. */
		if (size < sizeof(size) || size % sizeof(size))
			return -EINVAL;
		if (size > sizeof(options)) {
			if (!all_zero((const unsigned char *)given + sizeof(options),
				      size - sizeof(options)))
				return -EINVAL;
			size = sizeof(options);
		}
		memcpy(&options, given, size);
	}
	if (options.required & ~known_guarantees || options.flags & ~known_flags)
		return -EINVAL;
	wish->required = options.required;
	wish->flags = options.flags;
	if (options.backend)
		r = read_name(options.backend, wish);
	if (r == 0 && env && *env)
		r = read_name(env, wish);
	return r;
}

static void refuse(struct ww *w, const struct backend *backend, int error, const char *why)
{
	if (w->refusal_count < WW_MAX_REFUSALS)
		w->refusals[w->refusal_count++] = (struct ww_refusal){
			.backend = backend->variant ? backend->variant : backend->name,
			.reason = why,
			.error = -error,
		};
}

static int try_backend(struct ww *w, const struct backend *backend, const struct wish *wish,
		       const char **why)
{
	int r;

	if (wish->required & ~backend->guarantees) {
		*why = "it lacks a guarantee that the program requires";
		return -ENOTSUP;
	}
	w->backend = backend;
	r = backend->ops->open(w, why);
	if (r < 0) {
		w->backend = NULL;
		/* What was found out on the way is of no use to the next one. */
		w->no_holes = w->no_zero_page = w->join_gaps = false;
		w->no_markers = w->stale_bits = w->no_shared = false;
		w->guard_pages = 0;
	}
	return r;
}

bool choice_is_shortage(int error)
{
	return error == -ENOMEM || error == -EMFILE || error == -ENFILE;
}

int choice_make(struct ww *w, const struct wish *wish)
{
	int result = -ENOTSUP;

	for (const struct backend *b = backend_table; b->name; b++) {
		const char *why = NULL;
		int r;

		if (wish->only ? !backend_is(b, wish->only)
			       : b->needs_stopped && !(wish->flags & WW_WRITERS_STOPPED))
			continue;
		if (wish->none) {
			refuse(w, b, -ENOTSUP, "WRITEWATCH_BACKEND or the program says off");
			continue;
		}
		r = try_backend(w, b, wish, &why);
		if (r == 0)
			return 0;
		refuse(w, b, r, why);
		if (choice_is_shortage(r) && !choice_is_shortage(result))
			result = r;
	}
	return result;
}
