/* SPDX-License-Identifier: MIT */
#include "mappings.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Makes room for more; returns the array, which may have moved, or NULL. */
static void *grow(void *array, size_t *room, size_t needed, size_t size)
{
	void *larger;

	if (needed <= *room)
		return array;
	larger = realloc(array, needed * 2 * size);
	if (larger)
		*room = needed * 2;
	return larger;
}

/* Until all are there, a name is its place among the names: these may move. */
void mappings_finish(struct mappings *m)
{
	for (size_t i = 0; i < m->count; i++)
		m->list[i].name = m->names + (uintptr_t)m->list[i].name;
}

void mappings_clear(struct mappings *m)
{
	m->count = 0;
	m->names_count = 0;
}

static int add_name(struct mappings *m, const char *name)
{
	size_t length = strlen(name) + 1;
	char *names = grow(m->names, &m->names_room, m->names_count + length, 1);

	if (!names)
		return -ENOMEM;
	m->names = names;
	memcpy(names + m->names_count, name, length);
	m->names_count += length;
	return 0;
}

static int append(struct mappings *m, const struct named_mapping *mapping)
{
	struct named_mapping *list = grow(m->list, &m->room, m->count + 1, sizeof(*list));

	if (!list)
		return -ENOMEM;
	m->list = list;
	list[m->count] = *mapping;
	list[m->count++].name = (const char *)(uintptr_t)m->names_count;
	return add_name(m, mapping->name);
}

int mappings_add(struct mappings *m, const struct named_mapping *mapping)
{
	struct named_mapping *last = m->count ? &m->list[m->count - 1] : NULL;

	/* A range that is watched and one that is not yet are two mappings of the kernel. */
	if (last && last->end == mapping->start && last->permissions == mapping->permissions &&
	    strcmp(m->names + (uintptr_t)last->name, mapping->name) == 0) {
		last->end = mapping->end;
		return 0;
	}
	return append(m, mapping);
}

static bool parse(char *line, struct named_mapping *out)
{
	char permissions[5];
	int name = 0;

	line[strcspn(line, "\n")] = '\0';
	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %*s %*s %*s %n", &out->start, &out->end,
		   permissions, &name) < 3 ||
	    strlen(permissions) != 4 || !name)
		return false;
	out->permissions = (permissions[0] == 'r' ? MAPPING_READ : 0) |
			   (permissions[1] == 'w' ? MAPPING_WRITE : 0) |
			   (permissions[2] == 'x' ? MAPPING_EXECUTE : 0) |
			   (permissions[3] == 's' ? MAPPING_SHARED : 0);
	out->name = line + name;
	return true;
}

/*
 * Between two reads of the file neighbours may have become one, which then begins before what came
 * last. Whether anything is left of it.
 */
static bool cut(struct named_mapping *mapping, const struct mappings *m)
{
	uint64_t last = m->count ? m->list[m->count - 1].end : 0;

	if (mapping->start < last)
		mapping->start = last;
	return mapping->start < mapping->end;
}

int mappings_read(struct mappings *m, FILE *maps)
{
	struct named_mapping mapping;
	char *line = NULL;
	size_t size = 0;
	int r = 0;

	mappings_clear(m);
	errno = 0;
	while (r == 0 && getline(&line, &size, maps) > 0) {
		if (!parse(line, &mapping))
			r = -EIO;
		else if (cut(&mapping, m))
			r = append(m, &mapping);
	}
	if (r == 0 && ferror(maps))
		r = errno ? -errno : -EIO;
	free(line);
	mappings_finish(m);
	return r;
}

int mappings_copy(struct mappings *to, const struct mappings *from)
{
	int r = 0;

	mappings_clear(to);
	for (size_t i = 0; i < from->count && r == 0; i++)
		r = append(to, &from->list[i]);
	mappings_finish(to);
	return r;
}

void mappings_free(struct mappings *m)
{
	free(m->list);
	free(m->names);
	*m = (struct mappings){0};
}

bool mappings_equal(const struct mappings *a, const struct mappings *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		const struct named_mapping *x = &a->list[i], *y = &b->list[i];

		if (x->start != y->start || x->end != y->end || x->permissions != y->permissions ||
		    strcmp(x->name, y->name) != 0)
			return false;
	}
	return true;
}
