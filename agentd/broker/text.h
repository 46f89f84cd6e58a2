/* A growing buffer of text and a writer of JSON in the one form the log wants: no whitespace, keys in
 * bytewise order, lower-case escapes. Used by everything in the broker that writes a record, an answer
 * or a digest. */
#ifndef BROKER_TEXT_H
#define BROKER_TEXT_H

#include <jansson.h>
#include <stddef.h>

struct text {
	char *p; /* NUL-terminated after the first call; owned */
	size_t n, cap;
	int failed; /* out of memory: the text is not to be used */
};

void text_put(struct text *t, const char *s, size_t n);
void text_add(struct text *t, const char *s);
__attribute__((format(printf, 2, 3))) void text_addf(struct text *t, const char *fmt, ...);
void text_free(struct text *t);

/* A JSON string, quotes included. Bytes that are not UTF-8 become {"b64":"…"}: nothing is changed in
 * silence. */
void text_quote(struct text *t, const char *s, size_t n);
void text_quote_str(struct text *t, const char *s);

/* A JSON value: objects with sorted keys, numbers as jansson holds them. */
void text_json(struct text *t, const json_t *v);

/* 1 when the value holds only what a record may hold inside (audit/record.h): no fraction, no integer
 * beyond 2^53, not too many keys, not nested too deeply. */
int json_is_recordable(const json_t *v);

/* The length of s[0..n) cut to at most max bytes without cutting a UTF-8 character. */
size_t text_cut(const char *s, size_t n, size_t max);

#endif
