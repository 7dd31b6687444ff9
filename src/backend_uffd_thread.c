/* SPDX-License-Identifier: MIT */
/*
 * userfaultfd with a thread that resolves faults, those of the kernel included. The thread touches
 * no watched memory, allocates nothing and takes no lock: a fault that it waited for would never
 * be resolved.
 */
#include <errno.h>
#include <sys/mman.h>

#include "pagemap.h"
#include "uapi/userfaultfd.h"
#include "uffd.h"
#include "uffd_sync.h"

/* Should the host have closed what wakes the thread up, it looks by itself. */
#define LOOK_MS 1000
/* The same where nothing can wake it up, as the program closed the descriptors for that. */
#define LOST_MS 10
#define STACK ((size_t)1 << 20)
/* It takes microseconds; whoever waits longer may be told too much, and goes on. */
#define MOST_TURN_MS 100
/* Before that, as on one processor the thread only waits until it may run. */
#define YIELDS 50

static bool must_stop(const struct ww *w)
{
	return __atomic_load_n(&w->thread_stops, __ATOMIC_ACQUIRE);
}

/* How often in a row un-protecting may fail, before nobody is made to wait any longer. */
#define FAILURES 64

/* Whether the page would fault again, or that cannot be told. */
static bool is_protected(const struct ww *w, uintptr_t page)
{
	uint64_t word;

	return pagemap_words(w->pagemap.fd, page, 1, &word) < 0 || word & PM_UFFD_WP;
}

/* Whoever waits for a page that is not ours any more tries again. */
static void resolve(struct ww *w, uintptr_t page, int *failures)
{
	struct wwk_uffdio_range range = {.start = page, .len = w->page_size};
	int r = uffd_unprotect_once(w, page, page + w->page_size);

	if (r == 0) {
		*failures = 0;
		return;
	}
	*failures += r != -ENOENT || is_protected(w, page);
	/* Where a filter of system calls denies both, its message does not come again. */
	if (sys_ioctl(w->uffd.fd, WWK_UFFDIO_WAKE, &range) < 0)
		*failures = FAILURES + 1;
}

static int serve_queue(struct ww *w, int *failures)
{
	struct wwk_uffd_msg msgs[16];
	ssize_t n = sys_read(w->uffd.fd, msgs, sizeof(msgs));

	for (ssize_t i = 0; i < n / (ssize_t)sizeof(*msgs); i++)
		if (msgs[i].event == WWK_UFFD_EVENT_PAGEFAULT)
			resolve(w, msgs[i].address & ~(uint64_t)(w->page_size - 1), failures);
	if (*failures > FAILURES)
		return -EIO;
	return n < 0 && n != -EINTR ? (int)n : 0;
}

/* What the thread knows from one turn to the next. */
struct turns {
	int failures;
	/* What wakes it up to stop, or -1. */
	int bell;
};

static int serve_some(struct ww *w, struct turns *t)
{
	int r = sys_poll(w->uffd.fd, t->bell, t->bell < 0 ? LOST_MS : LOOK_MS);

	/* A filter of system calls denies it, or the program may have no descriptors any more. */
	if (r < 0 && r != -EINTR)
		sys_sleep_ms(1);
	/* The number may be another file's by now. */
	if (must_stop(w) || !sys_is_open(&w->uffd))
		return -EBADF;
	__atomic_fetch_add(&w->thread_turns, 1, __ATOMIC_ACQ_REL);
	r = serve_queue(w, &t->failures);
	__atomic_fetch_add(&w->thread_turns, 1, __ATOMIC_ACQ_REL);
	if (r != -EAGAIN)
		return r;
	/* Nobody waits, so that it may have been the bell: without its other end it rings for ever. */
	t->bell = sys_is_open(&w->bell) && sys_is_open(&w->stop) ? w->bell.fd : -1;
	return 0;
}

static void *serve(void *arg)
{
	struct ww *w = arg;
	struct turns t = {.bell = w->bell.fd};
	int r;

	sys_thread_begin();
	do
		r = serve_some(w, &t);
	while (r == 0);
	/* Without us nobody may wait. */
	if (!must_stop(w))
		uffd_let_go(w);
	return NULL;
}

static int start_thread(struct ww *w)
{
	int r = sys_pipe(&w->bell, &w->stop);

	if (r == 0)
		r = context_map(w, &w->stack, STACK);
	if (r < 0)
		return r;
	w->thread_stops = false;
	w->thread_turns = 0;
	r = sys_thread_start(&w->thread, w->stack, STACK, serve, w);
	w->has_thread = r == 0;
	return r;
}

static void stop_thread(struct ww *w)
{
	int failures = 0;

	/* In a child the thread does not exist. */
	if (w->has_thread && w->guard->own) {
		__atomic_store_n(&w->thread_stops, true, __ATOMIC_RELEASE);
		if (sys_is_open(&w->stop))
			sys_write(w->stop.fd, "", 1);
		sys_thread_join(w->thread);
		/* A child may keep the userfaultfd open: closing it wakes nobody then. */
		while (!w->let_go && sys_is_open(&w->uffd) && serve_queue(w, &failures) == 0)
			;
	}
	w->has_thread = false;
	/* In a child the C library may still have the parent's stacks in its lists. */
	if (w->stack && w->guard->own)
		sys_munmap(w->stack, STACK);
	w->stack = NULL;
	sys_close(&w->bell);
	sys_close(&w->stop);
}

static void ut_close(struct ww *w)
{
	stop_thread(w);
	uffd_sync_close(w);
}

static int ut_open(struct ww *w, const char **why)
{
	int r = uffd_sync_open(w, 0, 0, why);

	if (r == 0) {
		r = start_thread(w);
		*why = r == -EMFILE || r == -ENFILE ? "no file descriptors are left"
						    : "no thread could be started";
	}
	if (r == 0)
		r = uffd_sync_probe(w, true, why);
	if (r < 0)
		ut_close(w);
	return r;
}

static int ut_attach(struct ww *w, const struct mapping *m)
{
	if (context_uses(w, m->start, m->end) || range_meets(m->start, m->end, w->stack, STACK))
		return -ENOTSUP;
	return uffd_sync_attach(w, m);
}

/*
 * Of two threads that wait for one page, the other goes on when the first is let go: it may be done
 * before its own message is dealt with, which would un-protect the page once more, after a reset.
 */
static void await_turn(const struct ww *w)
{
	unsigned turn = __atomic_load_n(&w->thread_turns, __ATOMIC_ACQUIRE);

	for (int i = 0; turn % 2 && i < YIELDS + MOST_TURN_MS; i++) {
		if (__atomic_load_n(&w->thread_turns, __ATOMIC_ACQUIRE) != turn)
			break;
		if (i < YIELDS)
			sys_yield();
		else
			sys_sleep_ms(1);
	}
}

static int ut_arm(struct ww *w, struct range *r, enum mapping_kind kind)
{
	await_turn(w);
	return uffd_sync_arm(w, r, kind);
}

static int ut_scan(struct ww *w, struct range *r, uintptr_t start, uintptr_t end, bool reset,
		   struct sink *sink)
{
	if (reset)
		await_turn(w);
	return uffd_sync_scan(w, r, start, end, reset, sink);
}

static int ut_discard(struct ww *w, struct range *r, const struct mapping *m)
{
	await_turn(w);
	return uffd_sync_discard(w, r, m);
}

const struct backend_ops backend_uffd_thread = {
	.open = ut_open,
	.close = ut_close,
	.attach = ut_attach,
	.detach = uffd_detach,
	.attached = uffd_sync_attached,
	.owns = uffd_sync_owns,
	.arm = ut_arm,
	.arm_written = uffd_sync_arm_written,
	.scan = ut_scan,
	.settle = uffd_settle,
	.mark = uffd_sync_mark,
	.discard = ut_discard,
};
