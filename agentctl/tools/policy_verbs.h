/* The verbs of `agentctl policy` that have files of their own. argv begins behind the verb's name;
 * each returns the exit code. */
#ifndef AGENTCTL_TOOLS_POLICY_VERBS_H
#define AGENTCTL_TOOLS_POLICY_VERBS_H

int policy_diff_verb(int argc, char **argv);
int policy_lint_verb(int argc, char **argv);
int policy_suggest_verb(int argc, char **argv); /* policy_suggest.c */

#endif
