/* `NAME {/pointer: value, …}`: how a call of a tool is written, in rules and in tests. Offsets point
 * into the text, so that an error can name its place. */
#ifndef POLICY_CALL_H
#define POLICY_CALL_H

#include "policy/internal.h"

struct call_arg {
	size_t pointer, pointer_len, value, value_len; /* offsets into the text */
};

struct call {
	size_t name, name_len;
	size_t args;
	struct call_arg arg[CONDITIONS_MAX];
};

/* Takes s[from..n) apart. 0, or -1 with *f. */
int call_split(const char *s, size_t n, size_t from, struct call *c, struct pattern_fault *f);

/* The conditions of a rule, their values read as patterns of a kind. *out lives in the arena and has
 * c->args elements. 0, or -1 with *f. */
int call_conditions(struct arena *a, enum pattern_kind kind, const char *s, const struct call *c,
	struct condition **out, struct pattern_fault *f);

#endif
