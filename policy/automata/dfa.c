/* Using automata; see dfa.h. They are made in build.c, fields.c and product.c. */
#include <stdlib.h>
#include <string.h>

#include "policy/automata/rows.h"

void dfa_free(struct dfa *d)
{
	if (!d)
		return;
	free(d->to);
	free(d->mark);
	free(d);
}

int dfa_is_sink(const struct dfa *d, uint32_t state)
{
	for (unsigned c = 0; c < d->columns; c++) {
		if (d->to[(size_t)state * d->columns + c] != state)
			return 0;
	}
	return d->mark[state] == 0;
}

uint8_t dfa_run(const struct dfa *d, const void *p, size_t n)
{
	const unsigned char *byte = p;
	uint32_t state = 0;

	for (size_t i = 0; i < n && state < d->absorbing; i++)
		state = dfa_step(d, state, byte[i]);
	return d->mark[state];
}

int dfa_same(const struct dfa *x, const struct dfa *y)
{
	return x->states == y->states && x->columns == y->columns &&
	       memcmp(x->column, y->column, x->alphabet->classes) == 0 &&
	       memcmp(x->mark, y->mark, x->states) == 0 &&
	       memcmp(x->to, y->to, (size_t)x->states * x->columns * sizeof *x->to) == 0;
}
