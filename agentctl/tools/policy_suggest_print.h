/* What `agentctl policy suggest` prints. Texts of agents reach a terminal escaped only. */
#ifndef AGENTCTL_TOOLS_POLICY_SUGGEST_PRINT_H
#define AGENTCTL_TOOLS_POLICY_SUGGEST_PRINT_H

#include "agentctl/tools/policy_suggest.h"
#include "policy/diff.h"

struct suggest_report {
	const struct suggest_log *log;
	const struct suggestions *suggestions;
	const char *file; /* the policy's */
	struct suggest_read read;
	struct suggest_check check; /* of the whole log with the patch applied */
	const char *patch; /* NULL: there is none … */
	const char *no_patch; /* … for this reason */
	const struct policy_diff *diff; /* what the patch means */
};

/* Comments, the patch, what it means: `patch -p1` and `git apply` take it as it is. */
void suggest_print_text(const struct suggest_report *r);
int suggest_print_json(const struct suggest_report *r); /* -1: out of memory */

#endif
