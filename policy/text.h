/* UTF-8, and text that people will read in an error: used by every part of policy/, knows none. */
#ifndef POLICY_TEXT_H
#define POLICY_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "policy/policy.h"

/* 1 when p[0..n) is UTF-8 without NUL. */
int utf8_ok(const char *p, size_t n);

/* Number of code points of valid UTF-8. */
size_t utf8_count(const char *p, size_t n);

/* Copies text into buf so that it can be printed on one line: control and hidden characters as
 * \xNN or \u{NNNN}, and "…" at the end when it does not fit into cap. Returns buf. */
const char *text_show(char *buf, size_t cap, const char *p, size_t n);

/* Fills e with "FILE:LINE:COLUMN: …" (without the position when line is 0). Always returns -1. */
__attribute__((format(printf, 5, 6))) int policy_fail(struct policy_error *e, const char *file,
	unsigned line, unsigned column, const char *fmt, ...);

int policy_no_memory(struct policy_error *e, const char *file);

/* The candidate nearest to word by edit distance (transpositions count one), or NULL when none is
 * near enough to be what was meant. */
const char *text_nearest(const char *word, size_t n, const char *const *candidates, size_t count);

/* The scalar written so that YAML takes it as it is: "…" or '…'. */
const char *text_quoted(char *buf, size_t cap, const char *p, size_t n);

#endif
