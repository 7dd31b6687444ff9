/* SPDX-License-Identifier: MIT */
#include "faults.h"

#include <errno.h>
#include <string.h>
#include <ucontext.h>

#include "context.h"
#include "sys.h"
#include "writewatch/writewatch.h"

/* So many handlers may be installed on top of ours, one after another, and ours put back each time. */
#define DEPTH 8

/**
 * struct handled - a signal that we have a handler for
 * @users: contexts that need it
 * @stays: memory was watched with it: a fault of another thread can be under way even when that has
 *         ended, as a thread may be kept from running between the two for any time
 * @depth: how many handlers ours was installed on top of; it may be called by all but the first
 * @below: they, oldest first
 * @spent: they were to run once (SA_RESETHAND), and did
 */
struct handled {
	size_t users;
	bool stays;
	int depth;
	struct sigaction below[DEPTH];
	bool spent[DEPTH];
};

static struct handled on_segv, on_bus;

/**
 * struct passing - what this thread is passing on: a handler that was installed after ours may call
 *                  ours in turn
 * @context: of the fault. Its uc_link, which the kernel sets to NULL for every signal and never reads,
 *           points here meanwhile: a handler that is left by longjmp leaves this set, and a later
 *           fault may have its context at the same place
 * @level:   the number of the handler that was called
 */
struct passing {
	const ucontext_t *context;
	int level;
};

/* The model avoids the allocation that a first use would cause. */
#define THREAD_LOCAL static _Thread_local __attribute__((tls_model("initial-exec")))
THREAD_LOCAL struct passing passing;
/* The endings that this thread's faults were tried again for. */
THREAD_LOCAL struct endings endings_seen;

static struct handled *handled_by(int number)
{
	return number == SIGBUS ? &on_bus : &on_segv;
}

/* Of clients with this signal; 0: of all, as it is not known. */
static inline int resolve(uintptr_t addr, int number)
{
	int r = 0;

	clients_lock_blocked();
	for (struct client *c = clients.first; c && r == 0; c = c->next)
		if (c->fault && (number == 0 || number == c->number) &&
		    page_state(c->states, addr) & STATE_WATCHED)
			r = c->fault(c->w, addr & -(uintptr_t)c->w->page_size, number == 0);
	clients_unlock_blocked();
	return r;
}

/* Watching may have ended while the fault was under way: then it is worth one more try. */
static bool may_be_over(const size_t *count, size_t *seen)
{
	size_t now = __atomic_load_n(count, __ATOMIC_ACQUIRE);
	bool more = now != *seen;

	*seen = now;
	return more;
}

int ww_handle_fault(void *addr)
{
	int r, error = errno;
	sigset_t old;

	if (clients_init() < 0)
		return 0;
	sys_block_signals(&old);
	r = resolve((uintptr_t)addr, 0) ||
	    may_be_over(&endings.of_program, &endings_seen.of_program);
	sys_restore_signals(&old);
	errno = error;
	return r;
}

/* Where the processor tells: a read, or an instruction that may not be executed, is not ours. */
static bool may_be_write(const ucontext_t *context)
{
#if defined(__x86_64__) || defined(__i386__)
	return context->uc_mcontext.gregs[REG_ERR] & 2;
#else
	(void)context;
	return true;
#endif
}

static bool is_ours(int number, const siginfo_t *info, const ucontext_t *context)
{
	int code = number == SIGBUS ? BUS_ADRERR : SEGV_ACCERR;

	if (info->si_code != code || !may_be_write(context))
		return false;
	return resolve((uintptr_t)info->si_addr, number) == 1 ||
	       may_be_over(&endings.all, &endings_seen.all);
}

/* By another process or thread, or for something that no instruction did: it does not come again. */
static bool was_sent(int number, const siginfo_t *info)
{
	return info->si_code <= 0 || (number == SIGBUS && info->si_code == BUS_MCEERR_AO);
}

/* As if there were no handler: a fault comes again when we return. */
static void by_default(int number, const siginfo_t *info)
{
	struct sigaction action = {.sa_handler = SIG_DFL};

	sys_sigaction(number, &action, NULL);
	if (was_sent(number, info))
		raise(number);
}

static void call(int number, siginfo_t *info, ucontext_t *context, const struct sigaction *action)
{
	sigset_t mask = context->uc_sigmask;

	for (int i = 1; i < NSIG; i++)
		if (sigismember(&action->sa_mask, i) == 1)
			sigaddset(&mask, i);
	/* It may write to watched memory, and a fault while its signal is blocked is the end. */
	sigdelset(&mask, SIGSEGV);
	sigdelset(&mask, SIGBUS);
	sys_restore_signals(&mask);
	if (action->sa_flags & SA_SIGINFO)
		action->sa_sigaction(number, info, context);
	else
		action->sa_handler(number);
}

static bool is_function(const struct sigaction *action)
{
	/* Whatever the flags say of it. */
	return action->sa_handler != SIG_DFL && action->sa_handler != SIG_IGN;
}

/* As the kernel has it, of what ran once and was to. */
static struct sigaction what_is_below(const struct handled *h, int level)
{
	return h->spent[level] ? (struct sigaction){.sa_handler = SIG_DFL} : h->below[level];
}

/*
 * The handler at now->level, or the one below that which calls ours. The oldest stays known when ours
 * goes: another thread's fault may be on its way here.
 */
static struct sigaction next_handler(int number, const struct passing *outer, struct passing *now)
{
	struct handled *h = handled_by(number);
	struct sigaction action;

	clients_lock_blocked();
	if (outer->context == now->context && (void *)now->context->uc_link == &passing &&
	    outer->level <= now->level)
		now->level = outer->level > 0 ? outer->level - 1 : 0;
	action = what_is_below(h, now->level);
	if (is_function(&action) && action.sa_flags & (int)SA_RESETHAND)
		h->spent[now->level] = true;
	clients_unlock_blocked();
	return action;
}

static void pass_on(int number, siginfo_t *info, ucontext_t *context, int level)
{
	const struct passing outer = passing;
	struct passing now = {.context = context, .level = level};
	struct sigaction action = next_handler(number, &outer, &now);
	ucontext_t *link = context->uc_link;

	if (is_function(&action)) {
		passing = now;
		context->uc_link = (void *)&passing;
		call(number, info, context, &action);
		context->uc_link = link;
		passing = outer;
	} else if (action.sa_handler != SIG_IGN || !was_sent(number, info)) {
		by_default(number, info);
	}
}

HOT static void handle(int number, siginfo_t *info, void *context, int level)
{
	int error = errno;

	if (!is_ours(number, info, context))
		pass_on(number, info, context, level);
	/* It may be on a page that is watched, too. */
	if (errno != error)
		errno = error;
}

/*
 * One for each level: whoever takes a handler away that was installed after ours puts ours back that
 * was there before, which has to know that nothing is between it and the older ones.
 */
#define ENTRY(level) \
	HOT static void handler_##level(int number, siginfo_t *info, void *context) \
	{ \
		handle(number, info, context, level); \
	}

ENTRY(0)
ENTRY(1)
ENTRY(2)
ENTRY(3)
ENTRY(4)
ENTRY(5)
ENTRY(6)
ENTRY(7)

static void (*const handlers[DEPTH])(int number, siginfo_t *info, void *context) = {
	handler_0, handler_1, handler_2, handler_3, handler_4, handler_5, handler_6, handler_7,
};

/* The level of ours, or -1 of any other. */
static int level_of(const struct sigaction *action)
{
	int level = action->sa_flags & SA_SIGINFO ? DEPTH - 1 : -1;

	while (level >= 0 && action->sa_sigaction != handlers[level])
		level--;
	return level;
}

static bool is_same(const struct sigaction *a, const struct sigaction *b)
{
	return a->sa_sigaction == b->sa_sigaction && a->sa_flags == b->sa_flags;
}

/* Changed with the lock only, and looked at without it. */
static void set_depth(struct handled *h, int depth)
{
	__atomic_store_n(&h->depth, depth, __ATOMIC_RELAXED);
}

/* With the lock. */
static int install(int number)
{
	struct sigaction ours = {.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART}, old;
	struct handled *h = handled_by(number);
	int level, r = sys_sigaction(number, NULL, &old);
	bool again;

	if (r < 0)
		return r;
	level = level_of(&old);
	if (level >= 0) {
		/* Those above were taken away. */
		set_depth(h, level + 1);
		return 0;
	}
	again = h->depth > 0 && is_same(&old, &h->below[h->depth - 1]);
	/* Somebody goes on installing: they have their way. */
	if (h->depth == DEPTH && !again)
		return -EBUSY;
	/* What we pass on to is known before anything can be passed on. */
	if (!again) {
		h->below[h->depth] = old;
		set_depth(h, h->depth + 1);
	}
	h->spent[h->depth - 1] = false;
	ours.sa_sigaction = handlers[h->depth - 1];
	/* Not sigfillset(): a thread that is cancelled here would leave the lock held. */
	memset(&ours.sa_mask, 0xff, sizeof(ours.sa_mask));
	r = sys_sigaction(number, &ours, &old);
	if (r == 0 && level_of(&old) < 0)
		h->below[h->depth - 1] = old;
	else if (!again)
		set_depth(h, h->depth - 1);
	return r;
}

static int begin(int number)
{
	struct handled *h = handled_by(number);
	sigset_t old;
	int r;

	clients_lock(&old);
	r = install(number);
	h->users += r == 0;
	clients_unlock(&old);
	return r;
}

static void end(int number, bool has_watched)
{
	struct handled *h = handled_by(number);
	struct sigaction now;
	sigset_t old;
	int level;

	clients_lock(&old);
	h->stays |= has_watched;
	if (h->users && --h->users == 0 && (!h->stays || sys_is_alone()) &&
	    sys_sigaction(number, NULL, &now) == 0 && (level = level_of(&now)) >= 0) {
		const struct sigaction before = what_is_below(h, level);

		set_depth(h, level);
		sys_sigaction(number, &before, NULL);
	}
	clients_unlock(&old);
}

bool faults_handled(const struct ww *w)
{
	return w->client.number != 0 && !(w->flags & WW_NO_HANDLER);
}

int faults_join(struct ww *w, const void *kind, int number,
		int (*fault)(struct ww *w, uintptr_t page, bool doubt))
{
	int r = clients_init();

	if (r < 0)
		return r;
	w->client = (struct client){
		.kind = kind,
		.states = &w->states,
		.number = number,
		.fault = fault,
	};
	r = faults_handled(w) ? begin(number) : 0;
	if (r < 0)
		return r;
	w->client.w = w;
	clients_add(&w->client);
	return 0;
}

void faults_leave(struct ww *w)
{
	if (!w->client.w)
		return;
	clients_remove(&w->client);
	if (faults_handled(w))
		end(w->client.number, w->has_watched);
	w->client.w = NULL;
}

bool faults_need(uintptr_t start, uintptr_t end)
{
	return range_meets(start, end, __builtin_frame_address(0), 1) ||
	       range_meets(start, end, &errno, sizeof(errno)) ||
	       range_meets(start, end, &passing, sizeof(passing)) ||
	       range_meets(start, end, &endings_seen, sizeof(endings_seen)) ||
	       range_meets(start, end, &on_segv, sizeof(on_segv)) ||
	       range_meets(start, end, &on_bus, sizeof(on_bus));
}

void faults_keep(const struct ww *w)
{
	const struct handled *h = handled_by(w->client.number);
	struct sigaction now;
	sigset_t old;
	int level;

	if (!faults_handled(w) || sys_sigaction(w->client.number, NULL, &now) < 0)
		return;
	level = level_of(&now);
	if (level >= 0 && level == __atomic_load_n(&h->depth, __ATOMIC_RELAXED) - 1)
		return;
	clients_lock(&old);
	install(w->client.number);
	clients_unlock(&old);
}
