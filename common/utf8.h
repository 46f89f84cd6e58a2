/* UTF-8 (RFC 3629), one character at a time: the only encoder and decoder of the tree. Called by
 * everything that looks into text; never allocates, knows no locale. */
#ifndef COMMON_UTF8_H
#define COMMON_UTF8_H

#include <stddef.h>

/* Decodes one character of well-formed UTF-8 from the n bytes at s. Returns its length and sets *cp,
 * or 0 when the bytes are not well-formed: overlong, a surrogate, above U+10FFFF, cut short (or n is
 * 0). */
size_t utf8_decode(const char *s, size_t n, unsigned *cp);

/* Writes a code point up to U+10FFFF, not NUL-terminated. Returns its length. A surrogate is written
 * like any other; utf8_decode does not take it back. */
size_t utf8_encode(char out[4], unsigned cp);

#endif
