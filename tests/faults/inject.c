/* SPDX-License-Identifier: MIT */
#include "inject.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "faults.h"
#include "sys.h"
#include "pagemap.h"
#include "uapi/procmap_query.h"
#include "uapi/userfaultfd.h"

struct inject *inject;

/* A wait that nobody ends is short. */
#define MOST_WAIT_MS 50

static _Thread_local bool is_caller;
static _Thread_local bool in_handler;
static long allocated;

/* What a failure left mapped. More than these there are never. */
static struct {
	void *addr;
	size_t len;
} unmapped[256];
static size_t unmapped_count;

#define WRAP(type, name, ...)                                                                      \
	type __real_##name(__VA_ARGS__);                                                           \
	type __wrap_##name(__VA_ARGS__)

WRAP(int, sys_open, struct sys_file *file, const char *path, int flags);
WRAP(int, sys_userfaultfd, struct sys_file *file, int flags);
WRAP(int, sys_adopt, struct sys_file *file, int fd);
WRAP(int, sys_pipe, struct sys_file *readable, struct sys_file *writable);
WRAP(ssize_t, sys_pwrite, int fd, const void *buffer, size_t size, off_t offset);
WRAP(long, sys_ioctl, int fd, unsigned long request, void *arg);
WRAP(ssize_t, sys_pread, int fd, void *buffer, size_t size, off_t offset);
WRAP(ssize_t, sys_read, int fd, void *buffer, size_t size);
WRAP(ssize_t, sys_write, int fd, const void *buffer, size_t size);
WRAP(int, sys_poll, int a, int b, int timeout_ms);
WRAP(int, sys_mmap, void **out, size_t len, int prot, int flags);
WRAP(int, sys_mmap_at, uintptr_t addr, size_t len, int prot, int flags);
WRAP(int, sys_munmap, void *addr, size_t len);
WRAP(int, sys_madvise, uintptr_t addr, size_t len, int advice);
WRAP(int, sys_mprotect, uintptr_t addr, size_t len, int prot);
WRAP(int, sys_mremap, uintptr_t addr, size_t len, void **out);
WRAP(int, sys_mremap_copy, uintptr_t addr, size_t len, void **out);
WRAP(int, sys_sigaction, int number, const struct sigaction *action, struct sigaction *old);
WRAP(int, sys_thread_start, pthread_t *thread, void *stack, size_t size, void *(*run)(void *),
     void *arg);
WRAP(int, sys_kernel_release, char *release, size_t size);
typedef int fault_fn(struct ww *w, uintptr_t page, bool doubt);
WRAP(int, faults_join, struct ww *w, const void *kind, int number, fault_fn *fault);
WRAP(void *, malloc, size_t size);
WRAP(void, free, void *p);

void inject_prepare(void)
{
	inject =
	    mmap(NULL, sizeof(*inject), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	cr_assert_neq(inject, MAP_FAILED);
}

void inject_begin(const struct plan *plan)
{
	*inject = (struct inject){.plan = *plan};
	is_caller = true;
	allocated = 0;
	unmapped_count = 0;
}

long inject_allocated(void)
{
	return allocated;
}

static bool is_on(void)
{
	return inject && inject->on;
}

static bool is_setting(enum setting setting)
{
	return is_on() && inject->plan.setting == setting;
}

static enum scope scope_of_call(void)
{
	return is_caller && !in_handler ? BY_CALLER : BY_HANDLER;
}

/* Counts the call; true: it is to fail. */
static bool fails(enum call_id call)
{
	enum scope scope = scope_of_call();
	const struct plan *plan;
	unsigned n;

	if (!is_on())
		return false;
	plan = &inject->plan;
	if (plan->call != call || plan->scope != scope)
		return false;
	n = ++inject->seen;
	if (n < plan->nth || (plan->mode != EVER && n - plan->nth > plan->more))
		return false;
	inject->in_handler = in_handler;
	++inject->failed;
	return true;
}

static bool is_late(void)
{
	return inject->plan.mode == LATE;
}

static int failure(void)
{
	return -inject->plan.error;
}

static int fail_file(struct sys_file *file)
{
	*file = SYS_NO_FILE;
	return failure();
}

int __wrap_sys_open(struct sys_file *file, const char *path, int flags)
{
	return fails(CALL_OPEN) ? fail_file(file) : __real_sys_open(file, path, flags);
}

int __wrap_sys_userfaultfd(struct sys_file *file, int flags)
{
	if (is_setting(NO_USERFAULTFD_CALL)) {
		*file = SYS_NO_FILE;
		return -EPERM;
	}
	return fails(CALL_USERFAULTFD) ? fail_file(file) : __real_sys_userfaultfd(file, flags);
}

int __wrap_sys_adopt(struct sys_file *file, int fd)
{
	if (fd < 0 || !fails(CALL_ADOPT))
		return __real_sys_adopt(file, fd);
	close(fd);
	return fail_file(file);
}

int __wrap_sys_pipe(struct sys_file *readable, struct sys_file *writable)
{
	if (!fails(CALL_PIPE))
		return __real_sys_pipe(readable, writable);
	*writable = SYS_NO_FILE;
	return fail_file(readable);
}

static bool asks_whether_registered(const struct wwk_uffdio_copy *copy)
{
	return !(copy->mode & WWK_UFFDIO_COPY_MODE_WP);
}

static bool asks_for_markers(const struct wwk_uffdio_api *api)
{
	return api->features & (WWK_UFFD_FEATURE_WP_UNPOPULATED | WWK_UFFD_FEATURE_WP_ASYNC);
}

/* Of the thread for faults. */
static bool is_first_try(enum call_id call)
{
	static _Thread_local bool again;

	if (!is_setting(EVERY_FAULT_TWICE) || call != CALL_UFFD_PROTECT || is_caller)
		return false;
	again = !again;
	return again;
}

long __wrap_sys_ioctl(int fd, unsigned long request, void *arg)
{
	enum call_id call = call_of_request(request);

	if (call == CALL_UFFD_COPY && asks_whether_registered(arg))
		call = CALL_UFFD_ASK;
	if (call == CALL_QUERY_MAP && is_setting(NO_QUERY_MAP))
		return -ENOTTY;
	if (call == CALL_UFFD_API && is_setting(NO_MARKERS) && asks_for_markers(arg))
		return -EINVAL;
	if (is_first_try(call))
		return -ENOENT;
	if (!fails(call))
		return __real_sys_ioctl(fd, request, arg);
	/* Whoever handles faults lets go of all memory where one cannot be resolved. */
	inject->gave_up |= scope_of_call() == BY_HANDLER;
	if (is_late())
		__real_sys_ioctl(fd, request, arg);
	return failure();
}

/* What a read that is to fail says instead. */
static ssize_t fail_read(size_t size, size_t *less)
{
	/* Words of pagemap come whole. */
	size_t half = size % 8 == 0 ? size / 2 & ~(size_t)7 : size / 2;

	*less = half ? half : size;
	return inject->plan.error == END_OF_FILE ? 0 : failure();
}

ssize_t __wrap_sys_pread(int fd, void *buffer, size_t size, off_t offset)
{
	uint64_t word;
	ssize_t r;

	if (fails(CALL_PREAD)) {
		r = fail_read(size, &size);
		if (inject->plan.error != SHORT_COUNT)
			return r;
	}
	r = __real_sys_pread(fd, buffer, size, offset);
	/* A word of pagemap, and a page that is the zero page or shared. */
	if (is_setting(NO_ZERO_PAGE) && r == sizeof(word)) {
		memcpy(&word, buffer, sizeof(word));
		word |= word & PM_PRESENT ? PM_EXCLUSIVE : 0;
		memcpy(buffer, &word, sizeof(word));
	}
	return r;
}

ssize_t __wrap_sys_read(int fd, void *buffer, size_t size)
{
	if (!fails(CALL_READ))
		return __real_sys_read(fd, buffer, size);
	inject->gave_up |= inject->plan.error != EAGAIN && inject->plan.error != EINTR;
	return fail_read(size, &size);
}

ssize_t __wrap_sys_write(int fd, const void *buffer, size_t size)
{
	return fails(CALL_WRITE) ? failure() : __real_sys_write(fd, buffer, size);
}

ssize_t __wrap_sys_pwrite(int fd, const void *buffer, size_t size, off_t offset)
{
	if (fails(CALL_PWRITE)) {
		ssize_t r = fail_read(size, &size);

		if (inject->plan.error != SHORT_COUNT)
			return r;
	}
	return __real_sys_pwrite(fd, buffer, size, offset);
}

int __wrap_sys_poll(int a, int b, int timeout_ms)
{
	if (fails(CALL_POLL))
		return failure();
	return __real_sys_poll(a, b, timeout_ms < MOST_WAIT_MS ? timeout_ms : MOST_WAIT_MS);
}

int __wrap_sys_mmap(void **out, size_t len, int prot, int flags)
{
	return fails(CALL_MMAP) ? failure() : __real_sys_mmap(out, len, prot, flags);
}

/* The library may go on using it, and try again. */
static size_t find_unmapped(const void *addr)
{
	size_t i = 0;

	while (i < unmapped_count && unmapped[i].addr != addr)
		i++;
	return i;
}

int __wrap_sys_mmap_at(uintptr_t addr, size_t len, int prot, int flags)
{
	return fails(CALL_MMAP) ? failure() : __real_sys_mmap_at(addr, len, prot, flags);
}

int __wrap_sys_munmap(void *addr, size_t len)
{
	size_t i = find_unmapped(addr);

	if (!fails(CALL_MUNMAP)) {
		if (i < unmapped_count)
			unmapped[i] = unmapped[--unmapped_count];
		return __real_sys_munmap(addr, len);
	}
	if (i == sizeof(unmapped) / sizeof(*unmapped))
		abort();
	unmapped[i].addr = addr;
	unmapped[i].len = len;
	unmapped_count += i == unmapped_count;
	return failure();
}

void inject_unmap(void)
{
	for (; unmapped_count; unmapped_count--)
		munmap(unmapped[unmapped_count - 1].addr, unmapped[unmapped_count - 1].len);
}

int __wrap_sys_madvise(uintptr_t addr, size_t len, int advice)
{
	if (!fails(call_of_advice(advice)))
		return __real_sys_madvise(addr, len, advice);
	if (is_late())
		__real_sys_madvise(addr, len, advice);
	return failure();
}

int __wrap_sys_mprotect(uintptr_t addr, size_t len, int prot)
{
	if (!fails(CALL_MPROTECT))
		return __real_sys_mprotect(addr, len, prot);
	if (is_late())
		__real_sys_mprotect(addr, len, prot);
	return failure();
}

int __wrap_sys_mremap(uintptr_t addr, size_t len, void **out)
{
	if (is_setting(STALE_BITS))
		return -ENOMEM;
	return fails(CALL_MREMAP) ? failure() : __real_sys_mremap(addr, len, out);
}

int __wrap_sys_mremap_copy(uintptr_t addr, size_t len, void **out)
{
	return fails(CALL_MREMAP) ? failure() : __real_sys_mremap_copy(addr, len, out);
}

int __wrap_sys_sigaction(int number, const struct sigaction *action, struct sigaction *old)
{
	return fails(CALL_SIGACTION) ? failure() : __real_sys_sigaction(number, action, old);
}

int __wrap_sys_thread_start(pthread_t *thread, void *stack, size_t size, void *(*run)(void *),
			    void *arg)
{
	if (fails(CALL_THREAD_START))
		return failure();
	return __real_sys_thread_start(thread, stack, size, run, arg);
}

int __wrap_sys_kernel_release(char *release, size_t size)
{
	return fails(CALL_KERNEL_RELEASE) ? failure() : __real_sys_kernel_release(release, size);
}

/* A process has a single backend with a handler at a time. */
static fault_fn *backend_fault;

static int fault_in_handler(struct ww *w, uintptr_t page, bool doubt)
{
	int r;

	in_handler = true;
	r = backend_fault(w, page, doubt);
	in_handler = false;
	return r;
}

int __wrap_faults_join(struct ww *w, const void *kind, int number, fault_fn *fault)
{
	backend_fault = fault;
	return __real_faults_join(w, kind, number, fault_in_handler);
}

/* Whoever handles a fault may have come in the middle of an allocation, or be waited for by one. */
static void note_allocation(void)
{
	if (inject && scope_of_call() == BY_HANDLER)
		inject->allocates = true;
}

void *__wrap_malloc(size_t size)
{
	void *p = fails(CALL_MALLOC) ? NULL : __real_malloc(size);

	note_allocation();
	allocated += p != NULL;
	return p;
}

void __wrap_free(void *p)
{
	note_allocation();
	allocated -= p != NULL;
	__real_free(p);
}
