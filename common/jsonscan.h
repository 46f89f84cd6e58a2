/* A strict JSON scanner (RFC 8259) for programs that must not allocate: the hook client, agentctl.
 * It checks and walks the text where it lies; no tree is built, nothing is copied but the strings a
 * caller asks for. Nesting is bounded, so that stack use is. Where a whole document is to be worked
 * on, use jansson; this is for looking at a handful of members. */
#ifndef COMMON_JSONSCAN_H
#define COMMON_JSONSCAN_H

#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/io.h"

#define JSON_DEPTH_MAX 64

/* 1 when the n bytes are exactly one JSON value with nothing but whitespace around it: well-formed
 * UTF-8, no byte order mark, at most JSON_DEPTH_MAX arrays and objects inside each other. Else 0 and
 * *at (may be NULL) is the offset of the first byte that is wrong (n when the end came too early).
 * Duplicate keys are not looked for here. */
int json_check(const char *s, size_t n, size_t *at);

/* Looks for a member of the object that obj holds (whitespace around it is allowed), not inside of
 * its values. Keys are compared after unescaping. 1 and *value (whose bytes lie in obj, no whitespace
 * around); 0 when there is none; -1 when obj is not a well-formed object, or has that key twice. */
int json_find(struct span obj, const char *key, struct span *value);

/* jansson exports a json_string too; programs that link both must not get this one for it. */
#define json_string jsonscan_string

/* Unescapes a JSON string (quotes included in v) into dst, NUL-terminated; *n is its length (there
 * may be a NUL inside: \u0000). 0, or -1: not a string, a lone surrogate, or more than cap-1 bytes. */
int json_string(struct span v, char *dst, size_t cap, size_t *n);

/* 0 and *out, or -1: not a number, not an integer (a fraction or exponent is refused), out of range. */
int json_int(struct span v, int64_t *out);

/* What an input of n bytes can become at most as a JSON string, quotes and NUL included. */
#define JSON_QUOTE_CAP(n) ((size_t)(n)*6 + 3)

/* Writes the n bytes at s as a JSON string with its quotes; control characters, DEL, the quote and the
 * backslash are escaped, bytes that are not UTF-8 become U+FFFD. Returns the length, or 0 when it does
 * not fit in cap with the NUL (dst is then an empty string). */
size_t json_quote(char *dst, size_t cap, const char *s, size_t n);

#endif
