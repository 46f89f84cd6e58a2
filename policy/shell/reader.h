/* What the parts of the reader share (shell.h has what it is for): position, the words being built,
 * here-documents that wait for their line. Only for policy/shell/. */
#ifndef POLICY_SHELL_READER_H
#define POLICY_SHELL_READER_H

#include "policy/shell/shell.h"

#define SHELL_HEREDOCS_MAX 4u

struct heredoc {
	struct span end; /* the delimiter, quotes removed */
	int quoted; /* a part of it was: nothing in the body is expanded */
	int strip; /* <<- */
};

struct reader {
	struct arena *arena;
	struct shell_script *out;
	const char *s; /* s[i..n) is to be read */
	size_t i, n;
	size_t at; /* offset in the text that s[0] stands for */
	int copy; /* s was decoded: all of it stands at `at` */
	char *scratch; /* words being decoded; those further out come first */
	size_t top;
	unsigned depth, loop; /* loops and functions around this place */
	unsigned substituted; /* $( ) and <( ) around this place */
	int inner; /* what it reads is a text in a command */
	int stopped; /* it cannot go on */
	size_t pending, held; /* here-documents: all, and those from outside a substitution */
	struct heredoc heredoc[SHELL_HEREDOCS_MAX];
};

/* How a word was written, where the grammar needs it. */
struct word_form {
	int quoted; /* a part of it was */
	size_t name; /* bytes of NAME where it begins with NAME=, 0 */
	int plus; /* NAME+= */
};

/* read.c */
void shell_mark(struct reader *r, size_t i, const char *why); /* i: in r->s */
void shell_stop(
	struct reader *r, size_t i, const char *why); /* the same, and nothing is read behind it */
void shell_no_memory(struct reader *r);
int shell_deeper(struct reader *r); /* 0: r->depth is one more; -1: too deep, stopped */
void shell_list(struct reader *r, int must); /* a list of commands, up to what ends it */
/* Reads another text as a shell started here would. */
void shell_text(struct reader *r, struct span text, size_t at, int inner);

void shell_skip_blanks(struct reader *r); /* and a comment */
int shell_take_operator(
	struct reader *r, const char *op); /* of two characters; 1 and past it, or 0 */

/* redirect.c: takes a redirection into c, if one stands here. 1 or 0. */
int shell_redirection(struct reader *r, struct shell_command *c);

/* word.c */
int shell_cur(struct reader *r); /* the next byte, -1 at the end; line continuations are skipped */
int shell_next(struct reader *r); /* the one behind it */
int shell_is_blank(int c);
int shell_is_delimiter(int c); /* ends a word that is not quoted */
void shell_word(struct reader *r, struct shell_word *out, struct word_form *form);
void shell_heredocs(struct reader *r); /* behind a newline */

/* expand.c: adds a command, and what it is known to start. */
void shell_add(struct reader *r, struct shell_command *c);

/* 1: the word is in a list of words separated by blanks. */
int shell_listed(const char *list, const char *word, size_t n);

#endif
