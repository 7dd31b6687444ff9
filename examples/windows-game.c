/* SPDX-License-Identifier: MIT */

/*
 * A game that can step back in time, written for Windows. It compiles unchanged on Linux when a
 * windows.h that includes <writewatch/winapi.h> is on the include path: see windows/windows.h.
 *
 * After each frame GetWriteWatch() tells which pages of the world the frame wrote. Only these are
 * copied, so a frame of history costs what the frame changed and not what the world is big.
 * Stepping back writes the older copies over them.
 */

#include <windows.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORLD_PAGES 2048
#define FRAMES 60
#define WRITES_A_FRAME 40

struct frame {
	size_t count;
	size_t *page; /* which pages the frame wrote */
	BYTE *before; /* what was in them before */
};

static DWORD page_size;
static BYTE *world;  /* what the game plays in */
static BYTE *mirror; /* the world as it was after the last frame that was recorded */
static struct frame history[FRAMES];

static void fail(const char *what)
{
	printf("%s failed, error %u\n", what, (unsigned)GetLastError());
	exit(1);
}

static void *allocate(size_t size)
{
	void *memory = malloc(size);

	if (memory == NULL)
		fail("malloc");
	return memory;
}

static void play(unsigned frame)
{
	for (unsigned i = 0; i < WRITES_A_FRAME; i++) {
		const size_t page = (frame * 7919u + i * i * 31u) % WORLD_PAGES;

		world[page * page_size + i] += (BYTE)(frame + 1);
	}
}

static void record(struct frame *f)
{
	static PVOID written[WORLD_PAGES];
	ULONG_PTR count = WORLD_PAGES;
	DWORD granularity;

	if (GetWriteWatch(WRITE_WATCH_FLAG_RESET, world, (SIZE_T)WORLD_PAGES * page_size, written,
			  &count, &granularity) != 0)
		fail("GetWriteWatch");
	f->count = count;
	f->page = allocate((count + 1) * sizeof(*f->page));
	f->before = allocate((count + 1) * granularity);
	for (size_t i = 0; i < count; i++) {
		const size_t offset = (size_t)((BYTE *)written[i] - world);

		f->page[i] = offset / granularity;
		memcpy(f->before + i * granularity, mirror + offset, granularity);
		memcpy(mirror + offset, world + offset, granularity);
	}
}

static void step_back(struct frame *f)
{
	for (size_t i = 0; i < f->count; i++) {
		const size_t offset = f->page[i] * page_size;

		memcpy(world + offset, f->before + i * page_size, page_size);
		memcpy(mirror + offset, f->before + i * page_size, page_size);
	}
	free(f->page);
	free(f->before);
	if (ResetWriteWatch(world, (SIZE_T)WORLD_PAGES * page_size) != 0)
		fail("ResetWriteWatch");
}

int main(void)
{
	const unsigned checkpoint = FRAMES / 2;
	size_t recorded = 0, size;
	SYSTEM_INFO system;
	BYTE *expected;
	int wrong;

	GetSystemInfo(&system);
	page_size = system.dwPageSize;
	size = (size_t)WORLD_PAGES * page_size;
	world = VirtualAlloc(NULL, size, MEM_RESERVE | MEM_COMMIT | MEM_WRITE_WATCH,
			     PAGE_READWRITE);
	if (world == NULL)
		fail("VirtualAlloc");
	mirror = calloc(1, size);
	expected = allocate(size);
	if (mirror == NULL)
		fail("calloc");

	for (unsigned frame = 0; frame < FRAMES; frame++) {
		if (frame == checkpoint)
			memcpy(expected, world, size);
		play(frame);
		record(&history[frame]);
		recorded += history[frame].count;
		if (memcmp(mirror, world, size) != 0) {
			printf("frame %u: a written page was not reported\n", frame);
			return 1;
		}
	}
	printf("%d frames in a world of %d pages: %zu pages recorded\n", FRAMES, WORLD_PAGES,
	       recorded);

	for (unsigned frame = FRAMES; frame-- > checkpoint;)
		step_back(&history[frame]);
	wrong = memcmp(world, expected, size) != 0;
	printf("%u frames back: the world is %s\n", FRAMES - checkpoint,
	       wrong ? "NOT as it was" : "as it was");

	for (unsigned frame = 0; frame < checkpoint; frame++) {
		free(history[frame].page);
		free(history[frame].before);
	}
	free(expected);
	free(mirror);
	VirtualFree(world, 0, MEM_RELEASE);
	return wrong;
}
