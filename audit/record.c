/* Checking and canonical writing of records; see record.h. Must never let two byte strings that differ
 * stand for one record it wrote, nor change a value on the way. */
#include "audit/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

#define INT_LIMIT ((json_int_t)1 << 53)
#define KEYS_MAX  1024u /* in one object */
#define TIME_CAP  64

enum { ESSENTIAL = 4 }; /* beside enum record_source */

static const struct kind {
	const char *name;
	unsigned flags;
} kinds[] = {
	/* sorted */
	{"approval", RECORD_FROM_BROKER},
	{"boot", RECORD_FROM_RECORDER},
	{"clock", RECORD_FROM_RECORDER},
	{"config", RECORD_FROM_BROKER},
	{"decision", RECORD_FROM_BROKER}, /* essential when it denies */
	{"disclose", 0},
	{"export", 0},
	{"freeze", RECORD_FROM_BROKER | ESSENTIAL},
	{"full", RECORD_FROM_RECORDER | ESSENTIAL},
	{"gap", RECORD_FROM_BROKER},
	{"genesis", RECORD_FROM_RECORDER},
	{"heartbeat", RECORD_FROM_RECORDER},
	{"kill", RECORD_FROM_BROKER | ESSENTIAL},
	{"policy", RECORD_FROM_BROKER},
	{"prune", 0},
	{"recover", RECORD_FROM_RECORDER | ESSENTIAL},
	{"redact", 0},
	{"refused", RECORD_FROM_BROKER | ESSENTIAL},
	{"rekey", 0},
	{"request", RECORD_FROM_BROKER},
	{"result", RECORD_FROM_BROKER},
	{"role", RECORD_FROM_BROKER | ESSENTIAL},
	{"seal", RECORD_FROM_RECORDER},
	{"session.end", RECORD_FROM_BROKER | ESSENTIAL},
	/* Begins an epoch, see common/msg.h; it must not keep the kill or the end behind it out. */
	{"session.resume", RECORD_FROM_BROKER | ESSENTIAL},
	{"session.start", RECORD_FROM_BROKER},
	{"shard", 0},
	{"stop", RECORD_FROM_RECORDER | ESSENTIAL},
	{"thaw", RECORD_FROM_BROKER},
	{"trust", RECORD_FROM_BROKER},
	{"unlatch", RECORD_FROM_BROKER},
	{"untrust", RECORD_FROM_BROKER},
	{"witness", 0},
};

static int compare_kind(const void *key, const void *entry)
{
	return strcmp(key, ((const struct kind *)entry)->name);
}

/* The kind's flags, or -1. */
static int kind_flags(const char *k)
{
	const struct kind *hit = bsearch(k, kinds, ARRAY_LEN(kinds), sizeof kinds[0], compare_kind);

	return hit ? (int)hit->flags : -1;
}

int record_kind_known(const char *k)
{
	return kind_flags(k) >= 0;
}

/* ---- writing ---- */

struct out {
	char *p;
	size_t n, cap;
	int full;
};

static void put(struct out *o, const char *s, size_t n)
{
	if (o->cap - o->n < n) {
		o->full = 1;
		return;
	}
	memcpy(o->p + o->n, s, n);
	o->n += n;
}

/* RFC 8785 section 3.2.2.2: the short escapes, else \u00 and lower-case hex. */
static void put_escape(struct out *o, unsigned char c)
{
	static const char from[] = "\b\t\n\f\r\"\\", to[] = "btnfr\"\\", hex[] = "0123456789abcdef";
	const char *at = memchr(from, c, sizeof from - 1);
	const char brief[2] = {'\\', at ? to[at - from] : 0};
	const char full[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};

	if (at)
		put(o, brief, sizeof brief);
	else
		put(o, full, sizeof full);
}

static void put_string(struct out *o, const char *s, size_t n)
{
	size_t plain = 0; /* start of what needs no escape */

	put(o, "\"", 1);
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		put(o, s + plain, i - plain);
		put_escape(o, c);
		plain = i + 1;
	}
	put(o, s + plain, n - plain);
	put(o, "\"", 1);
}

/* Order of UTF-16 code units, which is that of UTF-8 bytes but for characters beyond U+FFFF: these are
 * surrogates there and sort before U+E000. */
static int compare_keys(const void *a, const void *b)
{
	const unsigned char *x = *(const unsigned char *const *)a,
			    *y = *(const unsigned char *const *)b;

	while (*x && *x == *y) {
		x++;
		y++;
	}
	if (*x >= 0xee && *y >= 0xee && (*x >= 0xf0) != (*y >= 0xf0))
		return *x >= 0xf0 ? -1 : 1;
	return (int)*x - (int)*y;
}

static void put_value(struct out *o, const json_t *v, unsigned depth);

static void put_object(struct out *o, const json_t *v, unsigned depth)
{
	const char *few[32], **keys = few, *key;
	size_t n = 0, count = json_object_size(v);
	json_t *value;

	if (count > ARRAY_LEN(few))
		keys = calloc(count, sizeof *keys);
	if (!keys) {
		o->full = 1;
		return;
	}
	json_object_foreach((json_t *)(uintptr_t)v, key, value) keys[n++] = key;
	qsort(keys, n, sizeof *keys, compare_keys);
	put(o, "{", 1);
	for (size_t i = 0; i < n; i++) {
		if (i)
			put(o, ",", 1);
		put_string(o, keys[i], strlen(keys[i]));
		put(o, ":", 1);
		put_value(o, json_object_get(v, keys[i]), depth + 1);
	}
	put(o, "}", 1);
	if (keys != few)
		free(keys);
}

static void put_array(struct out *o, const json_t *v, unsigned depth)
{
	put(o, "[", 1);
	for (size_t i = 0; i < json_array_size(v); i++) {
		if (i)
			put(o, ",", 1);
		put_value(o, json_array_get(v, i), depth + 1);
	}
	put(o, "]", 1);
}

static void put_integer(struct out *o, json_int_t i)
{
	char num[24];
	int n = snprintf(num, sizeof num, "%" JSON_INTEGER_FORMAT, i);

	put(o, num, (size_t)n);
}

static void put_value(struct out *o, const json_t *v, unsigned depth)
{
	if (depth > RECORD_DEPTH) {
		o->full = 1;
		return;
	}
	switch (json_typeof(v)) {
	case JSON_OBJECT:
		put_object(o, v, depth);
		break;
	case JSON_ARRAY:
		put_array(o, v, depth);
		break;
	case JSON_STRING:
		put_string(o, json_string_value(v), json_string_length(v));
		break;
	case JSON_INTEGER:
		put_integer(o, json_integer_value(v));
		break;
	case JSON_TRUE:
		put(o, "true", 4);
		break;
	case JSON_FALSE:
		put(o, "false", 5);
		break;
	case JSON_NULL:
		put(o, "null", 4);
		break;
	default: /* JSON_REAL: refused before */
		o->full = 1;
		break;
	}
}

size_t record_write(const json_t *value, char *buf, size_t cap)
{
	struct out o = {.p = buf, .cap = cap};

	put_value(&o, value, 0);
	return o.full ? 0 : o.n;
}

/* ---- checking ---- */

static const char *fault_of(const json_t *v, unsigned depth);

static const char *fault_of_object(const json_t *v, unsigned depth)
{
	const char *key, *fault = NULL;
	json_t *value;

	if (json_object_size(v) > KEYS_MAX)
		return "too many keys in one object";
	json_object_foreach((json_t *)(uintptr_t)v, key, value)
	{
		fault = fault_of(value, depth + 1);
		if (fault)
			break;
	}
	return fault;
}

/* What no record may hold, or NULL. */
static const char *fault_of(const json_t *v, unsigned depth)
{
	const char *fault = NULL;

	if (depth > RECORD_DEPTH)
		return "nested too deeply";
	if (json_is_object(v))
		return fault_of_object(v, depth);
	if (json_is_array(v)) {
		for (size_t i = 0; i < json_array_size(v) && !fault; i++)
			fault = fault_of(json_array_get(v, i), depth + 1);
		return fault;
	}
	if (json_is_real(v))
		return "a number that is not an integer";
	if (json_is_integer(v) &&
		(json_integer_value(v) >= INT_LIMIT || json_integer_value(v) <= -INT_LIMIT))
		return "an integer of 2^53 or more";
	return NULL;
}

json_t *record_parse(const char *json, size_t n, struct error *e)
{
	json_error_t je;
	json_t *o;
	const char *fault;

	if (n > ENTRY_MAX) {
		error_set(e, 0, "a record of %zu bytes; at most %u fit", n, ENTRY_MAX);
		return NULL;
	}
	o = json_loadb(json, n, JSON_REJECT_DUPLICATES, &je);
	if (!o) {
		error_set(e, 0, "not valid JSON: %s", je.text);
		return NULL;
	}
	fault = json_is_object(o) ? fault_of(o, 0) : "not an object";
	if (fault) {
		error_set(e, 0, "the record has %s", fault);
		json_decref(o);
		return NULL;
	}
	return o;
}

json_int_t record_uid(const json_t *record)
{
	const json_t *uid = json_object_get(json_object_get(record, "a"), "uid");

	return json_is_integer(uid) ? json_integer_value(uid) : -1;
}

static int is_deny(const json_t *o)
{
	const char *v = json_string_value(json_object_get(json_object_get(o, "d"), "verdict"));

	return v && strcmp(v, "deny") == 0;
}

static int check_source(const json_t *o, enum record_source from, int *essential, struct error *e)
{
	static const char *const ours[] = {"v", "i", "t", "m", "b"};
	const char *k = json_string_value(json_object_get(o, "k"));
	int flags = k ? kind_flags(k) : -1;

	if (flags < 0 || !((unsigned)flags & from))
		return error_set(e, 0, "the record's kind (k) is missing or not one it may have");
	for (size_t i = 0; i < ARRAY_LEN(ours); i++) {
		if (json_object_get(o, ours[i]))
			return error_set(e, 0, "the record already has the field %s", ours[i]);
	}
	*essential = ((unsigned)flags & ESSENTIAL) || (strcmp(k, "decision") == 0 && is_deny(o));
	return 0;
}

/* RFC 3339 in UTC with nanoseconds. gmtime(3) would want the time zone's file, which the recorder
 * cannot open. The date is that of the proleptic Gregorian calendar, counted in years from March. */
static void format_time(char buf[TIME_CAP], uint64_t ns)
{
	uint64_t sec = ns / 1000000000u, day = sec / 86400 + 719468; /* since 0000-03-01 */
	unsigned of_day = (unsigned)(sec % 86400);
	unsigned era = (unsigned)(day / 146097), doe = (unsigned)(day % 146097);
	unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
	unsigned month = mp < 10 ? mp + 3 : mp - 9;

	snprintf(buf, TIME_CAP, "%04u-%02u-%02uT%02u:%02u:%02u.%09uZ",
		yoe + era * 400 + (month <= 2), month, doy - (153 * mp + 2) / 5 + 1, of_day / 3600,
		of_day / 60 % 60, of_day % 60, (unsigned)(ns % 1000000000u));
}

/* The days since 1970 of a date, counted as format_time does. */
static uint64_t days_of(uint64_t year, unsigned month, unsigned day)
{
	uint64_t y = month > 2 ? year : year - 1;
	unsigned mp = month > 2 ? month - 3 : month + 9;

	return y * 365 + y / 4 - y / 100 + y / 400 + (153 * mp + 2) / 5 + day - 1 - 719468;
}

/* n digits. 0 or -1. */
static int take_digits(const char **at, size_t n, unsigned *out)
{
	*out = 0;
	for (; n; n--, ++*at) {
		if (**at < '0' || **at > '9')
			return -1;
		*out = *out * 10 + (unsigned)(**at - '0');
	}
	++*at; /* what follows is compared below */
	return 0;
}

int record_time(const char *t, uint64_t *ns)
{
	unsigned year, month, day, hour, minute, second, fraction;
	const char *at = t;
	char again[TIME_CAP];

	if (strlen(t) != 30 || take_digits(&at, 4, &year) || take_digits(&at, 2, &month) ||
		take_digits(&at, 2, &day) || take_digits(&at, 2, &hour) ||
		take_digits(&at, 2, &minute) || take_digits(&at, 2, &second) ||
		take_digits(&at, 9, &fraction))
		return -1;
	if (year < 1970 || year > 2500 || month < 1 || month > 12 || day < 1 || day > 31)
		return -1;
	*ns = (days_of(year, month, day) * 86400 + hour * 3600u + minute * 60u + second) *
		      1000000000u +
	      fraction;
	format_time(again, *ns);
	return strcmp(again, t) == 0 ? 0 : -1;
}

static int add_common(json_t *o, uint64_t index, const struct record_stamp *when)
{
	char t[TIME_CAP];

	format_time(t, when->real_ns);
	return json_object_set_new(o, "v", json_integer(1)) < 0 ||
			       json_object_set_new(o, "i", json_integer((json_int_t)index)) < 0 ||
			       json_object_set_new(o, "t", json_string(t)) < 0 ||
			       json_object_set_new(
				       o, "m", json_integer((json_int_t)when->boot_us)) < 0 ||
			       json_object_set_new(o, "b", json_string(when->boot)) < 0
		       ? -1
		       : 0;
}

size_t record_encode_object(json_t *o, enum record_source from, uint64_t index,
	const struct record_stamp *when, char *buf, int *essential, struct error *e)
{
	size_t n;

	if (check_source(o, from, essential, e) < 0)
		return 0;
	if (add_common(o, index, when) < 0) {
		error_set(e, 0, "cannot complete the record");
		return 0;
	}
	n = record_write(o, buf, ENTRY_MAX);
	if (n == 0)
		error_set(
			e, 0, "the record is longer than %u bytes or nested too deeply", ENTRY_MAX);
	return n;
}

size_t record_encode(const char *json, size_t n, enum record_source from, uint64_t index,
	const struct record_stamp *when, char *buf, int *essential, struct error *e)
{
	json_t *o = record_parse(json, n, e);
	size_t len;

	if (!o)
		return 0;
	len = record_encode_object(o, from, index, when, buf, essential, e);
	json_decref(o);
	return len;
}
