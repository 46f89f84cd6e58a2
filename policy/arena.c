/* Block-wise memory; see arena.h. */
#include "policy/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_FIRST 960u /* with its head: what malloc has ready at once */
#define BLOCK_MAX   65536u
#define ALIGN       alignof(max_align_t)

struct arena_block {
	struct arena_block *next;
	size_t used, cap;
	alignas(max_align_t) unsigned char data[];
};

void arena_init(struct arena *a, size_t max)
{
	*a = (struct arena){.max = max};
}

void arena_free(struct arena *a)
{
	while (a->head) {
		struct arena_block *next = a->head->next;

		free(a->head);
		a->head = next;
	}
	a->used = 0;
}

static struct arena_block *block_new(struct arena *a, size_t n)
{
	size_t cap = a->used < BLOCK_FIRST ? BLOCK_FIRST : a->used; /* twice as much each time */
	struct arena_block *b;

	if (cap > BLOCK_MAX)
		cap = BLOCK_MAX;
	if (cap < n)
		cap = n;
	if (cap > a->max - a->used)
		cap = n;
	if (cap > a->max - a->used)
		return NULL;
	b = malloc(sizeof *b + cap);
	if (!b)
		return NULL;
	b->used = 0;
	b->cap = cap;
	b->next = a->head;
	a->head = b;
	a->used += cap;
	return b;
}

void *arena_alloc(struct arena *a, size_t n)
{
	struct arena_block *b = a->head;
	void *p;

	if (n > SIZE_MAX / 2)
		return NULL;
	n = (n + ALIGN - 1) / ALIGN * ALIGN;
	if (n == 0)
		n = ALIGN;
	if (!b || b->cap - b->used < n)
		b = block_new(a, n);
	if (!b)
		return NULL;
	p = b->data + b->used;
	b->used += n;
	return memset(p, 0, n);
}

void *arena_array(struct arena *a, size_t count, size_t size)
{
	if (size && count > SIZE_MAX / size)
		return NULL;
	return arena_alloc(a, count * size);
}

char *arena_copy(struct arena *a, const char *p, size_t n)
{
	char *c = arena_alloc(a, n + 1);

	if (c && n)
		memcpy(c, p, n);
	return c;
}
