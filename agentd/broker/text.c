/* Text and canonical JSON; see text.h. */
#include "agentd/broker/text.h"

#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/utf8.h"

static int reserve(struct text *t, size_t n)
{
	size_t cap;
	char *p;

	if (t->failed)
		return -1;
	if (t->n + n < t->cap)
		return 0;
	cap = (t->n + n + 1) + (t->n + n + 1) / 2;
	if (cap < 256)
		cap = 256;
	p = realloc(t->p, cap);
	if (!p) {
		t->failed = 1;
		return -1;
	}
	t->p = p;
	t->cap = cap;
	return 0;
}

void text_put(struct text *t, const char *s, size_t n)
{
	if (reserve(t, n) < 0)
		return;
	if (n)
		memcpy(t->p + t->n, s, n);
	t->n += n;
	t->p[t->n] = 0;
}

void text_add(struct text *t, const char *s)
{
	text_put(t, s, strlen(s));
}

void text_addf(struct text *t, const char *fmt, ...)
{
	char buf[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(buf, sizeof buf, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof buf)
		t->failed = 1;
	else
		text_put(t, buf, (size_t)n);
}

void text_free(struct text *t)
{
	free(t->p);
	memset(t, 0, sizeof *t);
}

static int is_utf8(const char *s, size_t n)
{
	unsigned cp;

	for (size_t i = 0; i < n;) {
		size_t k = (unsigned char)s[i] < 0x80 ? 1 : utf8_decode(s + i, n - i, &cp);

		if (k == 0)
			return 0;
		i += k;
	}
	return 1;
}

static void put_base64(struct text *t, const char *s, size_t n)
{
	size_t cap = sodium_base64_ENCODED_LEN(n, sodium_base64_VARIANT_ORIGINAL);
	char *b = malloc(cap);

	if (!b) {
		t->failed = 1;
		return;
	}
	sodium_bin2base64(b, cap, (const unsigned char *)s, n, sodium_base64_VARIANT_ORIGINAL);
	text_add(t, "{\"b64\":\"");
	text_add(t, b);
	text_add(t, "\"}");
	free(b);
}

static void put_escape(struct text *t, unsigned char c)
{
	static const char shorts[] = "\bb\ff\nn\rr\tt\"\"\\\\";
	char two[2] = {'\\', 0};

	for (size_t i = 0; i + 1 < sizeof shorts; i += 2) {
		if ((unsigned char)shorts[i] == c) {
			two[1] = shorts[i + 1];
			text_put(t, two, 2);
			return;
		}
	}
	text_addf(t, "\\u%04x", c);
}

/* The bytes of a string that is known to be UTF-8, in quotes. */
static void put_quoted(struct text *t, const char *s, size_t n)
{
	size_t from = 0;

	text_put(t, "\"", 1);
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		text_put(t, s + from, i - from);
		put_escape(t, c);
		from = i + 1;
	}
	text_put(t, s + from, n - from);
	text_put(t, "\"", 1);
}

void text_quote(struct text *t, const char *s, size_t n)
{
	if (is_utf8(s, n))
		put_quoted(t, s, n);
	else
		put_base64(t, s, n);
}

void text_quote_str(struct text *t, const char *s)
{
	text_quote(t, s, strlen(s));
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void put_object(struct text *t, const json_t *v)
{
	size_t n = json_object_size(v), k = 0;
	cleanup_free const char **keys = n ? malloc(n * sizeof *keys) : NULL;
	const char *key;
	json_t *item;

	if (!keys) {
		t->failed |= n > 0;
		text_add(t, "{}");
		return;
	}
	/* jansson's iterator wants a pointer to non-const, but changes nothing. */
	json_object_foreach((json_t *)(uintptr_t)v, key, item) keys[k++] = key;
	qsort(keys, n, sizeof *keys, by_bytes);
	text_put(t, "{", 1);
	for (size_t i = 0; i < n; i++) {
		if (i)
			text_put(t, ",", 1);
		put_quoted(t, keys[i], strlen(keys[i]));
		text_put(t, ":", 1);
		text_json(t, json_object_get(v, keys[i]));
	}
	text_put(t, "}", 1);
}

static void put_array(struct text *t, const json_t *v)
{
	size_t n = json_array_size(v);

	text_put(t, "[", 1);
	for (size_t i = 0; i < n; i++) {
		if (i)
			text_put(t, ",", 1);
		text_json(t, json_array_get(v, i));
	}
	text_put(t, "]", 1);
}

void text_json(struct text *t, const json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_OBJECT:
		put_object(t, v);
		break;
	case JSON_ARRAY:
		put_array(t, v);
		break;
	case JSON_STRING:
		put_quoted(t, json_string_value(v), json_string_length(v));
		break;
	case JSON_INTEGER:
		text_addf(t, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
		break;
	case JSON_REAL:
		text_addf(t, "%.17g", json_real_value(v));
		break;
	case JSON_TRUE:
		text_add(t, "true");
		break;
	case JSON_FALSE:
		text_add(t, "false");
		break;
	case JSON_NULL:
		text_add(t, "null");
		break;
	}
}

#define EXACT_MAX 9007199254740991ll /* 2^53 - 1: what every JSON reader holds exactly */
#define DEPTH_MAX 24 /* of the log's 32, some are around the value */
#define KEYS_MAX  1000

static int recordable(const json_t *v, int depth)
{
	const char *key;
	json_t *item;
	size_t i;

	if (json_is_integer(v))
		return json_integer_value(v) <= EXACT_MAX && json_integer_value(v) >= -EXACT_MAX;
	if (json_is_real(v) || depth > DEPTH_MAX || json_object_size(v) > KEYS_MAX)
		return 0;
	json_object_foreach((json_t *)(uintptr_t)v, key, item)
	{
		if (!recordable(item, depth + 1))
			return 0;
	}
	json_array_foreach(v, i, item)
	{
		if (!recordable(item, depth + 1))
			return 0;
	}
	return 1;
}

int json_is_recordable(const json_t *v)
{
	return recordable(v, 0);
}

size_t text_cut(const char *s, size_t n, size_t max)
{
	if (n <= max)
		return n;
	n = max;
	while (n && ((unsigned char)s[n] & 0xc0) == 0x80)
		n--;
	return n;
}
