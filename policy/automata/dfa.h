/* Deterministic automata whose states carry a mark: what the rules of a policy become. A word's mark
 * is that of the state it ends in; what marks mean (a decision, a pair of decisions, "matches") is
 * the caller's. All automata that are combined share one alphabet.
 *
 * What comes out of dfa_build and dfa_product is minimal: two automata of one alphabet are equal
 * exactly when they give the same mark to every word (dfa_same). */
#ifndef POLICY_AUTOMATA_DFA_H
#define POLICY_AUTOMATA_DFA_H

#include "policy/automata/regex.h"

#define DFA_STATES_MAX 65535u

/* Bytes that no expression tells apart are one class. */
struct alphabet {
	uint64_t *work; /* steps that constructions may still take, NULL: any number. With none left
			   they end with DFA_TOO_LARGE. A step is about a nanosecond */
	struct choices *choices; /* what dfa_build keeps from one expression to the next (choice.h).
				    NULL: nothing; otherwise all expressions live as long */
	unsigned classes;
	unsigned char of[256]; /* class of a byte */
};

void alphabet_init(struct alphabet *a);
/* Makes a distinguish what r distinguishes. */
void alphabet_add(struct alphabet *a, const struct re *r);
/* The bytes of a class. */
struct byteset alphabet_bytes(const struct alphabet *a, unsigned class);

enum dfa_status {
	DFA_OK = 0,
	DFA_NO_MEMORY = -1,
	DFA_TOO_LARGE = -2, /* more than DFA_STATES_MAX states, or the way there takes too much */
};

struct dfa {
	const struct alphabet *alphabet; /* the caller keeps it as long as the automaton */
	uint32_t states; /* the start is state 0 */
	uint32_t
		absorbing; /* the states from here on are never left: nothing more needs to be read */
	unsigned columns; /* classes that lead to the same states from everywhere share one */
	uint8_t column[256]; /* [class]; numbered as they first occur */
	uint16_t *to; /* [state * columns + column] */
	uint8_t *mark; /* [state] */
};

void dfa_free(struct dfa *d); /* and NULL */

/* Words of r get `mark`, all others 0. */
enum dfa_status dfa_build(
	const struct alphabet *a, const struct re *r, uint8_t mark, struct dfa **out);

/* The mark of every word is op(mark in x, mark in y). op is pure; ctx is handed on. */
typedef uint8_t dfa_op(void *ctx, uint8_t x, uint8_t y);
enum dfa_status dfa_product(
	const struct dfa *x, const struct dfa *y, dfa_op *op, void *ctx, struct dfa **out);

/* Some of the usual operations. */
dfa_op dfa_max, dfa_and, dfa_but_not; /* x when y has no mark, else 0 */
dfa_op dfa_keep; /* x when y has a mark, else 0 */

/* Combines all of d[0..n) (n > 0) by op, which is associative and commutative, two at a time along a
 * balanced tree. d is left as it is. With DFA_TOO_LARGE, *left and *right are ranges [first, end) of
 * d whose combination was too much. */
struct dfa_range {
	size_t first, end;
};
enum dfa_status dfa_merge(struct dfa *const *d, size_t n, dfa_op *op, void *ctx, struct dfa **out,
	struct dfa_range *left, struct dfa_range *right);

/* Changes each mark m to map[m] and makes the automaton minimal again. */
enum dfa_status dfa_map(const struct dfa *d, const uint8_t map[256], struct dfa **out);

static inline uint32_t dfa_next(const struct dfa *d, uint32_t state, unsigned class)
{
	return d->to[(size_t)state * d->columns + d->column[class]];
}

static inline uint32_t dfa_step(const struct dfa *d, uint32_t state, unsigned char byte)
{
	return dfa_next(d, state, d->alphabet->of[byte]);
}

uint8_t dfa_run(const struct dfa *d, const void *p, size_t n);
int dfa_same(const struct dfa *x, const struct dfa *y); /* 1: the same mark for every word */

#endif
