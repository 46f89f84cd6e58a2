/* Makes text that an agent, a package or another user wrote safe for a terminal and for a human eye.
 * Called by everything that prints or records such text for people; never allocates, knows no locale.
 *
 * Kept as they are: printable ASCII but the backslash, and every other well-formed UTF-8 character
 * that has a shape of its own. Made visible: control characters (C0, DEL, C1), bytes that are not
 * UTF-8 and noncharacters; characters that reorder text (bidi), that have no width or no ink
 * (zero-width, variation selectors, tags, fillers, blanks wider than the space), line and paragraph
 * separators, private use and unassigned planes. A backslash becomes two, so that the result is
 * unambiguous. */
#ifndef COMMON_ESCAPE_H
#define COMMON_ESCAPE_H

#include <stddef.h>

/* What an input of n bytes can become at most: a buffer of ESCAPE_CAP(n) never cuts. */
#define ESCAPE_CAP(n) ((size_t)(n)*4 + 1)

/* Writes the n bytes at src to dst, escaped: C0 controls, DEL and bytes that are not UTF-8 as \xHH,
 * other unsafe characters (C1 controls too) as \u{HHHH}, a backslash as two. So are combining marks
 * that have no character to stand on or are the fifth on one. Writes at most cap bytes with the NUL
 * (cap 0 writes nothing), never cuts inside an escape or a character. Returns the length written,
 * without the NUL. */
size_t escape_text(char *dst, size_t cap, const char *src, size_t n);

/* 1 when the code point may not reach a terminal as it is. */
int escape_unsafe(unsigned cp);

/* Terminal columns of a string that escape_text wrote: 1 a character, 2 for East Asian wide ones and
 * emoji, 0 for combining marks. */
size_t escape_width(const char *s);

#endif
