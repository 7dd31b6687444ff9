/* SPDX-License-Identifier: MIT */
#include "report_picture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* As open(2) would make it; the mask can only be asked for by setting it. */
static mode_t new_mode(void)
{
	mode_t mask = umask(0);

	umask(mask);
	return 0666 & ~mask;
}

/* Next to the file, of the same mode; what it is a link to is what is replaced. */
static int open_beside(struct picture *p, const struct stat *about, const char *path)
{
	char *real = about ? realpath(path, NULL) : strdup(path);
	int fd;

	if (!real)
		return -errno;
	if (asprintf(&p->temporary, "%s.XXXXXX", real) < 0) {
		p->temporary = NULL;
		free(real);
		return -ENOMEM;
	}
	p->path = real;
	fd = mkostemp(p->temporary, O_CLOEXEC);
	if (fd < 0) {
		int error = errno;

		free(p->temporary);
		p->temporary = NULL;
		return -error;
	}
	fchmod(fd, about ? about->st_mode & 0777 : new_mode());
	p->file = fdopen(fd, "w");
	if (p->file)
		return 0;
	close(fd);
	return -ENOMEM;
}

int picture_open(struct picture *p, const char *path, FILE *recording)
{
	struct stat about, other;
	bool exists = stat(path, &about) == 0;

	*p = (struct picture){0};
	if (exists && fstat(fileno(recording), &other) == 0 && about.st_dev == other.st_dev &&
	    about.st_ino == other.st_ino)
		return -EEXIST;
	/* A pipe or a device has no earlier content, and nothing can take its place. */
	if (exists && !S_ISREG(about.st_mode)) {
		p->file = fopen(path, "we");
		return p->file ? 0 : -errno;
	}
	if (exists && access(path, W_OK) < 0)
		return -errno;
	return open_beside(p, exists ? &about : NULL, path);
}

int picture_close(struct picture *p, bool keep)
{
	int error = 0;

	if (p->file) {
		error = ferror(p->file) ? -EIO : 0;
		if (fflush(p->file) != 0)
			error = -errno;
		if (fclose(p->file) != 0 && !error)
			error = -errno;
	}
	if (p->temporary && keep && !error && rename(p->temporary, p->path) < 0)
		error = -errno;
	if (p->temporary && (!keep || error))
		unlink(p->temporary);
	free(p->temporary);
	free(p->path);
	*p = (struct picture){0};
	return error;
}
