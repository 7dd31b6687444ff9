/* SPDX-License-Identifier: MIT */
/* The memory that everything happens in, and the context that watches it. */
#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "inside.h"

/* Far from where the kernel puts what others map: it would fill the holes of the arena. */
#define PLACE ((void *)(uintptr_t)UINT64_C(0x200000000000))
#define HUGE_BYTES ((size_t)2 << 20)

/* Bits of an input's second byte. */
enum shape {
	SHAPE_NO_HANDLER = 1 << 0,
	SHAPE_FEW_SPLITS = 1 << 1, /* mprotect: as if the process could have no more mappings */
	SHAPE_HUGE = 1 << 2,       /* the first piece is populated, by huge pages where they are */
	SHAPE_UNWATCHED = 1 << 3,  /* nothing is watched at first */
	SHAPE_DISCARDS = 1 << 4
};

enum kind { NOTHING, PRIVATE, SHARED };

/* The first is large enough for a backend to change its way of watching it. */
static const struct {
	size_t pages;
	enum kind kind;
	int prot;
	bool fill;
} layout[] = {
	{900, PRIVATE, RW, false}, {5, NOTHING, 0, false},    {64, SHARED, RW, false},
	{20, PRIVATE, 0, false},   {70, PRIVATE, RW, true},   {12, PRIVATE, PROT_READ, false},
	{9, NOTHING, 0, false},    {30, SHARED, RW, true},    {150, PRIVATE, RW, false},
};

#define PIECES (sizeof(layout) / sizeof(layout[0]))

static const struct traits backends[] = {
	{.name = "pagemap-scan", .reported = "pagemap-scan"},
	{.name = "uffd-thread", .reported = "uffd"},
	{.name = "uffd-sigbus", .reported = "uffd"},
	{
		.name = "mprotect",
		.reported = "mprotect",
		.no_discards = true,
		.by_address = true,
		.own_protect = true,
	},
	{
		.name = "soft-dirty",
		.reported = "soft-dirty",
		.no_discards = true,
		.no_shared = true,
		.by_address = true,
		.no_second = true,
	},
};

#define BACKENDS (sizeof(backends) / sizeof(backends[0]))

size_t piece_count(void)
{
	return PIECES;
}

struct range piece_number(size_t i)
{
	struct range r = {0, layout[i].pages};

	for (size_t k = 0; k < i; k++)
		r.first += layout[k].pages;
	return r;
}

struct range piece_of(size_t page)
{
	size_t i = 0, first = 0;

	while (page >= first + layout[i].pages)
		first += layout[i++].pages;
	return (struct range){first, layout[i].pages};
}

static void on_fault(int number, siginfo_t *info, void *context)
{
	uintptr_t addr = (uintptr_t)info->si_addr;
	size_t page = (addr - (uintptr_t)fz.base) / fz.page_size;

	(void)context;
	fz.repeated = addr == fz.last_fault ? fz.repeated + 1 : 0;
	fz.last_fault = addr;
	if (fz.repeated > 1000)
		fail("the fault at page %zu never ends", page);
	if (fz.no_handler && ww_handle_fault(info->si_addr) == 1)
		return;
	if (fz.expecting)
		siglongjmp(fz.back, 1);
	if (page >= PAGES)
		fail("signal %d, code %d, at %p", number, info->si_code, info->si_addr);
	fail("signal %d, code %d, at page %zu", number, info->si_code, page);
}

static void *must_map(void *at, size_t bytes, int prot, int flags, int fd, size_t offset)
{
	void *p = mmap(at, bytes, prot, flags, fd, (off_t)offset);

	if (p == MAP_FAILED)
		fail("mmap: %s", strerror(errno));
	return p;
}

static int make_memfd(size_t bytes)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, (off_t)bytes) < 0)
		fail("no memfd");
	return fd;
}

static bool backend_is_usable(void)
{
	struct ww_info info = {.size = sizeof(info)};
	int r;

	if (!getenv("WRITEWATCH_BACKEND"))
		return true;
	r = ww_probe(NULL, &info);
	if (r == 0 && info.backend)
		return true;
	printf("%s: %s\n", getenv("WRITEWATCH_BACKEND"),
	       r < 0 ? "not a backend" : info.refusals[0].reason);
	return false;
}

bool fuzz_begin(void)
{
	struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
	uint64_t words[512];
	char *reserve;

	fz.what = "setup";
	fz.page_size = (size_t)sysconf(_SC_PAGESIZE);
	reserve = must_map(PLACE, bytes_of(PAGES + 1 + ATTIC_PAGES) + HUGE_BYTES, PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	fz.base = reserve + HUGE_BYTES - (uintptr_t)reserve % HUGE_BYTES;
	/* Not next to the arena: the kernel may join what is moved there with what is watched, and
	 * then it watches neither. */
	fz.attic = page_at(PAGES + 1);
	fz.memfd = make_memfd(bytes_of(PAGES));
	fz.source_fd = make_memfd(bytes_of(SOURCE_PAGES));
	for (size_t i = 0; i < 512; i++)
		words[i] = ~i;
	for (size_t at = 0; at < bytes_of(SOURCE_PAGES); at += sizeof(words))
		if (pwrite(fz.source_fd, words, sizeof(words), (off_t)at) != sizeof(words))
			fail("cannot write the source");
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	return backend_is_usable();
}

void map_fresh(struct range r, bool shared, int prot, bool fill)
{
	must_map(page_at(r.first), bytes_of(r.count), prot,
		 MAP_FIXED | (shared ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS),
		 shared ? fz.memfd : -1, shared ? bytes_of(r.first) : 0);
	for (size_t i = r.first; i < r.first + r.count; i++) {
		struct page *p = &fz.pages[i];

		p->mapping = p->watched ? STALE : MAPPED;
		p->prot = (uint8_t)prot;
		p->shared = shared;
		p->word = 0;
		if (fill && can_write(i)) {
			p->word = ++fz.stamp;
			store(page_at(i), p->word);
		} else if (shared && pread(fz.memfd, &p->word, sizeof(p->word),
					   (off_t)bytes_of(i)) != sizeof(p->word)) {
			fail("cannot read the memfd");
		}
	}
}

void arena_open(unsigned shape)
{
	memset(fz.pages, 0, sizeof(fz.pages));
	if (ftruncate(fz.memfd, 0) < 0 || ftruncate(fz.memfd, (off_t)bytes_of(PAGES)) < 0)
		fail("ftruncate: %s", strerror(errno));
	/* Nothing of the last input is left, not even advice. */
	must_map(fz.base, bytes_of(PAGES + 1 + ATTIC_PAGES), PROT_NONE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
	for (size_t i = 0; i < PIECES; i++) {
		struct range r = piece_number(i);
		bool huge = i == 0 && shape & SHAPE_HUGE;

		if (layout[i].kind == NOTHING) {
			munmap(page_at(r.first), bytes_of(r.count));
			for (size_t k = r.first; k < r.first + r.count; k++)
				fz.pages[k].mapping = HOLE;
			continue;
		}
		map_fresh(r, layout[i].kind == SHARED, layout[i].prot, layout[i].fill && !huge);
		if (!huge)
			continue;
		madvise(page_at(r.first), bytes_of(r.count), MADV_HUGEPAGE);
		for (size_t k = r.first; k < r.first + r.count; k++)
			store(page_at(k), fz.pages[k].word = ++fz.stamp);
	}
}

static const struct traits *traits_of(const struct ww_info *info)
{
	const uint64_t kinds = WW_NO_THREAD | WW_NO_SIGNAL_HANDLER;

	for (size_t i = 0; i < BACKENDS; i++)
		if (strcmp(backends[i].reported, info->backend) == 0 &&
		    (strcmp(info->backend, "uffd") != 0 ||
		     (info->guarantees & kinds) == (i == 1 ? WW_NO_SIGNAL_HANDLER : WW_NO_THREAD)))
			return &backends[i];
	fail("the backend %s is not known here", info->backend);
}

bool context_open(unsigned backend, unsigned shape)
{
	struct ww_options options = {.size = sizeof(options)};
	struct ww_info info = {.size = sizeof(info)};
	int r;

	fz.backend = backend;
	fz.no_handler = shape & SHAPE_NO_HANDLER;
	options.flags = fz.no_handler ? WW_NO_HANDLER : 0;
	options.backend = backends[backend % BACKENDS].name;
	r = ww_new(&fz.w, &options);
	if (r == -ENOTSUP)
		return false;
	if (r != 0 || ww_info(fz.w, &info) != 0)
		fail("no context: %d", r);
	fz.traits = traits_of(&info);
	fz.guarantees = info.guarantees;
	fz.surplus = 0;
	if (shape & SHAPE_FEW_SPLITS)
		inside_few_splits(fz.w);
	if (shape & SHAPE_UNWATCHED)
		return true;
	for (size_t i = 0; i < PIECES; i++)
		if (!any_mapping(piece_number(i), HOLE))
			watch(piece_number(i),
			      shape & SHAPE_DISCARDS && !fz.traits->no_discards ? WW_DISCARDS : 0);
	return true;
}

void context_close(void)
{
	ww_free(fz.w);
	fz.w = NULL;
	for (size_t i = 0; i < PAGES; i++) {
		struct page *p = &fz.pages[i];

		p->watched = false;
		if (p->mapping == STALE)
			p->mapping = MAPPED;
	}
}
