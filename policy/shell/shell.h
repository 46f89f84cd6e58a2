/* What a piece of shell text would run: text in, a bounded list of commands out. A strict reader of the
 * POSIX shell grammar (XCU 2.2 quoting, 2.3 token recognition, 2.6 expansions, 2.7 redirection, 2.9
 * commands, 2.10 grammar). It knows sh, dash, bash and zsh: what one of them reads differently, and
 * whatever is not understood, is marked as opaque and never guessed. Pure: nothing is run or looked
 * up. Called by policy's decision on shell text (policy/shell/judge.h) and by tests.
 *
 * What is promised: a program that one of these shells starts because of the text itself is in the
 * list, with its arguments, or the text has a mark. What a started program does is not its business;
 * programs that are known to start another one (timeout, xargs, sh -c) have that listed as well. What
 * aliases and functions a shell brings along, and that zsh runs cat for a redirection alone, nobody can
 * see from here. */
#ifndef POLICY_SHELL_H
#define POLICY_SHELL_H

#include "common/io.h"
#include "policy/arena.h"

#define SHELL_TEXT_MAX     8192u /* bytes of a text */
#define SHELL_DEPTH_MAX    24u /* of substitutions, groups and commands in commands */
#define SHELL_COMMANDS_MAX 256u /* of one text */
#define SHELL_MARKS_MAX    16u
#define SHELL_BYTES_MAX    65536u /* of all words, those of inner commands counted again */

enum shell_class {
	SHELL_LITERAL, /* this word, exactly */
	SHELL_EXPANDED, /* a pattern, a tilde or braces: any number of words */
	SHELL_UNKNOWN, /* parameters, substitutions, arithmetic: any number of words */
};

struct shell_word {
	enum shell_class class;
	struct span
		text; /* literal: what the program gets; else as it is written. NUL-terminated */
	struct shell_word *next;
};

struct shell_assignment {
	struct span name;
	struct span value; /* as far as known, for people */
	int loop; /* set by `for` or `read`, not by `=` */
	struct shell_assignment *next;
};

struct shell_redirect {
	char op; /* 'r' or 'w' */
	const struct shell_word *target;
	struct shell_redirect *next;
};

enum shell_what {
	SHELL_PROGRAM, /* argv[0] is started, or would be if it were no builtin (echo) */
	SHELL_BUILTIN, /* the shell does it itself, and it matters to nobody (exit, true) */
	SHELL_CD, /* argv[1] becomes the working directory */
	SHELL_NOTHING, /* only assignments and redirections */
};

struct shell_command {
	enum shell_what what;
	size_t at; /* byte offset in the text */
	int inner; /* started by the command before it, or by a text in that */
	size_t argc;
	struct shell_word *argv;
	struct shell_assignment *assignments;
	struct shell_redirect *redirects;
	struct shell_command *next;
};

/* A place that cannot be read, or whose meaning depends on more than the text. */
struct shell_mark {
	size_t at;
	const char *why; /* static: "`&` runs it in the background" */
};

struct shell_script {
	size_t commands, marks;
	struct shell_command *first,
		*last; /* in the order of the text, inner ones behind outer ones */
	struct shell_mark mark[SHELL_MARKS_MAX];
	size_t bytes; /* of words so far */
	int no_memory;
};

/* Reads text[0..n). Everything lives in the arena (16 MiB are always enough). What stands before a place
 * that cannot be read is in the list, as a shell may run it. 0, or -1: out of memory. */
int shell_read(struct arena *a, const char *text, size_t n, struct shell_script *out);

/* The same for a command that no shell reads: argv[0..argc), exactly. */
int shell_read_argv(
	struct arena *a, const struct span *argv, size_t argc, struct shell_script *out);

/* Adds a mark, unless it is there or there are enough of them. */
void shell_mark_at(struct shell_script *out, size_t at, const char *why);

#endif
