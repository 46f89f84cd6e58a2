/* Counting words; see bits.h. Apart from words.c, since it alone needs floating point. */
#include "policy/automata/bits.h"

#include <math.h>
#include <stdlib.h>

/* One byte further: ways[state] of them lead to a state. */
static void step_all(
	const struct dfa *d, const unsigned *size, const long double *ways, long double *further)
{
	unsigned k = d->alphabet->classes;

	for (uint32_t s = 0; s < d->states; s++)
		further[s] = 0;
	for (uint32_t s = 0; s < d->states; s++) {
		for (unsigned i = 0; ways[s] > 0 && i < k; i++)
			further[d->to[(size_t)s * d->columns + d->column[i]]] += ways[s] * size[i];
	}
}

/* 256^1024 is within what a long double holds. */
double words_bits(const struct dfa *d, const markset *want, size_t longest)
{
	long double *ways = calloc(d->states, sizeof *ways), *further, total = 0;
	unsigned size[256] = {0};

	further = calloc(d->states, sizeof *further);
	for (unsigned b = 0; b < 256; b++)
		size[d->alphabet->of[b]]++;
	if (longest > WORDS_LONGEST)
		longest = WORDS_LONGEST;
	for (size_t n = 0; ways && further && n <= longest; n++) {
		long double *swap = ways;

		if (n == 0) {
			ways[0] = 1;
		} else {
			step_all(d, size, ways, further);
			ways = further;
			further = swap;
		}
		for (uint32_t s = 0; s < d->states; s++)
			total += byteset_has(want, d->mark[s]) ? ways[s] : 0;
	}
	if (!ways || !further)
		total = INFINITY;
	free(ways);
	free(further);
	return (double)log2l(1 + total);
}
