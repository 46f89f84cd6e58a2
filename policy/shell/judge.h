/* What policy makes of shell text: each command that it contains becomes an action of `exec`, each
 * redirection one of `files`, each assignment is looked up in a table, and what cannot be read counts as
 * what no rule speaks about. The strictest of all is what the text comes to.
 *
 * This is about intent, before anything runs: it may make a tool's own decision stricter, never laxer,
 * and it is no wall. It looks at no file, so a bare name stands for /usr/bin/NAME, and a path for the
 * file of that name: what is under ws:/, home:/ or tmp:/ counts as something that the agent can write. */
#ifndef POLICY_SHELL_JUDGE_H
#define POLICY_SHELL_JUDGE_H

#include "policy/policy.h"

enum shell_part_kind {
	SHELL_PART_COMMAND,
	SHELL_PART_FILE,
	SHELL_PART_VARIABLE,
	SHELL_PART_OPAQUE,
};

/* "command", "file", "variable", "opaque". */
const char *shell_part_name(enum shell_part_kind k);

struct shell_part {
	enum shell_part_kind kind;
	size_t at; /* byte offset in the text */
	int inner; /* a command that the one before it starts */
	const char
		*text; /* NUL-terminated; may contain control characters, a quoted line end is one:
			     `git push 'a b'`, `write out.txt`, `LD_PRELOAD=x`, why it is opaque */
	enum verdict verdict; /* VERDICT_NONE: no section of the policy is about it */
};

struct shell_judgement {
	size_t parts;
	const struct shell_part *part; /* in the order of the text, opaque places last */
	size_t decisive; /* the first of the strictest */
	struct decision decision; /* of that part, or VERDICT_NONE when the policy has no rules for
				     any of them */
};

/* Decides text[0..n), as run in places->cwd. 0 and a new *out (the caller frees it with
 * shell_judgement_free before the policy), or -1 out of memory: deny.
 * Commands, variables and opaque places count in a policy that has rules of `exec`, files in one that
 * has rules of `exec` or `files`. */
int policy_decide_shell(const struct policy *p, const struct action_places *places,
	const char *text, size_t n, struct shell_judgement **out);

/* The same for the text in a call of a tool that runs shell text (policy/tables/shelltools.def); a is
 * that call. 1 and *out, 0 and NULL when the tool is none, -1 as above. */
int policy_decide_shell_tool(const struct policy *p, const struct action_places *places,
	const struct action *a, struct shell_judgement **out);

/* The same for a line `shell TEXT` of a test or a command line, in the workspace that tests are about.
 * Quotes around all of the text are taken off. The line must be one (policy_is_shell_line). */
int policy_decide_shell_line(
	const struct policy *p, const char *line, struct shell_judgement **out);
int policy_is_shell_line(const char *line); /* 1 or 0 */

/* Why part i is decided as it is. */
void shell_judgement_part(const struct shell_judgement *j, size_t i, struct decision *out);

void shell_judgement_free(struct shell_judgement *j);

#endif
