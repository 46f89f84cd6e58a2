/* A part of diff.c: what stands beside the words that a rule is about. */
#ifndef POLICY_DIFFMARKS_H
#define POLICY_DIFFMARKS_H

#include "policy/diff.h"
#include "policy/internal.h"

/* Notes that a setting changed: fmt gives what it was, a tab, and what it is. wider: 1, 0, -1
 * (stricter). 0, or -1: out of memory. */
__attribute__((format(printf, 4, 5))) int diff_setting(
	struct policy_diff *d, int wider, const char *what, const char *fmt, ...);

/* Two rules that match the same, with the same effect. */
int diff_same_match(const struct rule *x, const struct rule *y);

/* `until`, `proto` and `pinned` of rules that both policies have, and `best-effort` of sections.
 * 0, or -1: out of memory. */
int diff_marks(struct policy_diff *d, const struct policy *old, const struct policy *new);

#endif
