/* What is known of programs (policy/tables/programs.def): a list that ask and deny
 * rules of `exec` look through when they are compiled. Nothing of it is needed for a rule to be
 * right: a program that is not here has no options before its sub-command. */
#ifndef POLICY_KINDS_PROGRAMS_H
#define POLICY_KINDS_PROGRAMS_H

#include <stddef.h>

enum program_role { PROGRAM_PLAIN, PROGRAM_INTERPRETER, PROGRAM_WRAPPER, PROGRAM_MULTICALL };

/* Lists are words separated by blanks; NULL: none. */
struct program {
	const char *name;
	const char *valued;
	const char *code;
	const char *applet;
	const char *skipped;
	int anywhere, abbreviated;
	enum program_role role;
};

const struct program *program_at(size_t i); /* NULL at the end */
const struct program *program_named(const char *name); /* NULL: not known */

/* The next word of a list, NULL at its end: `for (at = p->valued; (w = program_word(&at, &n));)`. */
const char *program_word(const char **at, size_t *n);

#endif
