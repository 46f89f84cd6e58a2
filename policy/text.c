/* UTF-8 and printable text; see text.h. */
#include "policy/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/escape.h"
#include "common/utf8.h"

int utf8_ok(const char *p, size_t n)
{
	size_t i = 0, len;
	uint32_t cp;

	while (i < n) {
		len = utf8_decode(p + i, n - i, &cp);
		if (!len || !cp)
			return 0;
		i += len;
	}
	return 1;
}

size_t utf8_count(const char *p, size_t n)
{
	size_t i, count = 0;

	for (i = 0; i < n; i++)
		count += ((unsigned char)p[i] & 0xc0) != 0x80;
	return count;
}

static size_t show_one(char *out, const char *p, size_t n, size_t *used)
{
	uint32_t cp = 0;
	size_t len = utf8_decode(p, n, &cp);

	*used = len ? len : 1;
	if (!len)
		return (size_t)sprintf(out, "\\x%02x", (unsigned char)p[0]);
	if (cp == '\n' || cp == '\t') {
		out[0] = '\\';
		out[1] = cp == '\n' ? 'n' : 't';
		return 2;
	}
	if (cp < 0x20 || cp == 0x7f)
		return (size_t)sprintf(out, "\\x%02x", (unsigned)cp);
	if (escape_unsafe(cp))
		return (size_t)sprintf(out, "\\u{%X}", (unsigned)cp);
	memcpy(out, p, len);
	return len;
}

const char *text_show(char *buf, size_t cap, const char *p, size_t n)
{
	size_t i = 0, at = 0;

	while (i < n) {
		char one[16];
		size_t used, len = show_one(one, p + i, n - i, &used);

		if (at + len + sizeof "…" > cap) {
			memcpy(buf + at, "…", sizeof "…");
			return buf;
		}
		memcpy(buf + at, one, len);
		at += len;
		i += used;
	}
	buf[at] = 0;
	return buf;
}

int policy_fail(struct policy_error *e, const char *file, unsigned line, unsigned column,
	const char *fmt, ...)
{
	char raw[sizeof e->text], name[sizeof e->file];
	size_t at = 0;
	va_list ap;

	e->failure = POLICY_INVALID;
	e->line = line;
	e->column = column;
	text_show(e->file, sizeof e->file, file, strlen(file));
	snprintf(name, sizeof name, "%s", e->file);
	if (line)
		at = (size_t)snprintf(raw, sizeof raw, "%s:%u:%u: ", name, line, column);
	else if (*name)
		at = (size_t)snprintf(raw, sizeof raw, "%s: ", name);
	va_start(ap, fmt);
	vsnprintf(raw + at, sizeof raw - at, fmt, ap);
	va_end(ap);
	text_show(e->text, sizeof e->text, raw, strlen(raw));
	return -1;
}

int policy_no_memory(struct policy_error *e, const char *file)
{
	policy_fail(e, file, 0, 0, "needs more memory than a policy may take. Make it smaller.");
	e->failure = POLICY_NO_MEMORY;
	return -1;
}

/* Optimal string alignment distance; both words at most 31 bytes. */
static unsigned distance(const char *a, size_t n, const char *b, size_t m)
{
	unsigned d[32][32];
	size_t i, j;

	for (i = 0; i <= n; i++)
		d[i][0] = (unsigned)i;
	for (j = 0; j <= m; j++)
		d[0][j] = (unsigned)j;
	for (i = 1; i <= n; i++) {
		for (j = 1; j <= m; j++) {
			unsigned best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);

			if (d[i - 1][j] + 1 < best)
				best = d[i - 1][j] + 1;
			if (d[i][j - 1] + 1 < best)
				best = d[i][j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
				d[i - 2][j - 2] + 1 < best)
				best = d[i - 2][j - 2] + 1;
			d[i][j] = best;
		}
	}
	return d[n][m];
}

/* "dis-pass" and "Tools" are what people write: case and the kind of dash are not counted. */
static size_t folded(char out[32], const char *p, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		out[i] = p[i] == '-' ? '_' : p[i];
		if (out[i] >= 'A' && out[i] <= 'Z')
			out[i] = (char)(out[i] + ('a' - 'A'));
	}
	out[n] = 0;
	return n;
}

const char *text_nearest(const char *word, size_t n, const char *const *candidates, size_t count)
{
	const char *best = NULL;
	unsigned best_d = 3;
	char a[32], b[32];
	size_t i;

	if (n == 0 || n > 31)
		return NULL;
	folded(a, word, n);
	for (i = 0; i < count; i++) {
		size_t m = strlen(candidates[i]);
		unsigned d;

		if (m > 31)
			continue;
		folded(b, candidates[i], m);
		d = distance(a, n, b, m);
		if (d < best_d && d * 2 < m) {
			best = candidates[i];
			best_d = d;
		}
	}
	return best;
}

const char *text_quoted(char *buf, size_t cap, const char *p, size_t n)
{
	int single = memchr(p, '"', n) || memchr(p, '\\', n);
	char q = single ? '\'' : '"';
	size_t i, at = 0;

	buf[at++] = q;
	for (i = 0; i < n && at + 8 < cap; i++) {
		if (single && p[i] == '\'')
			buf[at++] = '\'';
		buf[at++] = p[i];
	}
	if (i < n) {
		memcpy(buf + at, "…", sizeof "…" - 1);
		at += sizeof "…" - 1;
	}
	buf[at++] = q;
	buf[at] = 0;
	return buf;
}
