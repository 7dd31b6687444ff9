/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "leaks.h"
#include "pages.h"
#include "uapi/pagemap_scan.h"
#include "uapi/userfaultfd.h"

/* What the pagemap-scan backend takes for granted of the kernel, without the library. */

#define PAGE 4096
#define PAGES 1024

static int uffd, pagemap;
static char *memory;
static struct wwk_page_region regions[PAGES];

static void begin(void)
{
	struct wwk_uffdio_api api = {.api = WWK_UFFD_API, .features = WWK_UFFD_FEATURE_WP_ASYNC};

	leaks_begin();
	uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | WWK_UFFD_USER_MODE_ONLY);
	if (uffd < 0) {
		int device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);

		uffd = (int)ioctl(device, WWK_USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK);
		close(device);
	}
	cr_assert_geq(uffd, 0);
	cr_assert_eq(ioctl(uffd, WWK_UFFDIO_API, &api), 0);
	pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	cr_assert_geq(pagemap, 0);
	memory = map_private(PAGES * PAGE);
	madvise(memory, PAGES * PAGE, MADV_NOHUGEPAGE);
}

static void end(void)
{
	close(uffd);
	close(pagemap);
	unmap(memory, PAGES * PAGE);
	leaks_end();
}

TestSuite(kernel, .init = begin, .fini = end);

static void attach(size_t first, size_t n)
{
	struct wwk_uffdio_register reg = {
		.range = {(uintptr_t)memory + first * PAGE, n * PAGE},
		.mode = WWK_UFFDIO_REGISTER_MODE_WP,
	};

	cr_assert_eq(ioctl(uffd, WWK_UFFDIO_REGISTER, &reg), 0);
}

static void protect(uint64_t mode)
{
	struct wwk_uffdio_writeprotect wp = {
		.range = {(uintptr_t)memory, PAGES * PAGE},
		.mode = mode,
	};

	cr_assert_eq(ioctl(uffd, WWK_UFFDIO_WRITEPROTECT, &wp), 0);
}

static struct wwk_pm_scan_arg question(uint64_t flags)
{
	return (struct wwk_pm_scan_arg){
		.size = sizeof(struct wwk_pm_scan_arg),
		.flags = flags,
		.start = (uintptr_t)memory,
		.end = (uintptr_t)memory + PAGES * PAGE,
		.vec = (uintptr_t)regions,
		.vec_len = PAGES,
		.category_mask = WWK_PAGE_IS_WRITTEN,
		.return_mask = WWK_PAGE_IS_WRITTEN,
	};
}

static size_t scan(struct wwk_pm_scan_arg arg)
{
	int n = ioctl(pagemap, WWK_PAGEMAP_SCAN, &arg);
	size_t bytes = 0;

	cr_assert_geq(n, 0, "%s", strerror(errno));
	for (int i = 0; i < n; i++)
		bytes += regions[i].end - regions[i].start;
	return bytes / PAGE;
}

static size_t get(uint64_t flags)
{
	return scan(question(flags | WWK_PM_SCAN_CHECK_WPASYNC));
}

Test(kernel, asynchronous_protection_covers_empty_pages)
{
	attach(0, PAGES);
	protect(WWK_UFFDIO_WRITEPROTECT_MODE_WP);
	cr_assert_eq(get(0), 0);
	(void)*(volatile char *)(memory + 3 * PAGE);
	cr_assert_eq(get(0), 0);
	memory[3 * PAGE] = memory[5 * PAGE] = 1;
	cr_assert_eq(get(WWK_PM_SCAN_WP_MATCHING), 2);
	cr_assert_eq(get(0), 0);
	memory[5 * PAGE] = 1;
	cr_assert_eq(get(0), 1);
}

Test(kernel, the_page_limit_is_exact_for_what_is_returned_and_reset)
{
	struct wwk_pm_scan_arg arg = question(WWK_PM_SCAN_WP_MATCHING);

	memset(memory, 1, PAGES * PAGE);
	attach(0, PAGES);
	arg.max_pages = 100;
	cr_assert_eq(scan(arg), 100);
	cr_assert_eq(get(0), PAGES - 100);
}

Test(kernel, a_check_finds_what_is_not_registered_and_passes_holes)
{
	struct wwk_pm_scan_arg arg = question(WWK_PM_SCAN_CHECK_WPASYNC);

	attach(0, PAGES);
	unmap(memory + 8 * PAGE, 8 * PAGE);
	cr_assert_geq(ioctl(pagemap, WWK_PAGEMAP_SCAN, &arg), 0);
	cr_assert_eq(mmap(memory + 8 * PAGE, 8 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS |
			  MAP_FIXED, -1, 0), memory + 8 * PAGE);
	cr_assert_eq(ioctl(pagemap, WWK_PAGEMAP_SCAN, &arg), -1);
	cr_assert_eq(errno, EPERM);
}

Test(kernel, a_failing_reset_has_reset_already)
{
	struct wwk_pm_scan_arg arg = question(WWK_PM_SCAN_WP_MATCHING);
	void *unwritable = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t left;

	memset(memory, 1, PAGES * PAGE);
	attach(0, PAGES);
	arg.vec = (uintptr_t)unwritable;
	arg.vec_len = 8;
	cr_assert_eq(ioctl(pagemap, WWK_PAGEMAP_SCAN, &arg), -1);
	cr_assert_eq(errno, EFAULT);
	left = get(0);
	unmap(unwritable, PAGE);
	if (left == PAGES)
		cr_skip_test("this kernel resets nothing that it does not report");
	cr_assert_lt(left, PAGES);
}

Test(kernel, a_scan_protects_empty_pages_one_by_one)
{
	struct wwk_pm_scan_arg arg = question(WWK_PM_SCAN_WP_MATCHING);

	attach(0, PAGES);
	for (size_t i = 0; i < PAGES; i += 2)
		memory[i * PAGE] = 1;
	arg.category_mask = arg.category_inverted = WWK_PAGE_IS_PRESENT | WWK_PAGE_IS_SWAPPED;
	arg.return_mask = WWK_PAGE_IS_WPALLOWED;
	cr_assert_eq(scan(arg), PAGES / 2);
	cr_assert_eq(get(0), PAGES / 2);
	memory[PAGE] = 1;
	cr_assert_eq(get(0), PAGES / 2 + 1);
}

Test(kernel, writes_by_the_kernel_need_no_privilege)
{
	int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);

	attach(0, PAGES);
	protect(WWK_UFFDIO_WRITEPROTECT_MODE_WP);
	cr_assert_eq(read(zero, memory + 5 * PAGE, 3 * PAGE), 3 * PAGE);
	close(zero);
	cr_assert_eq(get(0), 3);
}

static void read_fixed(struct io_uring *ring, int fd, char *to)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
	struct io_uring_cqe *cqe;

	io_uring_prep_read_fixed(sqe, fd, to, PAGE, 0, 0);
	io_uring_submit(ring);
	cr_assert_eq(io_uring_wait_cqe(ring, &cqe), 0);
	cr_assert_eq(cqe->res, PAGE);
	io_uring_cqe_seen(ring, cqe);
}

/* The limit that ww_mark() is for: no page table is asked when a pinned page is written. */
Test(kernel, writes_to_pinned_pages_do_not_show_after_a_reset)
{
	struct iovec buffer = {memory + 5 * PAGE, 2 * PAGE};
	int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC), r;
	struct io_uring ring;

	r = io_uring_queue_init(4, &ring, 0);
	if (r < 0) {
		close(zero);
		cr_skip_test("the kernel refuses io_uring: %s", strerror(-r));
	}
	attach(0, PAGES);
	protect(WWK_UFFDIO_WRITEPROTECT_MODE_WP);
	cr_assert_eq(io_uring_register_buffers(&ring, &buffer, 1), 0);
	cr_assert_eq(get(WWK_PM_SCAN_WP_MATCHING), 2, "pinning counts as a write");
	memory[5 * PAGE] = 1;
	cr_assert_eq(get(WWK_PM_SCAN_WP_MATCHING), 1);
	read_fixed(&ring, zero, memory + 5 * PAGE);
	cr_assert_eq(memory[5 * PAGE], 0, "it was written");
	cr_assert_eq(get(0), 0);
	io_uring_queue_exit(&ring);
	close(zero);
}

Test(kernel, a_child_is_not_registered_and_inherits_its_parents_descriptors)
{
	pid_t child;
	int status;

	attach(0, PAGES);
	protect(WWK_UFFDIO_WRITEPROTECT_MODE_WP);
	memory[PAGE] = 1;
	child = fork();
	if (child == 0) {
		struct wwk_pm_scan_arg arg = question(WWK_PM_SCAN_CHECK_WPASYNC);
		int own = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
		bool refused = ioctl(own, WWK_PAGEMAP_SCAN, &arg) == -1 && errno == EPERM;

		/* This is the danger: it works, and takes the parent's page away. */
		arg.flags |= WWK_PM_SCAN_WP_MATCHING;
		_exit(refused && ioctl(pagemap, WWK_PAGEMAP_SCAN, &arg) == 1 ? 0 : 1);
	}
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert_eq(status, 0);
	cr_assert_eq(get(0), 0);
}

Test(kernel, moving_and_unregistering_end_the_protection)
{
	struct wwk_uffdio_range range = {(uintptr_t)memory, PAGES * PAGE};

	memset(memory, 1, PAGES * PAGE);
	attach(0, PAGES);
	protect(WWK_UFFDIO_WRITEPROTECT_MODE_WP);
	cr_assert_eq(get(0), 0);
	cr_assert_eq(ioctl(uffd, WWK_UFFDIO_UNREGISTER, &range), 0);
	attach(0, PAGES);
	cr_assert_eq(get(0), PAGES);
}
