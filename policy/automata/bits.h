/* How much an automaton lets through, as a number of bits: by counting words length by length. */
#ifndef POLICY_AUTOMATA_BITS_H
#define POLICY_AUTOMATA_BITS_H

#include "policy/automata/words.h"

/* log2 of 1 + the number of words of at most `longest` bytes (at most WORDS_LONGEST are looked at) whose
 * mark is in `want`; INFINITY when out of memory. */
#define WORDS_LONGEST 1024u
double words_bits(const struct dfa *d, const markset *want, size_t longest);

#endif
