/* SPDX-License-Identifier: MIT */
/*
 * userfaultfd whose faults are signals: no privilege and no thread, but what the kernel writes to a
 * protected page fails.
 */
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>

#include "faults.h"
#include "pagemap.h"
#include "trial.h"
#include "uapi/userfaultfd.h"
#include "uffd.h"
#include "uffd_sync.h"
#include "uapi/madvise.h"

static bool is_protected(struct ww *w, uintptr_t page)
{
	uint64_t word = 0;

	return pagemap_read(w, page, page + w->page_size, &word) == 0 && word & PM_UFFD_WP;
}

/*
 * Whether it was the protection that made this page fault. If it is not protected, another thread
 * may have been quicker with the same fault; or the program closed the descriptors. Then the page
 * can be had now.
 */
static bool was_protected(struct ww *w, uintptr_t page)
{
	int r;

	if (is_protected(w, page))
		return true;
	r = sys_madvise(page, w->page_size, MADV_POPULATE_READ);
	return r != -EFAULT && r != -EHWPOISON;
}

/*
 * Un-protecting succeeds whatever the page was. To look costs a tenth of the fault, so it is done
 * where the same signal can have another reason: behind the end of a file, and when it came for the
 * same page again.
 */
static int us_fault(struct ww *w, uintptr_t page, bool doubt)
{
	bool doubtful = doubt || page_state(&w->states, page) & STATE_SHARED ||
			page == __atomic_load_n(&w->last_fault, __ATOMIC_RELAXED);
	int r;

	/* Where the program may not write, it is not our protection. Nothing is populated that is ours. */
	if (doubt && sys_madvise(page, w->page_size, MADV_POPULATE_WRITE) == -EINVAL)
		return 0;
	/* In a child the descriptor is the parent's, and memory is not protected. */
	if (!w->guard->own || (doubtful && !was_protected(w, page)))
		return 0;
	__atomic_store_n(&w->last_fault, page, __ATOMIC_RELAXED);
	r = __atomic_load_n(&w->let_go, __ATOMIC_RELAXED)
		    ? 0
		    : uffd_unprotect_once(w, page, page + w->page_size);
	/* Ceasing to be watched, it may not be registered any more; or again, in the meantime. */
	if (r == -ENOENT && is_protected(w, page))
		r = uffd_unprotect_once(w, page, page + w->page_size);
	if (r == -ENOENT)
		return !is_protected(w, page);
	/* The program closed the descriptor, or installed a filter of system calls. */
	if (r < 0 && !w->opens)
		uffd_let_go(w);
	if (r < 0 || __atomic_load_n(&w->let_go, __ATOMIC_RELAXED))
		uffd_unprotect_lost(w, page, page + w->page_size);
	return 1;
}

/*
 * Where the context begins anew, a child may hold copies of the descriptors, and memory stays
 * protected: its faults remain ours. They find the old descriptor or none.
 */
static void us_close(struct ww *w)
{
	sigset_t old;

	if (w->goes_on && !w->ends && w->client.w) {
		clients_lock(&old);
		w->opens = true;
		uffd_sync_close(w);
		clients_unlock(&old);
		return;
	}
	faults_leave(w);
	w->opens = false;
	page_states_free(&w->states);
	uffd_sync_close(w);
}

static int probe(struct ww *w, const char **why)
{
	return uffd_sync_probe(w, faults_handled(w), why);
}

/* From here on, what a handler cannot do is a reason to let go of everything. */
static void end_opening(struct ww *w)
{
	sigset_t old;

	if (!w->client.w)
		return;
	clients_lock(&old);
	w->opens = false;
	clients_unlock(&old);
}

static int us_open(struct ww *w, const char **why)
{
	int r = uffd_sync_open(w, WWK_UFFD_USER_MODE_ONLY, WWK_UFFD_FEATURE_SIGBUS, why);

	if (r == 0) {
		end_opening(w);
		*why = "the signal handler could not be installed";
		if (w->client.w)
			faults_keep(w);
		else
			r = faults_join(w, &backend_uffd_sigbus, SIGBUS, us_fault);
	}
	if (r == 0)
		r = trial_unblocked(probe, w, why);
	if (r < 0)
		us_close(w);
	return r;
}

static int us_attach(struct ww *w, const struct mapping *m)
{
	int r;

	if (context_uses(w, m->start, m->end) || faults_need(m->start, m->end))
		return -ENOTSUP;
	r = page_states_reserve(w, m->start, m->end);
	if (r < 0)
		return r;
	/*
	 * Before: some kernels left protection behind, which takes effect again when it is registered.
	 * Shared until something else is known: that only makes its faults looked at twice.
	 */
	client_change(&w->client, m->start, m->end, 0, STATE_WATCHED | STATE_SHARED);
	r = uffd_sync_attach(w, m);
	/* Of several mappings some may be registered by then, of whose faults nobody would know. */
	if (r == -ENOMEM && uffd_detach(w, m->start, m->end) < 0)
		return r;
	/* What a child keeps for the one that we had is still protected by us. */
	if (r < 0 && (r != -EBUSY || w->guard->alive))
		client_forget(&w->client, m->start, m->end);
	return r;
}

static int us_detach(struct ww *w, uintptr_t start, uintptr_t end)
{
	int r;

	/* From the next line on, faults that are under way find nothing to un-protect. */
	client_count_ending(&w->client);
	r = uffd_detach(w, start, end);
	if (r == 0)
		client_forget(&w->client, start, end);
	return r;
}

static int us_arm(struct ww *w, struct range *r, enum mapping_kind kind)
{
	if (kind == MAPPING_PRIVATE_ANON)
		client_change(&w->client, r->start, r->end, STATE_SHARED, 0);
	faults_keep(w);
	return uffd_sync_arm(w, r, kind);
}

static int us_scan(struct ww *w, struct range *r, uintptr_t start, uintptr_t end, bool reset,
		   struct sink *sink)
{
	if (reset)
		faults_keep(w);
	return uffd_sync_scan(w, r, start, end, reset, sink);
}

const struct backend_ops backend_uffd_sigbus = {
	.open = us_open,
	.close = us_close,
	.attach = us_attach,
	.detach = us_detach,
	.attached = uffd_sync_attached,
	.owns = uffd_sync_owns,
	.arm = us_arm,
	.arm_written = uffd_sync_arm_written,
	.scan = us_scan,
	.settle = uffd_settle,
	.mark = uffd_sync_mark,
	.discard = uffd_sync_discard,
	.prepare = uffd_sync_mark,
};
