/* How a judgement is made, for those who have more than a text. Only for policy/shell/. */
#ifndef POLICY_SHELL_JUDGING_H
#define POLICY_SHELL_JUDGING_H

#include "policy/internal.h"
#include "policy/shell/judge.h"
#include "policy/shell/shell.h"

struct judge;

/* NULL: out of memory. s must outlive it, not the judgement. */
struct judge *judge_new(
	const struct policy *p, const struct stack *s, const struct action_places *places);
struct arena *judge_arena(struct judge *j);
/* Reads the text that is judged; it must stay. As shell_read. */
int judge_read(struct judge *j, struct span text, struct shell_script *out);
/* An assignment, and a change of directory that may fail. at: offset in the text. */
void judge_variable(struct judge *j, size_t at, struct span name, struct span value);
void judge_directory(struct judge *j, size_t at, struct span to);
/* Judges the commands and frees j. failed: they could not be read for want of memory. 0 and *out, or
 * -1: out of memory. */
int judge_finish(struct judge *j, const struct shell_script *script, int failed,
	struct shell_judgement **out);

#endif
