/* Words of an automaton: the cheapest one that ends in a given mark (what a reader is shown), how
 * many there are, and a list of them when they are few. */
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

/* Calls each for up to max words whose mark is in `want`, in byte order, shortest paths not first.
 * Only for automata with finitely many such words. each returns 0 to go on. */
typedef int words_each(void *ctx, const unsigned char *word, size_t n);
int words_list(const struct dfa *d, const markset *want, size_t max, words_each *each, void *ctx);

int words_any(const struct dfa *d, const markset *want); /* 1 when there is one */

#endif
