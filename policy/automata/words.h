/* Words of an automaton: the cheapest one that ends in a given mark (what a reader is shown), and how
 * many there are. */
#ifndef POLICY_AUTOMATA_WORDS_H
#define POLICY_AUTOMATA_WORDS_H

#include "policy/automata/dfa.h"

#define WORDS_MANY UINT64_MAX

/* Marks of interest: a set of byte values. */
typedef struct byteset markset;

/* What a byte costs to read in a witness; higher is uglier. 0 is not allowed. */
typedef unsigned byte_cost(unsigned char byte);

/* The cheapest word whose mark is in `want`, into *out (malloc) and *n. With ties, the one with the
 * smaller bytes. 1 when there is one, 0 when there is none, -1 when out of memory. */
int words_cheapest(
	const struct dfa *d, const markset *want, byte_cost *cost, unsigned char **out, size_t *n);

/* The number of words whose mark is in `want`; WORDS_MANY when infinite or out of memory. */
uint64_t words_count(const struct dfa *d, const markset *want);

int words_any(const struct dfa *d, const markset *want); /* 1 when there is one */

#endif
