/* SPDX-License-Identifier: MIT */
#include "process_track.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "uapi/userfaultfd.h"

static int api_error(int r)
{
	return r == -EINVAL ? -ENOTSUP : r;
}

static int enable(const struct sys_file *uffd)
{
	struct wwk_uffdio_api api = {
		.api = WWK_UFFD_API,
		.features = WWK_UFFD_FEATURE_WP_ASYNC | WWK_UFFD_FEATURE_WP_UNPOPULATED,
	};

	return api_error((int)sys_ioctl(uffd->fd, WWK_UFFDIO_API, &api));
}

static int unregister(const struct tracking *t, uint64_t start, uint64_t end)
{
	struct wwk_uffdio_range range = {.start = start, .len = end - start};

	return (int)sys_ioctl(t->uffd.fd, WWK_UFFDIO_UNREGISTER, &range);
}

/* Hugetlb can clip, and lacks ZEROPAGE. */
int process_track_register(const struct tracking *t, uint64_t start, uint64_t end)
{
	struct wwk_uffdio_register reg = {
		.range = {.start = start, .len = end - start},
		.mode = WWK_UFFDIO_REGISTER_MODE_WP,
	};
	int r = (int)sys_ioctl(t->uffd.fd, WWK_UFFDIO_REGISTER, &reg);

	if (r == 0 && !(reg.ioctls & (1u << WWK_UFFDIO_ZEROPAGE_NR))) {
		unregister(t, start, end);
		return -ENOTSUP;
	}
	return r;
}

static int register_mapping(const struct tracking *t, const struct mapping *m)
{
	return m->kind == MAPPING_HUGETLB ? -ENOTSUP : process_track_register(t, m->start, m->end);
}

int process_track_unprotect(const struct tracking *t, uint64_t start, uint64_t end)
{
	struct wwk_uffdio_writeprotect wp = {.range = {.start = start, .len = end - start}};

	return (int)sys_ioctl(t->uffd.fd, WWK_UFFDIO_WRITEPROTECT, &wp);
}

/* Kernels before 6.17 let anyone unregister what is another's, but none registers that. */
static int unregister_ours(const struct tracking *t, uint64_t start, uint64_t end)
{
	int r = process_track_register(t, start, end);

	return r < 0 ? r : unregister(t, start, end);
}

static int add(struct tracking *t, const struct mapping *m, int error)
{
	if (t->count == t->room) {
		size_t room = t->room ? 2 * t->room : 256;
		struct tracked *list = realloc(t->list, room * sizeof(*list));

		if (!list)
			return -ENOMEM;
		t->list = list;
		t->room = room;
	}
	t->list[t->count++] = (struct tracked){
		.start = m->start,
		.end = m->end,
		.error = error,
		.shared = m->kind == MAPPING_SHARED,
	};
	return 0;
}

/* Where the mapping was known: a cursor over the old list, which ascends like the mappings. */
struct known {
	const struct tracked *at, *end;
};

static const struct tracked *find_known(struct known *known, const struct mapping *m)
{
	while (known->at < known->end && known->at->end <= m->start)
		known->at++;
	return known->at < known->end && known->at->start < m->end ? known->at : NULL;
}

/* Whether any part of the mapping was registered; joined mappings have more than one. */
static bool was_registered(const struct known *known, const struct mapping *m)
{
	for (const struct tracked *k = known->at; k < known->end && k->start < m->end; k++)
		if (!k->error)
			return true;
	return false;
}

/*
 * What is read-only may hold pages that were written, and programs that make code at run time make
 * it writable in turns. Not so what comes from files, where nobody does: to be watched would cost
 * the code of libraries its huge pages, and a fault for each page.
 */
static int wants(struct ww_process *p, const struct known *known, const struct tracked *old,
		 const struct mapping *m)
{
	int r;

	if (m->prot & PROT_WRITE)
		return 1;
	if (m->kind == MAPPING_PRIVATE_ANON)
		return !maps_of_kernel(&p->maps, m);
	if (!old || !was_registered(known, m))
		return 0;
	r = process_check_watched(p, m->start, m->end);
	return r == 0 ? 1 : r == -EPERM ? 0 : r;
}

static int unprotect_all(const struct tracking *t, const struct ww_page_range *ranges, size_t count)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++)
		r = process_track_unprotect(t, ranges[i].start, ranges[i].end);
	return r;
}

/*
 * Nothing is protected yet in what has just been registered, but that kernels before 6.12.11 leave
 * pages so that mremap(2) moved away from a userfaultfd: they would never look written again.
 */
static int unprotect_stale(struct ww_process *p, const struct mapping *m)
{
	struct ww_process_query q = {
		.end = m->end,
		.next = m->start,
		.required = WW_PAGE_WATCHED,
		.any_of = WW_PAGE_PRESENT | WW_PAGE_SWAPPED,
		.excluded = WW_PAGE_WRITTEN,
		.returned = WW_PAGE_WATCHED,
	};
	int r = 0;

	while (r == 0 && q.next < q.end) {
		struct ww_page_range ranges[64];
		struct process_result stale = process_into(p, ranges, 64);

		q.start = q.next;
		r = process_scan_unchecked(p, &q, &stale);
		if (r == 0)
			r = unprotect_all(p->tracking, ranges, stale.count);
	}
	/* The next refresh must not take it for what was watched. */
	if (r < 0)
		unregister_ours(p->tracking, m->start, m->end);
	return r;
}

static int take_mapping(struct ww_process *p, struct tracking *t, struct known *known,
			const struct mapping *m, bool written)
{
	const struct tracked *old = find_known(known, m);
	int r = wants(p, known, old, m);
	bool is_new;

	if (r <= 0)
		return r;
	is_new = written && process_check_watched(p, m->start, m->end) != 0;
	/* Also what looks registered: another userfaultfd's memory may have taken its place. */
	r = register_mapping(t, m);
	if (r == 0 && is_new)
		r = unprotect_stale(p, m);
	if (r == 0 && !written)
		r = process_track_forget(p, m);
	if (r == -ENOMEM || r == -ESRCH)
		return r;
	if (r < 0 && !(m->prot & PROT_WRITE))
		return 0;
	/* Tried again by each refresh: another mapping may have taken its place. */
	return add(t, m, r);
}

static void count(const struct tracking *t, struct ww_attachment *i)
{
	i->watched = i->watched_bytes = i->skipped = i->skipped_bytes = 0;
	i->skipped_hugetlb = i->skipped_busy = i->skipped_sealed = i->skipped_special = 0;
	for (size_t n = 0; n < t->count; n++) {
		const struct tracked *m = &t->list[n];

		if (!m->error) {
			i->watched++;
			i->watched_bytes += m->end - m->start;
			continue;
		}
		i->skipped++;
		i->skipped_bytes += m->end - m->start;
		if (m->error == -ENOTSUP)
			i->skipped_hugetlb++;
		else if (m->error == -EBUSY)
			i->skipped_busy++;
		else if (m->error == -EPERM)
			i->skipped_sealed++;
		else
			i->skipped_special++;
	}
}

int process_track_refresh(struct ww_process *p, bool written)
{
	struct tracking *t = p->tracking;
	struct tracked *old = t->list;
	struct known known = {old, old ? old + t->count : NULL};
	const size_t old_count = t->count, old_room = t->room;
	struct maps_walk walk;
	struct mapping m;
	int r;

	t->list = NULL;
	t->count = t->room = 0;
	maps_walk(&walk, 0, (uintptr_t)p->limit);
	while ((r = maps_next(&p->maps, &walk, &m)) == 0) {
		r = take_mapping(p, t, &known, &m, written);
		if (r < 0)
			break;
	}
	if (r == -ENOENT || r == 0) {
		free(old);
		count(t, &p->attachment);
		return 0;
	}
	/* What was registered meanwhile is not in the old list, and is found again. */
	free(t->list);
	t->list = old;
	t->count = old_count;
	t->room = old_room;
	return r;
}

int process_track_begin(struct ww_process *p, struct sys_file *uffd)
{
	struct tracking *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	t->owner = getpid();
	t->uffd = *uffd;
	*uffd = SYS_NO_FILE;
	p->tracking = t;
	r = enable(&t->uffd);
	if (r == 0)
		r = process_track_refresh(p, false);
	if (r < 0)
		process_untrack(p);
	return r;
}

static void let_go(struct ww_process *p, const struct tracked *tracked)
{
	struct maps_walk walk;
	struct mapping m;

	if (unregister_ours(p->tracking, tracked->start, tracked->end) == 0)
		return;
	/* Other mappings are in its place, or in that of a part of it. */
	maps_walk(&walk, (uintptr_t)tracked->start, (uintptr_t)tracked->end);
	while (maps_next(&p->maps, &walk, &m) == 0)
		unregister_ours(p->tracking, m.start, m.end);
}

/* A child may hold the descriptor open, so that closing it would end nothing. */
static void let_all_go(struct ww_process *p, const struct tracking *t)
{
	for (size_t i = 0; i < t->count; i++)
		if (!t->list[i].error)
			let_go(p, &t->list[i]);
}

void process_untrack(struct ww_process *p)
{
	struct tracking *t = p->tracking;

	if (!t)
		return;
	/* In a child, the parent's watching goes on; and the number may be another's by now. */
	if (t->owner == getpid() && sys_is_open(&t->uffd))
		let_all_go(p, t);
	sys_close(&t->uffd);
	free(t->list);
	free(t);
	p->tracking = NULL;
}
