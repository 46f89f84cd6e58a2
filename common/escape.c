/* Untrusted text made visible; see escape.h. */
#include "common/escape.h"

#include <string.h>

#include "common/cleanup.h"
#include "common/escape_ranges.h"
#include "common/utf8.h"

#define MARKS_MAX 4 /* combining marks on one character; more of them paint over other lines */

static int in_ranges(const struct range *r, size_t n, unsigned cp)
{
	size_t lo = 0, hi = n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (cp > r[mid].last)
			lo = mid + 1;
		else if (cp < r[mid].first)
			hi = mid;
		else
			return 1;
	}
	return 0;
}

static int is_mark(unsigned cp)
{
	return cp >= 0x300 && in_ranges(mark_ranges, ARRAY_LEN(mark_ranges), cp);
}

static char hex_digit(unsigned v)
{
	return "0123456789ABCDEF"[v & 15];
}

/* "\xHH" */
static size_t put_byte(char out[16], unsigned char b)
{
	out[0] = '\\';
	out[1] = 'x';
	out[2] = hex_digit(b >> 4);
	out[3] = hex_digit(b);
	return 4;
}

/* "\u{HHHH}" with four to six digits */
static size_t put_code_point(char out[16], unsigned cp)
{
	size_t n = 0;

	memcpy(out, "\\u{", 3);
	n = 3;
	for (int shift = cp > 0xfffff ? 20 : cp > 0xffff ? 16 : 12; shift >= 0; shift -= 4)
		out[n++] = hex_digit(cp >> shift);
	out[n++] = '}';
	return n;
}

/* Escapes the character at src (n > 0 bytes left) into out; *used bytes of src were taken. marks
 * counts the combining marks since the last base character, -1: there is no base character. */
static size_t escape_one(char out[16], const char *src, size_t n, size_t *used, int *marks)
{
	unsigned cp = 0;

	*used = utf8_decode(src, n, &cp);
	if (*used == 0 || cp < 0x20 || cp == 0x7f) {
		*used = 1;
		*marks = -1;
		return put_byte(out, (unsigned char)*src);
	}
	if (cp == '\\') {
		*marks = -1;
		memcpy(out, "\\\\", 2);
		return 2;
	}
	if (is_mark(cp)) {
		if (*marks >= 0 && *marks < MARKS_MAX && !escape_unsafe(cp)) {
			++*marks;
			memcpy(out, src, *used);
			return *used;
		}
		return put_code_point(out, cp);
	}
	if (escape_unsafe(cp)) {
		*marks = -1;
		return put_code_point(out, cp);
	}
	*marks = 0;
	memcpy(out, src, *used);
	return *used;
}

int escape_unsafe(unsigned cp)
{
	if (cp < 0x80)
		return cp < 0x20 || cp == 0x7f;
	return in_ranges(unsafe_ranges, ARRAY_LEN(unsafe_ranges), cp);
}

size_t escape_text(char *dst, size_t cap, const char *src, size_t n)
{
	size_t len = 0;
	int marks = -1;
	char one[16];

	if (cap == 0)
		return 0;
	while (n) {
		size_t used;
		size_t k = escape_one(one, src, n, &used, &marks);

		if (k > cap - 1 - len)
			break;
		memcpy(dst + len, one, k);
		len += k;
		src += used;
		n -= used;
	}
	dst[len] = 0;
	return len;
}

size_t escape_width(const char *s)
{
	size_t n = strlen(s), columns = 0;

	while (n) {
		unsigned cp = 0;
		size_t k = utf8_decode(s, n, &cp);

		if (k == 0)
			k = 1; /* not from escape_text: one column for a stray byte */
		else if (cp >= 0x300 && in_ranges(wide_ranges, ARRAY_LEN(wide_ranges), cp))
			columns++;
		if (!is_mark(cp))
			columns++;
		s += k;
		n -= k;
	}
	return columns;
}
