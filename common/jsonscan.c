/* The JSON scanner; see jsonscan.h. */
#include "common/jsonscan.h"

#include <string.h>

#include "common/utf8.h"

struct scan {
	const char *p, *end;
};

static int value(struct scan *s, int depth);

static void blanks(struct scan *s)
{
	while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\t' || *s->p == '\r'))
		s->p++;
}

static int byte_is(const struct scan *s, char c)
{
	return s->p < s->end && *s->p == c;
}

static int take(struct scan *s, char c)
{
	if (!byte_is(s, c))
		return 0;
	s->p++;
	return 1;
}

static int is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static int hex_value(char c)
{
	if (is_digit(c))
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* The part of an escape behind the backslash. */
static int escape(struct scan *s)
{
	if (s->p == s->end)
		return 0;
	if (*s->p != 'u') {
		if (!memchr("\"\\/bfnrt", *s->p, 8))
			return 0;
		s->p++;
		return 1;
	}
	s->p++;
	for (int i = 0; i < 4; i++, s->p++)
		if (s->p == s->end || hex_value(*s->p) < 0)
			return 0;
	return 1;
}

static int string(struct scan *s)
{
	if (!take(s, '"'))
		return 0;
	while (s->p < s->end) {
		unsigned char c = (unsigned char)*s->p;
		unsigned cp;
		size_t k;

		if (c == '"') {
			s->p++;
			return 1;
		}
		if (c < 0x20)
			return 0;
		if (c == '\\') {
			s->p++;
			if (!escape(s))
				return 0;
		} else if (c < 0x80) {
			s->p++;
		} else {
			k = utf8_decode(s->p, (size_t)(s->end - s->p), &cp);
			if (k == 0)
				return 0;
			s->p += k;
		}
	}
	return 0;
}

static int digits(struct scan *s)
{
	if (s->p == s->end || !is_digit(*s->p))
		return 0;
	while (s->p < s->end && is_digit(*s->p))
		s->p++;
	return 1;
}

static int number(struct scan *s)
{
	(void)take(s, '-');
	if (!take(s, '0') && !digits(s))
		return 0;
	if (take(s, '.') && !digits(s))
		return 0;
	if (byte_is(s, 'e') || byte_is(s, 'E')) {
		s->p++;
		if (!take(s, '+'))
			(void)take(s, '-');
		return digits(s);
	}
	return 1;
}

static int word(struct scan *s, const char *w)
{
	for (; *w; w++)
		if (!take(s, *w))
			return 0;
	return 1;
}

static int array(struct scan *s, int depth)
{
	s->p++;
	blanks(s);
	if (take(s, ']'))
		return 1;
	for (;;) {
		if (!value(s, depth))
			return 0;
		blanks(s);
		if (take(s, ']'))
			return 1;
		if (!take(s, ','))
			return 0;
		blanks(s);
	}
}

/* A key, its colon and the blanks around: afterwards the scanner is at the value. */
static int key_part(struct scan *s, struct span *key)
{
	key->p = s->p;
	if (!string(s))
		return 0;
	key->n = (size_t)(s->p - key->p);
	blanks(s);
	if (!take(s, ':'))
		return 0;
	blanks(s);
	return 1;
}

static int object(struct scan *s, int depth)
{
	struct span key;

	s->p++;
	blanks(s);
	if (take(s, '}'))
		return 1;
	for (;;) {
		if (!key_part(s, &key) || !value(s, depth))
			return 0;
		blanks(s);
		if (take(s, '}'))
			return 1;
		if (!take(s, ','))
			return 0;
		blanks(s);
	}
}

/* Scans one value; recursion is bounded by JSON_DEPTH_MAX. */
static int value(struct scan *s, int depth)
{
	if (s->p == s->end)
		return 0;
	switch (*s->p) {
	case '{':
		return depth < JSON_DEPTH_MAX && object(s, depth + 1);
	case '[':
		return depth < JSON_DEPTH_MAX && array(s, depth + 1);
	case '"':
		return string(s);
	case 't':
		return word(s, "true");
	case 'f':
		return word(s, "false");
	case 'n':
		return word(s, "null");
	default:
		return number(s);
	}
}

int json_check(const char *s, size_t n, size_t *at)
{
	struct scan c = {s, s + n};
	int ok;

	blanks(&c);
	ok = value(&c, 0);
	if (ok) {
		blanks(&c);
		ok = c.p == c.end;
	}
	if (at)
		*at = (size_t)(c.p - s);
	return ok;
}

static unsigned four_hex(const char *p)
{
	unsigned v = 0;

	for (int i = 0; i < 4; i++)
		v = v << 4 | (unsigned)hex_value(p[i]);
	return v;
}

/* Reads the code point of the \uHHHH at p (well-formed, n bytes to the end of the string) and, for
 * a high surrogate, of the low one behind it. Returns the bytes read, 0 for a lone surrogate. */
static size_t unicode_escape(const char *p, size_t n, unsigned *cp)
{
	unsigned low;

	*cp = four_hex(p + 2);
	if (*cp < 0xd800 || *cp > 0xdfff)
		return 6;
	if (*cp > 0xdbff || n < 12 || p[6] != '\\' || p[7] != 'u')
		return 0;
	low = four_hex(p + 8);
	if (low < 0xdc00 || low > 0xdfff)
		return 0;
	*cp = 0x10000 + ((*cp - 0xd800) << 10) + (low - 0xdc00);
	return 12;
}

static char short_escape(char c)
{
	static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
	const char *at = memchr(from, c, 5);

	return at ? to[at - from] : c;
}

/* The next character of a well-formed string body: its bytes go to out, *k their number. Returns the
 * bytes of p that it took, or 0 for a lone surrogate. */
static size_t next_char(const char *p, size_t n, char out[4], size_t *k)
{
	unsigned cp;
	size_t used;

	if (*p != '\\') {
		out[0] = *p;
		*k = 1;
		return 1;
	}
	if (p[1] != 'u') {
		out[0] = short_escape(p[1]);
		*k = 1;
		return 2;
	}
	used = unicode_escape(p, n, &cp);
	if (used)
		*k = utf8_encode(out, cp);
	return used;
}

/* 1 when v is one well-formed string and nothing else. */
static int whole_string(struct span v)
{
	struct scan s = {v.p, v.p + v.n};

	return string(&s) && s.p == s.end;
}

int json_string(struct span v, char *dst, size_t cap, size_t *n)
{
	const char *p, *end;
	size_t len = 0;

	if (cap == 0 || !whole_string(v))
		return -1;
	p = v.p + 1;
	end = v.p + v.n - 1;
	while (p < end) {
		char out[4];
		size_t k = 0, used = next_char(p, (size_t)(end - p), out, &k);

		if (used == 0 || k > cap - 1 - len)
			return -1;
		memcpy(dst + len, out, k);
		len += k;
		p += used;
	}
	dst[len] = 0;
	*n = len;
	return 0;
}

/* 1 when the well-formed JSON string k (quotes included) says key. */
static int key_equals(struct span k, const char *key)
{
	const char *p = k.p + 1, *end = k.p + k.n - 1;
	size_t left = strlen(key);

	while (p < end) {
		char out[4];
		size_t n = 0, used = next_char(p, (size_t)(end - p), out, &n);

		if (used == 0 || n > left || memcmp(out, key, n) != 0)
			return 0;
		key += n;
		left -= n;
		p += used;
	}
	return left == 0;
}

int json_find(struct span obj, const char *key, struct span *out)
{
	struct scan s = {obj.p, obj.p + obj.n};
	int found = 0;

	blanks(&s);
	if (!json_check(obj.p, obj.n, NULL) || !take(&s, '{'))
		return -1;
	blanks(&s);
	while (byte_is(&s, '"')) {
		struct span k;
		const char *start;

		if (!key_part(&s, &k))
			return -1;
		start = s.p;
		if (!value(&s, 1))
			return -1;
		if (key_equals(k, key)) {
			if (found)
				return -1;
			found = 1;
			out->p = start;
			out->n = (size_t)(s.p - start);
		}
		blanks(&s);
		(void)take(&s, ',');
		blanks(&s);
	}
	return found;
}

int json_int(struct span v, int64_t *out)
{
	struct scan s = {v.p, v.p + v.n};
	int negative = byte_is(&s, '-');
	uint64_t limit = (uint64_t)INT64_MAX + (negative ? 1u : 0u), u = 0;

	if (!number(&s) || s.p != s.end)
		return -1;
	for (const char *p = v.p + (negative ? 1 : 0); p < s.end; p++) {
		unsigned d = (unsigned)(*p - '0');

		if (!is_digit(*p) || u > (limit - d) / 10)
			return -1;
		u = u * 10 + d;
	}
	*out = negative ? (int64_t)(0 - u) : (int64_t)u;
	return 0;
}

/* One input character as it stands in a JSON string. *used bytes of s were taken. */
static size_t quote_one(char out[8], const char *s, size_t n, size_t *used)
{
	static const char hex[] = "0123456789abcdef";
	unsigned cp = 0;

	*used = utf8_decode(s, n, &cp);
	if (*used == 0) {
		*used = 1;
		memcpy(out, "\xef\xbf\xbd", 3);
		return 3;
	}
	if (cp == '"' || cp == '\\') {
		out[0] = '\\';
		out[1] = (char)cp;
		return 2;
	}
	if (cp < 0x20 || cp == 0x7f) {
		memcpy(out, "\\u00", 4);
		out[4] = hex[cp >> 4];
		out[5] = hex[cp & 15];
		return 6;
	}
	memcpy(out, s, *used);
	return *used;
}

size_t json_quote(char *dst, size_t cap, const char *s, size_t n)
{
	size_t len = 0;

	if (cap == 0)
		return 0;
	dst[0] = 0;
	if (cap < 3)
		return 0;
	dst[len++] = '"';
	while (n) {
		char one[8];
		size_t used;
		size_t k = quote_one(one, s, n, &used);

		if (k > cap - 2 - len) {
			dst[0] = 0;
			return 0;
		}
		memcpy(dst + len, one, k);
		len += k;
		s += used;
		n -= used;
	}
	dst[len++] = '"';
	dst[len] = 0;
	return len;
}
