/* Strict base64 (RFC 4648 section 4, with padding): one spelling per value. Used by notes, checkpoints
 * and proofs. Pure. */
#ifndef AUDIT_B64_H
#define AUDIT_B64_H

#include <stddef.h>

/* Decodes exactly n characters into out. The number of bytes in *got. 0, or -1: a character that is not
 * of the alphabet, wrong padding, bits left over, more than cap bytes. */
int b64_decode(unsigned char *out, size_t cap, const char *p, size_t n, size_t *got);

/* Encodes with padding and a NUL; cap is at least B64_CAP(n). Returns the length. */
#define B64_CAP(n) (((n) + 2) / 3 * 4 + 1)
size_t b64_encode(char *out, size_t cap, const unsigned char *p, size_t n);

#endif
