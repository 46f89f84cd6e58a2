/* What the constructions of automata share: a table under construction, its minimisation, and sets of
 * bits that get a number each. For policy/automata alone. */
#ifndef POLICY_AUTOMATA_ROWS_H
#define POLICY_AUTOMATA_ROWS_H

#include "policy/automata/dfa.h"

/* Takes steps off the alphabet's budget. 0, or -1: it is used up. */
int alphabet_spend(const struct alphabet *a, uint64_t steps);

static inline uint64_t hash_mix(uint64_t h)
{
	h ^= h >> 32;
	h *= UINT64_C(0x9e3779b97f4a7c15);
	return h ^ h >> 29;
}

/* ---- columns: which classes a table tells apart ---- */

struct columns {
	unsigned n;
	uint8_t of[256]; /* [class]; numbered as they first occur */
	uint8_t class[256]; /* [column]: the first class of it */
};

void columns_one(struct columns *c, const struct alphabet *a); /* tells none apart */
/* Tells apart also what key does: key[class], each below `keys`. -1: out of memory. */
int columns_refine(struct columns *c, const struct alphabet *a, const uint8_t *key, unsigned keys);

/* ---- rows that grow; more than 65535 of them may be needed before minimisation ---- */

struct rows {
	const struct alphabet *alphabet;
	const struct columns *columns; /* set, and final, before the first row */
	uint32_t states, cap;
	uint32_t *next; /* [state * columns->n + column] */
	uint8_t *mark;
};

void rows_free(struct rows *r);
int rows_add(struct rows *r, uint8_t mark); /* -1: out of memory */

/* The smallest automaton with the same marks. The start is state 0. */
enum dfa_status rows_minimise(const struct rows *r, struct dfa **out);

/* 1 when the state and all that follows it have no mark. */
int dfa_is_sink(const struct dfa *d, uint32_t state);

/* fields.c: as dfa_build, for expressions that are RE_FIELDS. *unfit: DFA_TOO_LARGE for this
 * construction, not for others. */
enum dfa_status fields_build(
	const struct alphabet *a, const struct re *r, uint8_t mark, struct dfa **out, int *unfit);

/* ---- a hash table of numbers ---- */

struct seen {
	uint32_t *slot; /* number + 1; 0: free */
	uint32_t mask, used;
};

/* Room for one more; hash[i] is that of number i. -1: out of memory. */
int seen_room(struct seen *t, const uint64_t *hash);

/* ---- sets of bits, each kept once ---- */

struct bitsets {
	size_t words; /* of a set */
	uint32_t n, cap;
	uint64_t *set; /* [number * words] */
	uint64_t *hash;
	struct seen seen;
};

void bitsets_free(struct bitsets *b);
/* The number of a set, a new one (b->n grew) if it was not met before. hash is a function of it. */
enum dfa_status bitsets_number(
	struct bitsets *b, const uint64_t *set, uint64_t hash, uint32_t *out);

static inline const uint64_t *bitsets_at(const struct bitsets *b, uint32_t i)
{
	return b->set + i * b->words;
}

/* What a set's hash is made of: the sum over its members. */
static inline uint64_t bit_hash(size_t i)
{
	return hash_mix((i + 1) * UINT64_C(0xd6e8feb86659fd93));
}

#endif
