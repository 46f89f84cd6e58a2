/* Memory of one loaded policy, one document tree or one action: taken in pieces, given back at
 * once. Bounded, so that no document can make the process grow without end. Used inside policy/
 * only. */
#ifndef POLICY_ARENA_H
#define POLICY_ARENA_H

#include <stddef.h>

struct arena_block;

struct arena {
	struct arena_block *head;
	size_t used, max; /* bytes */
};

void arena_init(struct arena *a, size_t max);
void arena_free(struct arena *a);

/* n zeroed bytes, aligned for any type; NULL when out of memory or over max. */
void *arena_alloc(struct arena *a, size_t n);
/* count elements of size bytes each; NULL also when the product overflows. */
void *arena_array(struct arena *a, size_t count, size_t size);
/* A NUL-terminated copy. */
char *arena_copy(struct arena *a, const char *p, size_t n);

#endif
