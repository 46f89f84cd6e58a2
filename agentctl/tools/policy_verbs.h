/* The verbs of `agentctl policy` that have files of their own. argv begins behind the verb's name;
 * each returns the exit code. */
#ifndef AGENTCTL_TOOLS_POLICY_VERBS_H
#define AGENTCTL_TOOLS_POLICY_VERBS_H

int policy_diff_verb(int argc, char **argv);
int policy_lint_verb(int argc, char **argv);
int policy_suggest_verb(int argc, char **argv); /* policy_suggest.c */

struct policy;
struct decision;
/* `policy explain 'shell TEXT'`; line is that text, shell included. */
int policy_explain_shell(const struct policy *p, const char *line);
/* One line: a label, then what was decided and by what. */
void policy_explain_decision(const char *label, const struct decision *d);

#endif
