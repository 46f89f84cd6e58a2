/* An example for a reader: an action out of a set that an automaton describes, short, readable, and
 * confirmed by a second opinion. */
#ifndef POLICY_WITNESS_H
#define POLICY_WITNESS_H

#include "policy/automata/dfa.h"
#include "policy/kinds/kind.h"

/* 1 when the action, as policy_parse_action takes it (`file r ws:/x`), is what is looked for. */
typedef int witness_confirm(void *ctx, const char *action);

/* Among the words of d with that mark. The caller frees it; NULL: none can be written down and
 * confirmed, or out of memory. */
char *witness_find(const struct dfa *d, uint8_t mark, const struct kind *k,
	const struct shape *shape, witness_confirm *confirm, void *ctx);

#endif
