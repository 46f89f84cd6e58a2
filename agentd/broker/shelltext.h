/* Shell text in tool calls: what policy makes of it, and how a human gets to read it. The text is what
 * the agent's hook says before anything runs; nothing here allows anything that the tool's own rules do
 * not. */
#ifndef BROKER_SHELLTEXT_H
#define BROKER_SHELLTEXT_H

#include "agentd/broker/text.h"
#include "policy/policy.h"
#include "policy/shell/judge.h"

#define SHELLTEXT_PART_CAP 240u

/* Makes *d, the decision about a call of a tool, stricter where what the call would run says so; then
 * part (SHELLTEXT_PART_CAP bytes) is what decided, escaped, else "". *out: the judgement for
 * shelltext_runs, NULL when there is none to show; freed by the caller, and *d may point into it.
 * 0, or -1 out of memory: deny. */
int shelltext_decide(const struct policy *p, const struct action_places *places,
	const struct action *a, struct decision *d, char *part, struct shell_judgement **out);

/* Appends a JSON array of what would run: {"kind","text","verdict"} each, and "inner":true for what the
 * one before starts. A list that nobody could read becomes one opaque entry. */
void shelltext_runs(struct text *t, const struct shell_judgement *j);

#endif
