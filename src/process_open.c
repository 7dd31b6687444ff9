/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pagemap.h"
#include "process.h"
#include "process_track.h"

/* Bits of a task's flags in /proc/PID/stat. */
#define TASK_EXITING 0x4u
#define TASK_OF_KERNEL 0x200000u

/* What number it has in /proc: -ESRCH if none any more, -EINVAL for what is no pidfd. */
int process_number(const struct ww_process *p, int *number)
{
	char path[64], text[1024];
	const char *line;
	int r;

	/* Another process by the same descriptor must not be taken for this one. */
	if (!sys_is_open(&p->pidfd))
		return -EBADF;
	snprintf(path, sizeof(path), "/proc/thread-self/fdinfo/%d", p->pidfd.fd);
	r = process_read(path, text, sizeof(text));
	if (r < 0)
		return r == -ENOENT ? -ENOTSUP : r;
	line = strstr(text, "\nPid:");
	if (!line || sscanf(line, "\nPid: %d", number) != 1)
		return -EINVAL;
	return *number > 0 ? 0 : -ESRCH;
}

bool process_is_ours(const struct ww_process *p)
{
	int number;

	return p->own == getpid() || process_number(p, &number) < 0 || number == getpid();
}

int process_file(const struct ww_process *p, struct sys_file *file, const char *name, int flags)
{
	int number, again, r;
	char path[64];

	*file = SYS_NO_FILE;
	if (p->own == getpid()) {
		/* The first thread, by whose number the process goes, may have ended. */
		snprintf(path, sizeof(path), "/proc/thread-self/%s", name);
		return sys_open(file, path, flags);
	}
	r = process_number(p, &number);
	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "/proc/%d/%s", number, name);
	r = sys_open(file, path, flags);
	/* The number was not another's meanwhile if it is still this process's. */
	if (process_number(p, &again) < 0 || again != number) {
		sys_close(file);
		return -ESRCH;
	}
	return r;
}

static int file_error(int r)
{
	switch (r) {
	case -EPERM:
		return -EACCES;
	case -ENOENT:
		return -ENOTSUP;
	case -EMFILE:
	case -ENFILE:
	case -ENOMEM:
	case -ESRCH:
	case -EACCES:
		return r;
	default:
		return -ENOTSUP;
	}
}

/* Whether it has no memory, and why: 0 if nothing speaks against it. */
static int fate(const struct ww_process *p)
{
	struct sys_file file;
	char text[512], state;
	const char *rest;
	unsigned flags;
	ssize_t n;
	int r = process_file(p, &file, "stat", O_RDONLY);

	/* The process is there; its folder may be hidden. */
	if (r < 0)
		return r == -ENOENT ? -EACCES : file_error(r);
	n = sys_read(file.fd, text, sizeof(text) - 1);
	sys_close(&file);
	if (n <= 0)
		return -ESRCH;
	text[n] = '\0';
	/* The name before may have brackets of its own. */
	rest = strrchr(text, ')');
	if (!rest || sscanf(rest, ") %c %*d %*d %*d %*d %*d %u", &state, &flags) != 2)
		return -EIO;
	if (flags & TASK_OF_KERNEL)
		return -ENXIO;
	return state == 'Z' || state == 'X' || flags & TASK_EXITING ? -ECHILD : 0;
}

int process_gone(const struct ww_process *p)
{
	uint64_t word;
	int r;

	if (!sys_is_open(&p->pagemap) || !sys_is_open(&p->maps.file))
		return -EBADF;
	if (pagemap_words(p->pagemap.fd, 0, 1, &word) != -ESRCH)
		return 0;
	r = fate(p);
	return r == 0 ? -ESTALE : -ESRCH;
}

static int open_files(struct ww_process *p)
{
	int r = process_file(p, &p->pagemap, "pagemap", O_RDONLY);

	if (r == 0)
		r = process_file(p, &p->maps.file, "maps", O_RDONLY);
	if (r == 0)
		r = maps_begin(&p->maps);
	return r < 0 ? file_error(r) : 0;
}

/* Where the addresses end that it can have, which is another place for one of 32 bits. */
static void find_limit(struct ww_process *p)
{
	uint64_t low = 0, high = (UINT64_C(1) << 56) >> p->page_shift, word;

	if (sizeof(uintptr_t) < 8)
		high = UINTPTR_MAX >> p->page_shift;
	while (low < high) {
		uint64_t page = low + (high - low) / 2;

		if (pagemap_words(p->pagemap.fd, (uintptr_t)(page << p->page_shift), 1, &word) < 0)
			high = page;
		else
			low = page + 1;
	}
	p->limit = low << p->page_shift;
}

static int begin(struct ww_process *p, unsigned flags)
{
	int r = fate(p);

	if (r == 0 && p->pagemap.fd < 0)
		r = open_files(p);
	/* What is just ending may not be looked at any more. */
	if (r == -EACCES && fate(p) < 0)
		r = fate(p);
	if (r == 0) {
		find_limit(p);
		/* It may have ended since, which looks like a process without any page. */
		r = process_gone(p);
	}
	if (r == -ESTALE)
		r = -ESRCH;
	if (r == 0)
		process_probe(p, flags & WW_PROCESS_READ_PAGEMAP);
	return r;
}

static size_t memory_size(void)
{
	return sizeof(struct ww_process) + PROCESS_REGIONS * sizeof(struct wwk_page_region) +
	       PM_WORDS * sizeof(uint64_t);
}

static int make(struct ww_process **out)
{
	struct ww_process *p;
	void *memory;
	int r = sys_mmap(&memory, memory_size(), PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS);

	if (r < 0)
		return r;
	p = memory;
	p->pidfd = p->pagemap = p->maps.file = SYS_NO_FILE;
	p->page_size = sys_page_size();
	p->page_shift = (unsigned)__builtin_ctzl(p->page_size);
	p->regions = (struct wwk_page_region *)(p + 1);
	p->words = (uint64_t *)(p->regions + PROCESS_REGIONS);
	memset(p->regions, 0, PROCESS_REGIONS * sizeof(*p->regions));
	pthread_mutex_init(&p->lock, NULL);
	*out = p;
	return 0;
}

static int finish(struct ww_process **out, struct ww_process *p, int r, unsigned flags)
{
	if (r == 0)
		r = begin(p, flags);
	if (r < 0)
		ww_process_close(p);
	else
		*out = p;
	return r;
}

static int check_and_make(struct ww_process **out, struct ww_process **p, unsigned flags)
{
	if (!out)
		return -EINVAL;
	*out = NULL;
	return flags & ~(unsigned)WW_PROCESS_READ_PAGEMAP ? -EINVAL : make(p);
}

static int open_pidfd(struct ww_process *p, pid_t pid)
{
	int r = sys_pidfd_open(&p->pidfd, pid);

	switch (r) {
	case -EINVAL:
	case -ENOENT:
		/* The number of a thread that is not the first. */
		return -ESRCH;
	case -ENOSYS:
	case -EPERM:
		return p->own ? 0 : -ENOTSUP;
	default:
		return r;
	}
}

int ww_process_open(struct ww_process **out, pid_t pid, unsigned flags)
{
	struct ww_process *p;
	int r = check_and_make(out, &p, flags);

	if (r < 0)
		return r;
	if (pid == 0 || pid == getpid())
		p->own = getpid();
	r = pid < 0 ? -EINVAL : open_pidfd(p, pid ? pid : getpid());
	return finish(out, p, r, flags);
}

int ww_process_open_pidfd(struct ww_process **out, int pidfd, unsigned flags)
{
	struct ww_process *p;
	int number, r = check_and_make(out, &p, flags);

	if (r < 0)
		return r;
	r = sys_dup(&p->pidfd, pidfd);
	if (r == 0)
		r = process_number(p, &number);
	return finish(out, p, r, flags);
}

int process_adopt(struct ww_process **out, struct sys_file *pidfd, struct sys_file *pagemap,
		  struct sys_file *maps)
{
	struct ww_process *p;
	int r = make(&p);

	if (r < 0)
		return r;
	p->pidfd = *pidfd;
	p->pagemap = *pagemap;
	p->maps.file = *maps;
	*pidfd = *pagemap = *maps = SYS_NO_FILE;
	return finish(out, p, maps_begin(&p->maps), 0);
}

void ww_process_close(struct ww_process *p)
{
	if (!p)
		return;
	process_untrack(p);
	maps_close(&p->maps);
	sys_close(&p->pagemap);
	sys_close(&p->pidfd);
	kept_free(&p->kept);
	kept_free(&p->kept_empty);
	pthread_mutex_destroy(&p->lock);
	sys_munmap(p, memory_size());
}
