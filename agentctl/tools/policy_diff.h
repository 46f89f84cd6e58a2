/* `agentctl policy diff`: what a change of policy means, for people and for machines. */
#ifndef AGENTCTL_TOOLS_POLICY_DIFF_H
#define AGENTCTL_TOOLS_POLICY_DIFF_H

#include "policy/diff.h"

/* Exit codes, as for a check in CI: 0 the same or only stricter, 1 it could not be compared (also wrong
 * usage), 4 a policy does not load, 5 its tests fail, and: */
#define DIFF_EXIT_WIDER   2 /* something is let through that was not */
#define DIFF_EXIT_PROMISE 3 /* and the old policy promised that it never would be */

/* What the certificate speaks of. */
#define DIFF_KINDS                                                                              \
	"programs, tool calls with path arguments in canonical form, files, connections, HTTP " \
	"requests, "                                                                            \
	"MCP calls, settings"

struct diff_view {
	const struct policy_diff *diff;
	const char *old_name, *new_name; /* as the user named them */
};

void diff_print_text(const struct diff_view *v);
void diff_print_markdown(const struct diff_view *v);
void diff_print_json(const struct diff_view *v);
void diff_print_sarif(const struct diff_view *v); /* SARIF 2.1.0 */

#endif
