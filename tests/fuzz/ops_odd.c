/* SPDX-License-Identifier: MIT */
/* Arguments that make no sense, and addresses that nobody watches: no call may change anything. */
#include "fuzz.h"

#include <errno.h>

#define CALLS 10

static void *list[2];

/* One of the calls; *changed: an out-parameter was. */
static int call(struct ww *w, unsigned which, char *addr, size_t len, unsigned flags, bool *changed)
{
	struct ww_range range;
	uint64_t bits[2];
	size_t count = 2;
	int r;

	switch (which) {
	case 0:
		r = ww_get(w, addr, len, flags, list, &count);
		break;
	case 1:
		r = ww_get_ranges(w, addr, len, flags, &range, &count);
		break;
	case 2:
		r = ww_get_bitmap(w, addr, len, flags, bits, &count);
		break;
	case 3:
		r = ww_get(w, addr, len, flags, NULL, &count);
		break;
	case 4:
		r = ww_reset(w, addr, len);
		break;
	case 5:
		r = ww_mark(w, addr, len);
		break;
	case 6:
		r = ww_discard(w, addr, len);
		break;
	case 7:
		r = ww_watch(w, addr, len, flags);
		break;
	case 8:
		r = ww_unwatch(w, addr, len);
		break;
	case 9:
		r = ww_prepare_write(w, addr, len);
		break;
	default:
		r = ww_protect(w, addr, len, PROT_READ);
		break;
	}
	*changed = count != 2;
	return r;
}

static bool is_valid(uintptr_t addr, size_t len)
{
	return len && len - 1 <= (size_t)INTPTR_MAX && addr <= (uintptr_t)INTPTR_MAX - (len - 1);
}

static void refuse(struct ww *w, char *addr, size_t len, unsigned flags, unsigned from, unsigned to)
{
	for (unsigned which = from; which <= to; which++) {
		bool changed;
		int result = call(w, which, addr, len, flags, &changed);

		note((struct range){0, 0}, which, result);
		if (result != -EINVAL || changed)
			fail("call %u of %p, %zx, flags %x: result %d", which, (void *)addr, len,
			     flags, result);
	}
}

void op_nonsense(void)
{
	unsigned how = take();
	uintptr_t top = ~(uintptr_t)0, addr = (uintptr_t)fz.base, len = 0;

	switch (how % 8) {
	case 0:
		break;
	case 1:
		len = top - take_word() % fz.page_size;
		break;
	case 2:
		len = top - addr + take() % 2;
		break;
	case 3:
		addr = top - take_word() % (2 * fz.page_size);
		len = fz.page_size;
		break;
	case 4:
		addr = (uintptr_t)INTPTR_MAX - take();
		len = fz.page_size;
		break;
	case 5:
		refuse(NULL, fz.base, fz.page_size, 0, 0, CALLS);
		return;
	case 6:
		refuse(fz.w, fz.base, fz.page_size, 4u << how / 8 % 30, 0, 3);
		refuse(fz.w, fz.base, fz.page_size, 2u << how / 8 % 31, 7, 7);
		return;
	default:
		addr = take_word();
		len = take_word();
		break;
	}
	if (!is_valid(addr, len))
		refuse(fz.w, (char *)addr, len, how / 8 % 4, 0, CALLS);
}

/* Around the arena, and where no program can have memory. */
void op_odd(void)
{
	static const int expected[] = {-ENOENT, -ENOENT, -ENOENT, -ENOENT, -ENOENT, -ENOENT,
				       -ENOENT, -EFAULT, -ENOENT, 0,       -ENOMEM};
	unsigned how = take(), which = how % (CALLS + 1);
	bool changed;
	char *addr = NULL;
	size_t len = fz.page_size;
	int result;

	if (how & 128)
		addr = (char *)((uintptr_t)INTPTR_MAX - fz.page_size + 1);
	else if (how & 64 && which < 3)
		/* A bitmap of that much would need more room. */
		len = which == 2 ? 128 * fz.page_size : (size_t)fz.base;
	result = call(fz.w, which, addr, len, which < 4 ? how >> 4 & 3 : 0, &changed);
	note((struct range){0, 0}, how, result);
	if (which == 3 && how >> 4 & WW_RESET) {
		if (result != -EINVAL || changed)
			fail("counted and reset: result %d", result);
		return;
	}
	if (result != expected[which] || changed)
		fail("call %u of %p, %zx: result %d", which, (void *)addr, len, result);
}
