/* Automata for being run; see table.h. */
#include "policy/automata/table.h"

#include <stdlib.h>
#include <string.h>

#define TILE 64u /* states whose rows are in the cache together */

void table_free(struct table *t)
{
	if (!t)
		return;
	free(t->to);
	free(t->mark);
	free(t);
}

static void fill(struct table *t, const struct dfa *d)
{
	for (uint32_t first = 0; first < d->states; first += TILE) {
		uint32_t end = d->states - first > TILE ? first + TILE : d->states;

		for (uint32_t c = 0; c < d->columns; c++) {
			for (uint32_t s = first; s < end; s++)
				t->to[(size_t)c * d->states + s] =
					d->to[(size_t)s * d->columns + c];
		}
	}
	memcpy(t->mark, d->mark, d->states);
	for (unsigned b = 0; b < 256; b++)
		t->column[b] = d->column[d->alphabet->of[b]] * d->states;
	t->absorbing = d->absorbing;
}

enum dfa_status table_new(const struct dfa *d, struct table **out)
{
	struct table *t = calloc(1, sizeof *t);

	*out = t;
	if (!t)
		return DFA_NO_MEMORY;
	t->to = calloc((size_t)d->states * d->columns, sizeof *t->to);
	t->mark = calloc(d->states, 1);
	if (!t->to || !t->mark) {
		table_free(t);
		*out = NULL;
		return DFA_NO_MEMORY;
	}
	fill(t, d);
	return DFA_OK;
}

uint8_t table_run(const struct table *t, const void *p, size_t n)
{
	const unsigned char *byte = p, *end = byte + n;
	const uint16_t *to = t->to;
	uint32_t state = 0;

	for (; end - byte >= 4 && state < t->absorbing; byte += 4) {
		state = to[t->column[byte[0]] + state];
		state = to[t->column[byte[1]] + state];
		state = to[t->column[byte[2]] + state];
		state = to[t->column[byte[3]] + state];
	}
	for (; byte < end && state < t->absorbing; byte++)
		state = to[t->column[*byte] + state];
	return t->mark[state];
}
