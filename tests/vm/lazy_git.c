/* SPDX-License-Identifier: MIT */
#include <dlfcn.h>
#include <stddef.h>

/*
 * Stands in for libgit2 in virtual machines. Criterion calls it to show where two strings differ,
 * but initialises it, with all of its cryptography, whenever a test starts, which takes most of the
 * time on an emulated processor. Here it is not loaded before there is a difference to show.
 */

#define REAL_LIBRARY "libgit2-real.so"

typedef int init_fn(void);
typedef int diff_fn(const void *old, size_t old_len, const char *old_path, const void *new,
		    size_t new_len, const char *new_path, const void *options, void *file_cb,
		    void *binary_cb, void *hunk_cb, void *line_cb, void *payload);

init_fn git_libgit2_init, git_libgit2_shutdown;
diff_fn git_diff_buffers;

int git_libgit2_init(void)
{
	return 1;
}

int git_libgit2_shutdown(void)
{
	return 0;
}

int git_diff_buffers(const void *old, size_t old_len, const char *old_path, const void *new,
		     size_t new_len, const char *new_path, const void *options, void *file_cb,
		     void *binary_cb, void *hunk_cb, void *line_cb, void *payload)
{
	void *library = dlopen(REAL_LIBRARY, RTLD_NOW | RTLD_LOCAL);
	init_fn *init = NULL;
	diff_fn *diff = NULL;

	if (library) {
		*(void **)&init = dlsym(library, "git_libgit2_init");
		*(void **)&diff = dlsym(library, "git_diff_buffers");
	}
	if (!init || !diff || init() < 0)
		return -1;
	return diff(old, old_len, old_path, new, new_len, new_path, options, file_cb, binary_cb,
		    hunk_cb, line_cb, payload);
}
