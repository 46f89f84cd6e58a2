/* What is odd about a policy though it loads: rules that do nothing, rules that let danger through.
 * Exact, by automata, where not said otherwise; each finding says what to write instead. The numbers
 * are those of specs/policy.md 5.4. */
#ifndef POLICY_LINT_H
#define POLICY_LINT_H

#include "policy/policy.h"

enum lint_level { LINT_INFO, LINT_WARNING, LINT_ERROR };

struct lint_finding {
	const char *code; /* "L1" */
	enum lint_level level;
	const char *file; /* lives as long as the policy */
	unsigned line;
	char *text; /* "what. Cure." */
};

struct policy_lint {
	size_t findings;
	struct lint_finding *finding; /* by file, line, code */
};

/* Looks at the rules of all layers but the built-in one. 0 and a new *out, freed by
 * policy_lint_free; or -1 with *e. */
int policy_lint(const struct policy *p, struct policy_lint **out, struct error *e);
void policy_lint_free(struct policy_lint *l);

#endif
