/* SPDX-License-Identifier: MIT */
#include "pagemap.h"

#include <errno.h>
#include <fcntl.h>

#include "context.h"

int pagemap_open(struct ww *w, const char **why)
{
	int r = sys_open(&w->pagemap, "/proc/thread-self/pagemap", O_RDONLY);

	if (r == 0)
		r = maps_open(&w->maps);
	if (r == -EACCES || r == -EPERM)
		*why = "/proc/self/pagemap may not be opened: the process is not dumpable "
		       "(PR_SET_DUMPABLE, or it changed its user)";
	else if (r == -EMFILE || r == -ENFILE)
		*why = "no file descriptors are left";
	else if (r < 0)
		*why = "/proc/self/pagemap cannot be opened: is /proc mounted?";
	return r;
}

int pagemap_open_to_read(struct ww *w, const char **why)
{
	int r = pagemap_open(w, why);
	void *p;

	if (r < 0)
		return r;
	*why = "no address space for a buffer";
	r = context_map(w, &p, PM_WORDS * sizeof(*w->words));
	if (r == 0)
		w->words = p;
	return r;
}

void pagemap_close(struct ww *w)
{
	if (w->words)
		sys_munmap(w->words, PM_WORDS * sizeof(*w->words));
	w->words = NULL;
	maps_close(&w->maps);
	sys_close(&w->pagemap);
}

/* So often the kernel may move what is being read. */
#define READ_TRIES 64

/*
 * Kernels up to 6.4 leave out a huge page that vanishes meanwhile, so that what is behind it comes
 * too early, and in all too little.
 */
int pagemap_words(int fd, uintptr_t start, size_t count, uint64_t *words)
{
	const off_t at = (off_t)(start / sys_page_size() * sizeof(*words));
	const ssize_t size = (ssize_t)(count * sizeof(*words));
	int tries = 0;

	while (tries < READ_TRIES) {
		ssize_t n = sys_pread(fd, words, (size_t)size, at);

		if (n == size)
			return 0;
		if (n <= 0 && n != -EINTR)
			return n < 0 ? (int)n : -ESRCH;
		tries += n > 0;
	}
	return -EIO;
}

static int read_words(struct ww *w, uintptr_t start, uintptr_t end, uint64_t *words)
{
	if (pagemap_words(w->pagemap.fd, start, (end - start) >> w->page_shift, words) == 0)
		return 0;
	return context_lost(w, &w->pagemap) ? -ESTALE : -EIO;
}

int pagemap_check(struct ww *w)
{
	return context_lost(w, &w->pagemap) ? -ESTALE : 0;
}

int pagemap_read(struct ww *w, uintptr_t start, uintptr_t end, uint64_t *words)
{
	int r = read_words(w, start, end, words);

	return r == 0 ? pagemap_check(w) : r;
}

int pagemap_read_some(struct ww *w, uintptr_t start, uintptr_t *end)
{
	uintptr_t most = start + (PM_WORDS << w->page_shift);

	if (*end > most)
		*end = most;
	return read_words(w, start, *end, w->words);
}
