/* Regular expressions over bytes, as the pattern compiler builds them: the step between a pattern
 * as written and its automaton. Nodes live in an arena and are immutable, so a part may be used in
 * several expressions. There is no parser here: what a person writes is never a regular expression.
 *
 * A function that gets NULL for a part gives NULL: out of memory is looked for once, at the end. */
#ifndef POLICY_AUTOMATA_REGEX_H
#define POLICY_AUTOMATA_REGEX_H

#include <stddef.h>
#include <stdint.h>

#include "policy/arena.h"

struct byteset {
	uint64_t w[4];
};

static inline void byteset_add(struct byteset *s, unsigned byte)
{
	s->w[byte >> 6 & 3] |= UINT64_C(1) << (byte & 63);
}

static inline int byteset_has(const struct byteset *s, unsigned byte)
{
	return (int)(s->w[byte >> 6 & 3] >> (byte & 63) & 1);
}

void byteset_range(struct byteset *s, unsigned lo, unsigned hi); /* both included */
struct byteset byteset_not(const struct byteset *s);

/* How NUL stands in the words of an expression, as far as its form shows it. */
#define RE_PLAIN  1u /* in none of them */
#define RE_FIELD  2u /* each ends with its only NUL */
#define RE_FIELDS 4u /* each is a sequence of such, also the empty one */

enum re_type { RE_EMPTY, RE_NONE, RE_SET, RE_TEXT, RE_CAT, RE_ALT, RE_STAR };

struct re {
	enum re_type type;
	size_t nodes; /* states that an NFA of it has, at most */
	unsigned fields; /* RE_PLAIN, … */
	uint32_t hash; /* the same for what is written the same way */
	union {
		struct byteset set;
		struct {
			const unsigned char *p;
			size_t n;
		} text;
		struct {
			const struct re *a, *b; /* RE_STAR: a only */
		} sub;
	} u;
};

const struct re *re_empty(struct arena *a); /* the empty word */
const struct re *re_none(struct arena *a); /* no word at all */
const struct re *re_set(struct arena *a, const struct byteset *s); /* one byte of a set */
const struct re *re_range(struct arena *a, unsigned lo, unsigned hi);
const struct re *re_text(struct arena *a, const void *p, size_t n); /* p is copied */
const struct re *re_cat(struct arena *a, const struct re *x, const struct re *y);
const struct re *re_alt(struct arena *a, const struct re *x, const struct re *y);
const struct re *re_star(struct arena *a, const struct re *x);
const struct re *re_opt(struct arena *a, const struct re *x);
const struct re *re_plus(struct arena *a, const struct re *x);

int re_same(const struct re *x, const struct re *y); /* 1: written the same way */

#endif
