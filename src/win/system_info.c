/* SPDX-License-Identifier: MIT */
#include "win.h"

#include <unistd.h>

#define ARCHITECTURE_INTEL 0
#define ARCHITECTURE_ARM 5
#define ARCHITECTURE_AMD64 9
#define ARCHITECTURE_ARM64 12
#define ARCHITECTURE_UNKNOWN 0xffff

#if defined(__x86_64__)
#define ARCHITECTURE ARCHITECTURE_AMD64
#elif defined(__i386__)
#define ARCHITECTURE ARCHITECTURE_INTEL
#elif defined(__aarch64__)
#define ARCHITECTURE ARCHITECTURE_ARM64
#elif defined(__arm__)
#define ARCHITECTURE ARCHITECTURE_ARM
#else
#define ARCHITECTURE ARCHITECTURE_UNKNOWN
#endif

void ww_win_get_system_info(struct ww_win_system_info *info)
{
	const unsigned bits = 8 * sizeof(info->dwActiveProcessorMask);
	long processors = sysconf(_SC_NPROCESSORS_ONLN);

	if (info == NULL)
		return;
	if (processors < 1)
		processors = 1;
	*info = (struct ww_win_system_info){
		.wProcessorArchitecture = ARCHITECTURE,
		.dwPageSize = (uint32_t)win_page_size(),
		.lpMinimumApplicationAddress = (void *)WIN_GRANULARITY,
		.lpMaximumApplicationAddress = (void *)(WIN_USER_END - 1),
		.dwActiveProcessorMask =
			processors < (long)bits ? ((uintptr_t)1 << processors) - 1 : UINTPTR_MAX,
		.dwNumberOfProcessors = (uint32_t)processors,
		.dwAllocationGranularity = WIN_GRANULARITY,
	};
}
