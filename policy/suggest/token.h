/* What one part of an action is: a number, a hash, a temporary name, a secret; and how a pattern says
 * "one of these" without saying more. */
#ifndef POLICY_SUGGEST_TOKEN_H
#define POLICY_SUGGEST_TOKEN_H

#include <stddef.h>
#include <stdio.h>

enum token {
	TOKEN_WORD =
		'w', /* a sub-command, a branch, a name: never generalised beyond what was seen */
	TOKEN_PATH = 'p', /* has a slash or a dot */
	TOKEN_NUMBER = 'n',
	TOKEN_HEX = 'h', /* a hash: 7 hex digits or more, letters and digits */
	TOKEN_UUID = 'u',
	TOKEN_TEXT = 't', /* blanks in it */
};

enum token token_of(const char *s, size_t n);

/* 1 when every byte is printable ASCII: the only literals that a rule gets. */
int token_plain(const char *s, size_t n);

/* 1 when a part of the text looks like a secret: a known shape of token, a password's place, or more
 * randomness than names have. hashes: also what could be a commit's hash. */
int token_secret(const char *s, size_t n, int hashes);

/* Writes s as a pattern that matches just s. */
void token_literal(FILE *f, const char *s, size_t n);

/* Writes a pattern for all tokens of a type with at most (numbers), or just (hashes), n characters. */
void token_shape(FILE *f, enum token type, size_t n);

/* Writes a path's component: numbers, dates, hashes and random endings as patterns, so that a rule is
 * not about a name that never comes again. 1 when there was one, 0: it is s itself. */
int token_component(FILE *f, const char *s, size_t n);

#endif
