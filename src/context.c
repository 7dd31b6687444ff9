/* SPDX-License-Identifier: MIT */
#include "context.h"
#include "pagemap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static const uint64_t known_guarantees = WW_EXACT | WW_ATOMIC_RESET | WW_RANGED_RESET |
					 WW_KERNEL_WRITES | WW_NO_SIGNAL_HANDLER | WW_NO_THREAD |
					 WW_SURVIVES_FORK;

static const uint64_t known_flags = WW_WRITERS_STOPPED | WW_NO_HANDLER;

/* What ww_new() is asked for: no backend at all, only this one, or, with neither, the first. */
struct wish {
	bool none;
	const char *only;
	uint64_t required;
	uint64_t flags;
};

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

static int read_options(const struct ww_options *given, struct wish *wish)
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
		w->no_markers = w->stale_bits = false;
		w->guard_pages = 0;
	}
	return r;
}

/* What the caller can mend, as against what this machine does not have. */
static bool is_shortage(int error)
{
	return error == -ENOMEM || error == -EMFILE || error == -ENFILE;
}

static int choose(struct ww *w, const struct wish *wish)
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
		if (is_shortage(r) && !is_shortage(result))
			result = r;
	}
	return result;
}

static int make_guard(struct ww *w)
{
	void *page;
	int r = context_map(NULL, &page, w->page_size);

	if (r < 0)
		return r;
	r = sys_madvise((uintptr_t)page, w->page_size, MADV_WIPEONFORK);
	if (r < 0) {
		sys_munmap(page, w->page_size);
		return r == -ENOMEM ? r : -ENOTSUP;
	}
	w->guard = page;
	pthread_mutex_init(&w->guard->lock, NULL);
	w->guard->alive = w->guard->own = 1;
	return 0;
}

static int allocate(struct ww **out)
{
	struct ww *w;
	void *p;
	int r = context_map(NULL, &p, sizeof(*w));

	if (r < 0)
		return r;
	w = p;
	/* The result vectors have to be backed by pages from the start. */
	memset(w, 0, sizeof(*w));
	w->maps.file = w->uffd = w->pagemap = SYS_NO_FILE;
	w->bell = w->stop = w->clear_refs = SYS_NO_FILE;
	w->page_size = sys_page_size();
	w->page_shift = w->states.page_shift = (unsigned)__builtin_ctzl(w->page_size);
	registry_init(&w->registry);
	r = make_guard(w);
	if (r < 0)
		sys_munmap(w, sizeof(*w));
	else
		*out = w;
	return r;
}

static void dispose(struct ww *w)
{
	registry_destroy(&w->registry);
	pthread_mutex_destroy(&w->guard->lock);
	sys_munmap(w->guard, w->page_size);
	sys_munmap(w, sizeof(*w));
}

static void detach_all(struct ww *w)
{
	for (struct range *r = registry_first(&w->registry, 0); r; r = range_next(r))
		w->backend->ops->detach(w, r->start, r->end);
}

int ww_new(struct ww **out, const struct ww_options *options)
{
	struct wish wish;
	struct ww *w;
	int r;

	if (!out)
		return -EINVAL;
	*out = NULL;
	r = read_options(options, &wish);
	if (r == 0)
		r = allocate(&w);
	if (r < 0)
		return r;
	w->flags = wish.flags;
	r = choose(w, &wish);
	if (r < 0) {
		dispose(w);
		return r;
	}
	*out = w;
	return 0;
}

void ww_free(struct ww *w)
{
	if (!w)
		return;
	/* What a child inherited as it was, must be let go of there, too, as well as that can be. */
	if (!w->guard->alive && w->backend->ops->inherit)
		w->backend->ops->inherit(w);
	w->ends = true;
	if (w->guard->alive || w->backend->ops->inherit || (w->guard->own && sys_is_open(&w->uffd)))
		detach_all(w);
	w->backend->ops->close(w);
	dispose(w);
}

static int attach_range(struct ww *w, const struct range *r)
{
	const struct mapping m = {.start = r->start, .end = r->end};

	return w->backend->ops->attach(w, &m);
}

/* In a child: nothing of the parent's is used but the list of what was watched. */
static int begin_anew(struct ww *w)
{
	const struct backend_ops *ops = w->backend->ops;
	const char *why;
	int r;

	if (ops->inherit) {
		r = ops->inherit(w);
	} else {
		ops->close(w);
		w->guard->own = 1;
		r = ops->open(w, &why);
	}
	if (r < 0)
		return is_shortage(r) ? r : -ENOTSUP;
	w->registry.count = w->registry.bytes = 0;
	for (struct range *p = registry_first(&w->registry, 0); p; p = range_next(p)) {
		struct range *next = range_next(p);

		/* The fork may have caught another thread dividing this range. */
		if (next && next->start < p->end)
			p->end = next->start;
		p->fresh = false;
		w->registry.count++;
		w->registry.bytes += p->end - p->start;
		/* What cannot be tracked here is found by the next query of it: -ESTALE. */
		p->all_written = (!ops->inherit && attach_range(w, p) < 0) ||
				 ops->arm_written(w, p) < 0;
	}
	w->guard->alive = w->guard->own = 1;
	return 0;
}

int context_enter(struct ww *w)
{
	int r;

	pthread_mutex_lock(&w->guard->lock);
	/* Whoever handles faults may end it at any time. */
	if (__builtin_expect(__atomic_load_n(&w->guard->alive, __ATOMIC_RELAXED), 1))
		return 0;
	r = begin_anew(w);
	if (r < 0)
		pthread_mutex_unlock(&w->guard->lock);
	return r;
}

void context_leave(struct ww *w)
{
	pthread_mutex_unlock(&w->guard->lock);
}

bool context_lost(struct ww *w, const struct sys_file *file)
{
	if (sys_is_open(file))
		return false;
	w->guard->alive = 0;
	return true;
}

int context_next_mapping(struct ww *w, struct maps_walk *walk, struct mapping *m)
{
	int r = maps_next(&w->maps, walk, m);

	/* Text is believed whatever file it comes from. */
	if ((r < 0 && r != -ENOENT) || w->maps.text_only) {
		if (context_lost(w, &w->maps.file))
			return -ESTALE;
	}
	if (r < 0 && r != -ENOENT)
		return -EIO;
	return r == 0;
}

int context_mapping_at(struct ww *w, struct maps_walk *walk, struct mapping *m, uintptr_t pos)
{
	int r = 1;

	if (m->end <= pos && walk->pos < pos)
		walk->pos = pos;
	while (r > 0 && m->end <= pos)
		r = context_next_mapping(w, walk, m);
	return r;
}

int context_settle(struct ww *w, struct range *range)
{
	int r = 0;

	if (range->all_written)
		r = w->backend->ops->settle(w, range->start, range->end);
	if (r == 0)
		range->all_written = false;
	return r;
}

int context_pages(const struct ww *w, const void *addr, size_t len, uintptr_t *start,
		  uintptr_t *end)
{
	uintptr_t mask = w->page_size - 1, first = (uintptr_t)addr, last;

	if (len == 0 || __builtin_add_overflow(first, len - 1, &last) ||
	    (last | mask) == UINTPTR_MAX)
		return -EINVAL;
	/* The upper half belongs to the kernel on every 64-bit Linux. */
	if (sizeof(last) == 8 && last > INTPTR_MAX)
		return -EINVAL;
	*start = first & ~mask;
	*end = (last | mask) + 1;
	return 0;
}

static void fill_info(const struct ww *w, struct ww_info *info)
{
	*info = (struct ww_info){
		.backend = w->backend ? w->backend->name : NULL,
		.page_size = w->page_size,
		.guarantees = w->backend ? w->backend->guarantees : 0,
		.watched = w->registry.bytes,
		.range_count = w->registry.count,
		.refusal_count = w->refusal_count,
		/* Handlers count without the lock of the context. */
		.widened = __atomic_load_n(&w->widened, __ATOMIC_RELAXED),
	};
	memcpy(info->refusals, w->refusals, sizeof(info->refusals));
}

static int check_info(const struct ww_info *info)
{
	return info && info->size >= offsetof(struct ww_info, refusals) ? 0 : -EINVAL;
}

static void copy_info(struct ww_info *out, struct ww_info *info)
{
	size_t size = out->size;

	info->size = size < sizeof(*info) ? size : sizeof(*info);
	if (size > sizeof(*info))
		memset((unsigned char *)out + sizeof(*info), 0, size - sizeof(*info));
	memcpy(out, info, info->size);
}

int ww_probe(const struct ww_options *options, struct ww_info *out)
{
	struct ww_info info;
	struct wish wish;
	struct ww *w;
	int r = check_info(out);

	if (r == 0)
		r = read_options(options, &wish);
	if (r == 0)
		r = allocate(&w);
	if (r < 0)
		return r;
	w->flags = wish.flags;
	choose(w, &wish);
	fill_info(w, &info);
	if (w->backend)
		w->backend->ops->close(w);
	dispose(w);
	copy_info(out, &info);
	return 0;
}

int ww_info(struct ww *w, struct ww_info *out)
{
	struct ww_info info;

	if (!w || check_info(out) < 0)
		return -EINVAL;
	pthread_mutex_lock(&w->guard->lock);
	fill_info(w, &info);
	pthread_mutex_unlock(&w->guard->lock);
	copy_info(out, &info);
	return 0;
}
