/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "inject.h"
#include "process_track.h"
#include "uapi/userfaultfd.h"

static const char no_async[] = "the kernel cannot write-protect asynchronously "
			       "(UFFD_FEATURE_WP_ASYNC, Linux 6.7 with CONFIG_PTE_MARKER_UFFD_WP)";

/* Before anything is done to the process: whether this kernel could do it at all. */
static int check_kernel(const struct ww_process *p, const char **why)
{
	struct wwk_uffdio_api api = {.api = WWK_UFFD_API};
	struct sys_file uffd;
	int r;

	if (!p->has_scan) {
		*why = "the kernel has no PAGEMAP_SCAN (Linux 6.7), or one that loses writes "
		       "(before 6.8.10), or reading pagemap was asked for";
		return -ENOTSUP;
	}
	r = sys_userfaultfd(&uffd, WWK_UFFD_USER_MODE_ONLY);
	if (r == -EMFILE || r == -ENFILE || r == -ENOMEM)
		return r;
	/* What is denied to this process may be allowed to the other one. */
	if (r < 0)
		return 0;
	r = (int)sys_ioctl(uffd.fd, WWK_UFFDIO_API, &api);
	sys_close(&uffd);
	if (r == 0 && api.features & WWK_UFFD_FEATURE_WP_ASYNC)
		return 0;
	*why = no_async;
	return -ENOTSUP;
}

static int open_own(struct sys_file *uffd, struct inject_result *result)
{
	int r = sys_userfaultfd(uffd, WWK_UFFD_USER_MODE_ONLY);

	*result = (struct inject_result){.heals = true};
	if (r == 0 || r == -EMFILE || r == -ENFILE || r == -ENOMEM)
		return r;
	result->why = "userfaultfd(2) is denied to this process";
	return -ENOTSUP;
}

static int open_uffd(struct ww_process *p, struct sys_file *uffd, struct ww_attachment *info)
{
	struct inject_result result;
	bool own = p->own == getpid();
	int number, r = own ? open_own(uffd, &result) : inject_userfaultfd(p, uffd, &result);

	info->reason = result.why;
	info->stopped_ns = result.stopped_ns;
	info->self_healing = result.heals;
	if (r == -EPERM && !info->reason && process_number(p, &number) == 0)
		info->reason = ww_process_hint(number);
	return r;
}

static int begin(struct ww_process *p, struct sys_file *uffd)
{
	int r = process_track_begin(p, uffd);

	if (r == -ENOTSUP)
		p->attachment.reason = no_async;
	return r;
}

/* Of a process without memory, userfaultfd says that there is no memory. */
static int known_error(const struct ww_process *p, int r)
{
	int gone = r < 0 ? process_gone(p) : 0;

	if (gone < 0)
		return gone;
	switch (r) {
	case 0:
	case -ENOTSUP:
	case -EPERM:
	case -EBUSY:
	case -EALREADY:
	case -ETIMEDOUT:
	case -EAGAIN:
	case -ENOMEM:
	case -EMFILE:
	case -ENFILE:
	case -EBADF:
	case -ESRCH:
		return r;
	default:
		return -EIO;
	}
}

static int attach(struct ww_process *p)
{
	struct sys_file uffd = SYS_NO_FILE;
	int r;

	if (p->tracking)
		return -EALREADY;
	p->attachment = (struct ww_attachment){0};
	r = process_gone(p);
	if (r == 0)
		r = check_kernel(p, &p->attachment.reason);
	if (r == 0)
		r = open_uffd(p, &uffd, &p->attachment);
	if (r == 0)
		r = begin(p, &uffd);
	sys_close(&uffd);
	return known_error(p, r);
}

int ww_process_attach(struct ww_process *p, unsigned flags)
{
	int r;

	if (!p || flags)
		return -EINVAL;
	pthread_mutex_lock(&p->lock);
	r = attach(p);
	pthread_mutex_unlock(&p->lock);
	return r;
}

int ww_process_attachment(struct ww_process *p, struct ww_attachment *info)
{
	if (!p || !info || info->size < offsetof(struct ww_attachment, attached))
		return -EINVAL;
	pthread_mutex_lock(&p->lock);
	p->attachment.attached = p->tracking != NULL;
	p->attachment.size = info->size < sizeof(*info) ? info->size : sizeof(*info);
	memcpy(info, &p->attachment, p->attachment.size);
	pthread_mutex_unlock(&p->lock);
	return 0;
}

/* Why nothing can be asked of what is attached: as process_gone(), or the watch is. */
static int watch_gone(const struct ww_process *p)
{
	int r = process_gone(p);

	return r == 0 && !sys_is_open(&p->tracking->uffd) ? -EBADF : r;
}

static int refresh(struct ww_process *p)
{
	int r = process_track_refresh(p, true), gone = watch_gone(p);

	return gone < 0 ? gone : known_error(p, r);
}

int ww_process_refresh(struct ww_process *p)
{
	int r;

	if (!p)
		return -EINVAL;
	pthread_mutex_lock(&p->lock);
	r = p->tracking ? watch_gone(p) : -EINVAL;
	if (r == 0)
		r = refresh(p);
	pthread_mutex_unlock(&p->lock);
	return r;
}

static int get(struct ww_process *p, uint64_t *start, uint64_t end, unsigned flags,
	       struct process_result *to)
{
	int r;

	if (!end)
		end = p->limit;
	if (!p->tracking || *start % p->page_size || end % p->page_size || *start > end ||
	    end > p->limit)
		return -EINVAL;
	/* What a reset asks of the userfaultfd it must not ask of another. */
	if (flags & WW_RESET && !sys_is_open(&p->tracking->uffd))
		return -EBADF;
	r = process_track_get(p, start, end, flags & WW_RESET, to);
	if (r < 0 || !to->count) {
		int gone = watch_gone(p);

		r = gone < 0 ? gone : r;
	}
	return r;
}

int ww_process_get(struct ww_process *p, uint64_t *start, uint64_t end, unsigned flags,
		   struct ww_page_range *ranges, size_t *count)
{
	struct process_result to;
	int r;

	if (!p || !start || !ranges || !count || !*count || flags & ~(unsigned)WW_RESET)
		return -EINVAL;
	to = process_into(p, ranges, *count);
	pthread_mutex_lock(&p->lock);
	r = get(p, start, end, flags, &to);
	pthread_mutex_unlock(&p->lock);
	*count = to.count;
	return r;
}

int ww_process_detach(struct ww_process *p)
{
	int r = -EINVAL;

	if (!p)
		return r;
	pthread_mutex_lock(&p->lock);
	if (p->tracking) {
		process_untrack(p);
		r = 0;
	}
	pthread_mutex_unlock(&p->lock);
	return r;
}
