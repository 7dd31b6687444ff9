/* SPDX-License-Identifier: MIT */
#include "tracker.h"

#include <string.h>

/* Goes through a list along with ascending mappings. */
struct place {
	const struct mappings *list;
	size_t at;
};

/* Was one of that name where m is now? Protecting it does not unwrite its pages. */
static bool was_listed(struct place *p, const struct named_mapping *m)
{
	const struct mappings *list = p->list;

	while (p->at < list->count && list->list[p->at].end <= m->start)
		p->at++;
	for (size_t i = p->at; i < list->count && list->list[i].start < m->end; i++) {
		if (strcmp(list->list[i].name, m->name) == 0)
			return true;
	}
	return false;
}

int tracker_choose(struct mappings *to, const struct mappings *all, const struct mappings *before,
		   const struct tracker_range *written, size_t count)
{
	struct place place = {.list = before};
	size_t at = 0;
	int r = 0;

	mappings_clear(to);
	for (size_t i = 0; i < all->count && r == 0; i++) {
		const struct named_mapping *m = &all->list[i];
		bool listed = was_listed(&place, m);

		while (at < count && written[at].end <= m->start)
			at++;
		if (m->permissions & MAPPING_WRITE || listed ||
		    (at < count && written[at].start < m->end))
			r = mappings_add(to, m);
	}
	mappings_finish(to);
	return r;
}
