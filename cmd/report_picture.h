/* SPDX-License-Identifier: MIT */
#ifndef WRITEWATCH_REPORT_PICTURE_H
#define WRITEWATCH_REPORT_PICTURE_H

#include <stdbool.h>
#include <stdio.h>

/* A file that is there when it is whole: until then it is another, and what was there stays. */
struct picture {
	FILE *file;
	char *path;
	char *temporary; /* NULL: it is written to at once */
};

/* Both return 0 or a negative errno value; -EEXIST: it would replace the recording. */
int picture_open(struct picture *p, const char *path, FILE *recording);
/* Always to be called. */
int picture_close(struct picture *p, bool keep);

#endif
