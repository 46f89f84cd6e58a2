/* Which ideas may be proposed: each becomes an automaton and is held against everything that must stay
 * out of it. One judge a kind of action, for all ideas of that kind at once. */
#ifndef POLICY_SUGGEST_JUDGE_H
#define POLICY_SUGGEST_JUDGE_H

#include "policy/compile.h"
#include "policy/suggest/ideas.h"

struct judge;

/* Sets fits, also and cost of o's ideas of kind k. An idea fits when it covers what it was made
 * from, and nothing that a deny rule, the atlas, or a person (refused) speaks against: exactly, for
 * all actions. DFA_OK and a new *out, to be kept as long as judge_covers is asked; or why not. */
enum dfa_status judge_open(const struct policy *p, struct ideas *o, const struct kind *k,
	const struct action *const *refused, size_t n, struct judge **out);
void judge_close(struct judge *j);

/* 1 when idea i of o (which fits) would allow the action. */
int judge_covers(const struct judge *j, size_t i, const struct action *a);
/* An action that it would allow and that was not seen; the caller frees it. NULL: none can be shown. */
char *judge_example(struct judge *j, size_t i);

#endif
