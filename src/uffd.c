/* SPDX-License-Identifier: MIT */
#include "uffd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>

#include "backend.h"
#include "context.h"
#include "pagemap.h"
#include "uapi/userfaultfd.h"

static int open_device(struct sys_file *out)
{
	struct sys_file device;
	int r = sys_open(&device, "/dev/userfaultfd", O_RDWR);

	if (r < 0)
		return r;
	r = sys_adopt(out, (int)sys_ioctl(device.fd, WWK_USERFAULTFD_IOC_NEW,
					  (void *)(uintptr_t)(O_CLOEXEC | O_NONBLOCK)));
	sys_close(&device);
	return r;
}

static int open_any(struct sys_file *out, int flags)
{
	int r = sys_userfaultfd(out, flags);

	if ((r == -EPERM || r == -ENOSYS || r == -EACCES) && open_device(out) == 0)
		r = 0;
	return r;
}

static int enable(const struct sys_file *uffd, uint64_t features)
{
	struct wwk_uffdio_api api = {.api = WWK_UFFD_API, .features = features};

	return (int)sys_ioctl(uffd->fd, WWK_UFFDIO_API, &api);
}

int uffd_open(struct ww *w, int flags, uint64_t features, uint64_t optional, const char **why)
{
	int r = open_any(&w->uffd, flags);

	if (r == -ENOSYS)
		*why = "the kernel has no userfaultfd (CONFIG_USERFAULTFD), or a seccomp filter "
		       "hides it";
	else if (r == -EMFILE || r == -ENFILE)
		*why = "no file descriptors are left";
	else if (r < 0 && !(flags & WWK_UFFD_USER_MODE_ONLY))
		*why = "handling faults of the kernel is denied: it takes CAP_SYS_PTRACE, access to "
		       "/dev/userfaultfd, or vm.unprivileged_userfaultfd=1";
	else if (r < 0)
		*why = "userfaultfd is denied: a seccomp filter or security module, as container "
		       "profiles often have, must allow the system call userfaultfd";
	if (r < 0)
		return r;
	r = enable(&w->uffd, features | optional);
	return r == -EINVAL && optional ? enable(&w->uffd, features) : r;
}

int uffd_attach(struct ww *w, const struct mapping *m)
{
	struct wwk_uffdio_register reg = {
		.range = {.start = m->start, .len = m->end - m->start},
		.mode = WWK_UFFDIO_REGISTER_MODE_WP,
	};
	long r;

	/* The number may be another context's by now. */
	if (context_lost(w, &w->uffd))
		return -ESTALE;
	r = sys_ioctl(w->uffd.fd, WWK_UFFDIO_REGISTER, &reg);
	if (r < 0 && context_lost(w, &w->uffd))
		return -ESTALE;
	if (r == -EPERM)
		return -EACCES;
	if (r < 0)
		return r == -EBUSY || r == -ENOMEM ? (int)r : -ENOTSUP;
	/* Only huge pages of hugetlbfs lack UFFDIO_ZEROPAGE, and not every way to ask for the kind
	 * of a mapping knows them. */
	if (!(reg.ioctls & (1u << WWK_UFFDIO_ZEROPAGE_NR)) ||
	    !(reg.ioctls & (1u << WWK_UFFDIO_WRITEPROTECT_NR))) {
		uffd_detach(w, m->start, m->end);
		return -ENOTSUP;
	}
	return 0;
}

/* Whether the mapping, or the part of one, is not what it was when it was asked for. */
static bool has_changed(struct ww *w, const struct mapping *m)
{
	struct maps_walk walk;
	struct mapping now;

	maps_walk(&walk, m->start, m->end);
	return context_next_mapping(w, &walk, &now) <= 0 || now.start != m->start ||
	       now.end != m->end;
}

/* Sets *again if the answer may be true of a part of the mapping only. */
static int for_mapping(struct ww *w, const struct mapping *m, unsigned long request, uint64_t mode,
		       bool *again)
{
	struct wwk_uffdio_writeprotect wp = {
		.range = {.start = m->start, .len = m->end - m->start},
		.mode = mode,
	};
	/* The kernel would do it to the memory of any other userfaultfd, too. */
	int owns = w->backend->ops->owns(w, m);
	int r = owns == 0 ? -ENOENT : owns;

	if (owns > 0)
		/* Both arguments begin with the range. */
		r = (int)sys_ioctl(w->uffd.fd, request, &wp);
	*again = (r == -ENOENT && owns > 0) ||
		 ((r == -ENOENT || r == -EINVAL) && has_changed(w, m));
	return r;
}

/* So often the program may remap what is being looked at. */
#define MAPPING_TRIES 64

/*
 * Calls an ioctl for each mapping in [start, end) that is tracked, where one for all of it cannot
 * be: -ENOENT if some is not, but another error is told before that one. -ESTALE: the program goes on
 * remapping.
 */
static int for_mappings(struct ww *w, uintptr_t start, uintptr_t end, unsigned long request,
			uint64_t mode)
{
	int r, result = 0, tries = 0;
	struct maps_walk walk;
	struct mapping m;

	maps_walk(&walk, start, end);
	while ((r = context_next_mapping(w, &walk, &m)) > 0) {
		bool again;

		r = for_mapping(w, &m, request, mode, &again);
		if (again && ++tries == MAPPING_TRIES)
			return -ESTALE;
		if (again)
			maps_walk(&walk, m.start, end);
		else if (r < 0 && (result == 0 || result == -ENOENT))
			result = r;
	}
	return r < 0 ? r : result;
}

/* The kernel refuses a range in which anything is another userfaultfd's by now. */
int uffd_detach(struct ww *w, uintptr_t start, uintptr_t end)
{
	struct wwk_uffdio_range range = {.start = start, .len = end - start};
	bool lost = context_lost(w, &w->uffd);
	int r = lost ? -EBADF : (int)sys_ioctl(w->uffd.fd, WWK_UFFDIO_UNREGISTER, &range);

	if (r < 0 && r != -ENOMEM && !lost)
		r = for_mappings(w, start, end, WWK_UFFDIO_UNREGISTER, 0);
	/* Not ours any more, by what either of the two says, or nothing is; but a child's copy may have
	 * it registered still, and protected. */
	if (lost || (r < 0 && context_lost(w, &w->uffd))) {
		uffd_unprotect_lost(w, start, end);
		return 0;
	}
	if (r == -ENOENT || r == -EINVAL)
		uffd_settle(w, start, end);
	return r == 0 || r == -ENOENT || r == -EINVAL ? 0 : -ENOMEM;
}

static int protect_by(const struct sys_file *uffd, uintptr_t start, uintptr_t end, uint64_t mode)
{
	struct wwk_uffdio_writeprotect wp = {
		.range = {.start = start, .len = end - start},
		.mode = mode,
	};
	long r;

	do
		r = sys_ioctl(uffd->fd, WWK_UFFDIO_WRITEPROTECT, &wp);
	while (r == -EAGAIN);
	return (int)r;
}

static int protect_once(struct ww *w, uintptr_t start, uintptr_t end, uint64_t mode)
{
	return protect_by(&w->uffd, start, end, mode);
}

int uffd_unprotect_once(struct ww *w, uintptr_t start, uintptr_t end)
{
	return protect_once(w, start, end, 0);
}

/* What is a hole, or another mapping, is passed over, page by page. */
static void unprotect_pieces(const struct sys_file *uffd, uintptr_t start, uintptr_t end, size_t page)
{
	uintptr_t len = end - start;

	while (start < end) {
		int r = protect_by(uffd, start, start + len, 0);

		if (r < 0 && len > page) {
			len = len / 2 & ~(page - 1);
			continue;
		}
		start += len;
		if (r == 0)
			len *= 2;
		if (len > end - start)
			len = end - start;
	}
}

/* Handlers have little room on their stack. */
#define LOOK_WORDS 64

/* Un-protects what pagemap shows as protected: a call for each page that is not would take long. */
static void unprotect_shown(const struct sys_file *uffd, const struct sys_file *pagemap,
			    uintptr_t start, uintptr_t end, size_t page)
{
	uint64_t words[LOOK_WORDS];

	while (start < end) {
		size_t n = (end - start) / page, i = 0;

		if (n > LOOK_WORDS)
			n = LOOK_WORDS;
		if (pagemap_words(pagemap->fd, start, n, words) < 0)
			memset(words, 0xff, sizeof(words));
		while (i < n && !(words[i] & PM_UFFD_WP))
			i++;
		if (i < n)
			unprotect_pieces(uffd, start + i * page, start + n * page, page);
		start += n * page;
	}
}

/* The kernel does not mind whose the protection is. */
void uffd_unprotect_lost(struct ww *w, uintptr_t start, uintptr_t end)
{
	struct sys_file uffd, pagemap = SYS_NO_FILE;

	if (open_any(&uffd, WWK_UFFD_USER_MODE_ONLY) < 0)
		return;
	if (end - start > w->page_size)
		sys_open(&pagemap, "/proc/thread-self/pagemap", O_RDONLY);
	if (enable(&uffd, 0) < 0)
		start = end;
	if (pagemap.fd >= 0)
		unprotect_shown(&uffd, &pagemap, start, end, w->page_size);
	else
		unprotect_pieces(&uffd, start, end, w->page_size);
	sys_close(&pagemap);
	sys_close(&uffd);
}

void uffd_let_go(struct ww *w)
{
	struct sys_file uffd = w->uffd;

	/* Before anything is written that nobody sees. */
	__atomic_store_n(&w->guard->alive, 0, __ATOMIC_SEQ_CST);
	if (!__atomic_exchange_n(&w->let_go, true, __ATOMIC_SEQ_CST))
		sys_close(&uffd);
}

static int protect_error(struct ww *w, int error)
{
	if (error == 0 || error == -ENOMEM)
		return error;
	return error == -ENOENT || error == -ESTALE || context_lost(w, &w->uffd) ? -ESTALE : -EIO;
}

static int write_protect(struct ww *w, uintptr_t start, uintptr_t end, uint64_t mode)
{
	int r = protect_once(w, start, end, mode);

	/* Something in the range is not mapped, or not registered. */
	if (r == -ENOENT)
		r = for_mappings(w, start, end, WWK_UFFDIO_WRITEPROTECT, mode);
	return protect_error(w, r);
}

/* Asks for a copy of what cannot be read: that comes before whether there is a page already. */
int uffd_is_registered(struct ww *w, uintptr_t page)
{
	struct wwk_uffdio_copy copy = {
		.dst = page,
		.src = (uintptr_t)w->unreadable,
		.len = w->page_size,
	};
	long r;

	do
		r = sys_ioctl(w->uffd.fd, WWK_UFFDIO_COPY, &copy);
	while (r == -EAGAIN);
	if (r == -EFAULT || r == -EEXIST)
		return 1;
	return r == -ENOENT ? 0 : protect_error(w, (int)r);
}

int uffd_fill(struct ww *w, uintptr_t start, uintptr_t end)
{
	while (start < end) {
		struct wwk_uffdio_zeropage zero = {.range = {.start = start, .len = end - start}};
		long r = sys_ioctl(w->uffd.fd, WWK_UFFDIO_ZEROPAGE, &zero);

		if (r == 0)
			return 0;
		if (zero.zeropage > 0)
			start += (uintptr_t)zero.zeropage;
		else if (r == -EEXIST)
			start += w->page_size;
		else if (r != -EAGAIN)
			return protect_error(w, (int)r);
	}
	return 0;
}

int uffd_fill_protected(struct ww *w, uintptr_t start, uintptr_t end)
{
	const size_t zeros = PM_WORDS * sizeof(*w->words);

	memset(w->words, 0, zeros);
	while (start < end) {
		struct wwk_uffdio_copy copy = {
			.dst = start,
			.src = (uintptr_t)w->words,
			.len = end - start < zeros ? end - start : zeros,
			.mode = WWK_UFFDIO_COPY_MODE_WP,
		};
		long r = sys_ioctl(w->uffd.fd, WWK_UFFDIO_COPY, &copy);

		if (r == 0)
			start += copy.len;
		else if (copy.copy > 0)
			start += (uintptr_t)copy.copy;
		else if (r == -EEXIST)
			start += w->page_size;
		else if (r != -EAGAIN)
			return protect_error(w, (int)r);
	}
	return 0;
}

int uffd_protect(struct ww *w, uintptr_t start, uintptr_t end)
{
	return write_protect(w, start, end, WWK_UFFDIO_WRITEPROTECT_MODE_WP);
}

int uffd_unprotect(struct ww *w, uintptr_t start, uintptr_t end)
{
	return write_protect(w, start, end, 0);
}

int uffd_settle(struct ww *w, uintptr_t start, uintptr_t end)
{
	int r = w->backend->ops->attached(w, start, end);

	if (r > 0)
		return uffd_unprotect(w, start, end);
	if (r == 0)
		r = for_mappings(w, start, end, WWK_UFFDIO_WRITEPROTECT, 0);
	return r == -ENOENT ? 0 : protect_error(w, r);
}

int uffd_discard_shared(struct ww *w, struct range *r, const struct mapping *m)
{
	int n = uffd_protect(w, m->start, m->end);

	if (n == 0) {
		n = maps_drop(m);
		if (n < 0 && n != -ENOMEM)
			n = -ENOTSUP;
	}
	if (n < 0 && uffd_settle(w, m->start, m->end) < 0)
		r->all_written = true;
	return n;
}
