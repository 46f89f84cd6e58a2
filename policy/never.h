/* Tests that promise something about all actions: `never allow atlas NAME…`. Proved with automata,
 * not tried out. */
#ifndef POLICY_NEVER_H
#define POLICY_NEVER_H

#include "policy/internal.h"

/* 1 when s[0..n) is such a test; never_parse reads it into out->atlas. 0, or -1 with *f. */
int never_is(const char *s, size_t n);
int never_parse(const char *s, size_t n, struct test *out, struct pattern_fault *f);

struct never { /* what a proof found */
	int broken; /* 1: something that must never be allowed is, or that could not be excluded */
	const char *name; /* of the atlas */
	char *example; /* an action that the stack allows; free it. NULL: none could be written down */
	struct decision by; /* who allows it */
	const char *section; /* whose rules are too many to prove anything; NULL: they are not */
};

/* What a stack of p does with all actions that t names. 0, or -1: out of memory. *out is to be freed
 * (its example) also then. */
int never_prove(
	const struct policy *p, const struct stack *s, const struct test *t, struct never *out);
/* The same for actions of one kind. */
int never_prove_kind(const struct policy *p, const struct stack *s, const struct test *t,
	const struct kind *k, struct never *out);

#endif
