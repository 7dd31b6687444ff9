/* SPDX-License-Identifier: MIT */
#include "context.h"
#include "choice.h"
#include "pagemap.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

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

/* Whether there is a userfaultfd, which is this process's own and not the parent's. */
static bool holds_uffd(const struct ww *w)
{
	return w->guard->own && !__atomic_load_n(&w->let_go, __ATOMIC_RELAXED) &&
	       sys_is_open(&w->uffd);
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
	r = choice_read(options, &wish);
	if (r == 0)
		r = allocate(&w);
	if (r < 0)
		return r;
	w->flags = wish.flags;
	r = choice_make(w, &wish);
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
	/* Also where descriptors are gone: a child may keep them, and memory protected. */
	if (w->guard->own || w->backend->ops->inherit)
		detach_all(w);
	w->backend->ops->close(w);
	dispose(w);
}

static int attach_range(struct ww *w, const struct range *r)
{
	const struct mapping m = {.start = r->start, .end = r->end};

	return w->backend->ops->attach(w, &m);
}

static int open_anew(struct ww *w)
{
	const struct backend_ops *ops = w->backend->ops;
	const uint32_t own = w->guard->own;
	const char *why;
	int r;

	if (ops->inherit)
		return ops->inherit(w);
	/* What is still protected must not outlive those who handle its faults. */
	if (holds_uffd(w))
		detach_all(w);
	w->goes_on = w->guard->own;
	ops->close(w);
	w->guard->own = 1;
	r = ops->open(w, &why);
	if (r < 0)
		w->guard->own = own;
	return r;
}

/*
 * A child may share descriptors with its parent. New ones must not get the numbers of those that it
 * closes then: the parent would ask them about the child's memory.
 */
static int open_apart(struct ww *w)
{
	struct sys_file *files[] = {&w->uffd, &w->pagemap, &w->maps.file,
				    &w->bell, &w->stop,    &w->clear_refs};
	struct sys_file old[sizeof(files) / sizeof(*files)];
	int r;

	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		old[i] = *files[i];
		*files[i] = SYS_NO_FILE;
	}
	r = open_anew(w);
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
		sys_close(&old[i]);
	/* There may have been room for one of the two only. */
	return choice_is_shortage(r) && r != -ENOMEM ? open_anew(w) : r;
}

/*
 * In a child, or after the program closed descriptors. In a child nothing of the parent's is used but
 * the list of what was watched.
 */
static int begin_anew(struct ww *w)
{
	const struct backend_ops *ops = w->backend->ops;
	int r = w->guard->own ? open_anew(w) : open_apart(w);

	if (r < 0)
		return choice_is_shortage(r) ? r : -ENOTSUP;
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
	int r;

	/* Not written to in every query: it may lie in memory that is watched. */
	if (!range->all_written)
		return 0;
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
		r = choice_read(options, &wish);
	if (r == 0)
		r = allocate(&w);
	if (r < 0)
		return r;
	w->flags = wish.flags;
	choice_make(w, &wish);
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
