/* Commands in commands: how expand.c and wrap.c work together. Only for policy/shell/. */
#ifndef POLICY_SHELL_WRAP_H
#define POLICY_SHELL_WRAP_H

#include "policy/shell/reader.h"

/* expand.c */
void shell_mark_command(struct reader *r, const struct shell_command *c, const char *why);
int shell_is(const struct shell_word *w, const char *text); /* literally; 0 for NULL */
size_t shell_name_length(struct span s); /* of a variable's name at its beginning */
/* Adds NAME=VALUE, or NAME alone, to c. 1, or 0: the word is none. */
int shell_assign(struct reader *r, struct shell_command *c, const struct shell_word *w, int loop);
/* Adds the command that `of` starts. started: by a program, which knows no builtins. */
void shell_add_inner(
	struct reader *r, const struct shell_command *of, struct shell_word *argv, int started);
void shell_add_assigned(struct reader *r, const struct shell_command *of, struct shell_word *argv,
	struct shell_assignment *assignments, int started);

/* wrap.c: adds what c starts, when it is a program that is known to start others. */
void shell_wrapped(struct reader *r, struct shell_command *c);

#endif
