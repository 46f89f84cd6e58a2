/* Tables under construction; see rows.h. */
#include "policy/automata/rows.h"

#include <stdlib.h>
#include <string.h>

#define SETS_BYTES_MAX ((size_t)64 << 20) /* what the sets of one construction may take */

/* ---- columns ---- */

void columns_one(struct columns *c, const struct alphabet *a)
{
	memset(c->of, 0, a->classes);
	c->class[0] = 0;
	c->n = 1;
}

int columns_refine(struct columns *c, const struct alphabet *a, const uint8_t *key, unsigned keys)
{
	uint16_t *met = calloc((size_t)c->n * keys, sizeof *met); /* column + 1 */
	unsigned n = 0;

	if (!met)
		return -1;
	for (unsigned i = 0; i < a->classes; i++) {
		uint16_t *m = &met[(size_t)c->of[i] * keys + key[i]];

		if (!*m) {
			c->class[n] = (uint8_t)i;
			*m = (uint16_t)++n;
		}
		c->of[i] = (uint8_t)(*m - 1);
	}
	c->n = n;
	free(met);
	return 0;
}

/* ---- rows ---- */

void rows_free(struct rows *r)
{
	free(r->next);
	free(r->mark);
}

int rows_add(struct rows *r, uint8_t mark)
{
	if (r->states == r->cap) {
		uint32_t cap = r->cap ? r->cap * 2 : 64;
		uint32_t *next = reallocarray(r->next, cap, r->columns->n * sizeof *next);
		uint8_t *marks;

		if (!next)
			return -1;
		r->next = next;
		marks = realloc(r->mark, cap);
		if (!marks)
			return -1;
		r->mark = marks;
		r->cap = cap;
	}
	r->mark[r->states++] = mark;
	return 0;
}

/* ---- numbers ---- */

int seen_room(struct seen *t, const uint64_t *hash)
{
	uint32_t size = t->slot ? (t->mask + 1) * 2 : 64;
	uint32_t *slot;

	if (t->slot && t->used * 2 <= t->mask)
		return 0;
	slot = calloc(size, sizeof *slot);
	if (!slot)
		return -1;
	for (uint32_t i = 0; i < t->used; i++) {
		uint32_t at = (uint32_t)hash[i] & (size - 1);

		while (slot[at])
			at = (at + 1) & (size - 1);
		slot[at] = i + 1;
	}
	free(t->slot);
	t->slot = slot;
	t->mask = size - 1;
	return 0;
}

/* ---- sets ---- */

void bitsets_free(struct bitsets *b)
{
	free(b->set);
	free(b->hash);
	free(b->seen.slot);
}

static enum dfa_status bitsets_room(struct bitsets *b)
{
	uint32_t cap = b->cap ? b->cap * 2 : 64;
	uint64_t *p;

	if (b->n < b->cap)
		return DFA_OK;
	if (cap * b->words * sizeof *b->set > SETS_BYTES_MAX)
		return DFA_TOO_LARGE;
	p = reallocarray(b->set, cap, b->words * sizeof *p);
	if (!p)
		return DFA_NO_MEMORY;
	b->set = p;
	p = reallocarray(b->hash, cap, sizeof *p);
	if (!p)
		return DFA_NO_MEMORY;
	b->hash = p;
	b->cap = cap;
	return DFA_OK;
}

enum dfa_status bitsets_number(struct bitsets *b, const uint64_t *set, uint64_t hash, uint32_t *out)
{
	enum dfa_status status;
	uint32_t at;

	if (seen_room(&b->seen, b->hash))
		return DFA_NO_MEMORY;
	for (at = (uint32_t)hash & b->seen.mask; b->seen.slot[at]; at = (at + 1) & b->seen.mask) {
		*out = b->seen.slot[at] - 1;
		if (b->hash[*out] == hash &&
			memcmp(bitsets_at(b, *out), set, b->words * sizeof *set) == 0)
			return DFA_OK;
	}
	status = bitsets_room(b);
	if (status)
		return status;
	*out = b->n++;
	memcpy(b->set + *out * b->words, set, b->words * sizeof *set);
	b->hash[*out] = hash;
	b->seen.slot[at] = *out + 1;
	b->seen.used++;
	return DFA_OK;
}
