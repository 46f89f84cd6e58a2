/* agentctl-tools: the verbs of agentctl that need JSON, YAML or cryptography. agentctl (static, small)
 * execs `agentctl-tools VERB ARGS…` for them. main.c strips `--root DIR` (it becomes AGENTD_ROOT, so a
 * verb calls paths_init(&p, NULL, &e)) and calls the verb's function with argv[0] = the verb; --help
 * anywhere before "--" comes to it as argv[1] alone.
 *
 * A verb prints its result on stdout, one-line errors with the cure on stderr (tool_fail) and returns
 * its exit code. It never prints text from an agent without escape_text (common/escape.h). */
#ifndef AGENTCTL_TOOLS_H
#define AGENTCTL_TOOLS_H

#include "common/error.h"

enum tool_exit {
	TOOL_OK = 0,
	TOOL_FAILED = 1, /* it was tried and did not work, or the answer is no */
	TOOL_USAGE = 2, /* unknown option, missing argument: nothing was tried */
	TOOL_DAEMON = 125, /* agentd itself failed, or is not running */
};

int tool_approvals(int argc, char **argv); /* approvals.c */
int tool_approve(int argc, char **argv);
int tool_deny(int argc, char **argv);
int tool_audit(int argc, char **argv); /* audit.c: audit verify|tail|show … */
int tool_doctor(int argc, char **argv); /* doctor.c */
int tool_witness(int argc, char **argv); /* witness.c: witness init|serve|stdio … */
int tool_policy(int argc, char **argv); /* policy.c: policy check|show|trust|test … */

/* Prints "agentctl VERB: TEXT" and a newline on stderr. Returns TOOL_DAEMON when the error is one of the
 * connection (e->code is not 0), else TOOL_FAILED. */
int tool_fail(const char *verb, const struct error *e);

/* Prints "agentctl VERB: TEXT" and how to get help on stderr; returns TOOL_USAGE. */
__attribute__((format(printf, 2, 3))) int tool_usage(const char *verb, const char *fmt, ...);

#endif
