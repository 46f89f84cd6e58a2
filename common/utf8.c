/* UTF-8; see utf8.h. */
#include "common/utf8.h"

/* Length of the sequence that a lead byte starts, and the smallest code point that may be written
 * with it (RFC 3629, section 3: no overlong forms). */
static size_t sequence_length(unsigned char lead, unsigned *least)
{
	if (lead >= 0xc2 && lead <= 0xdf) {
		*least = 0x80;
		return 2;
	}
	if (lead >= 0xe0 && lead <= 0xef) {
		*least = 0x800;
		return 3;
	}
	if (lead >= 0xf0 && lead <= 0xf4) {
		*least = 0x10000;
		return 4;
	}
	return 0;
}

size_t utf8_decode(const char *s, size_t n, unsigned *cp)
{
	const unsigned char *u = (const unsigned char *)s;
	unsigned least = 0, v;
	size_t len;

	if (n == 0)
		return 0;
	if (u[0] < 0x80) {
		*cp = u[0];
		return 1;
	}
	len = sequence_length(u[0], &least);
	if (len == 0 || len > n)
		return 0;
	v = u[0] & (0x7fu >> len);
	for (size_t i = 1; i < len; i++) {
		if ((u[i] & 0xc0) != 0x80)
			return 0;
		v = v << 6 | (u[i] & 0x3fu);
	}
	if (v < least || v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff))
		return 0;
	*cp = v;
	return len;
}

size_t utf8_encode(char out[4], unsigned cp)
{
	static const unsigned lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
	size_t len = cp < 0x80 ? 1 : cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;

	for (size_t i = len - 1; i > 0; i--) {
		out[i] = (char)(0x80 | (cp & 0x3f));
		cp >>= 6;
	}
	out[0] = (char)(lead[len] | cp);
	return len;
}
