/* Records: one JSON object per leaf, in the RFC 8785 subset that the log keeps (keys sorted, no white
 * space, integers below 2^53, no floats, no duplicate keys, valid UTF-8). The recorder encodes through
 * here what the broker sends; readers and verify parse through here. Pure: no clock, no I/O. */
#ifndef AUDIT_RECORD_H
#define AUDIT_RECORD_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/tile.h"
#include "common/error.h"

struct record_stamp { /* when: set by the recorder on every record */
	uint64_t real_ns; /* t: CLOCK_REALTIME */
	uint64_t boot_us; /* m: CLOCK_BOOTTIME */
	char boot[17]; /* b: first 16 hex digits of the kernel's boot id */
};

enum record_source { RECORD_FROM_BROKER = 1, RECORD_FROM_RECORDER = 2 };

/* Checks a record (an object with a kind that this source may write, without v i t m b), adds these
 * fields and writes it canonically to buf, which has room for ENTRY_MAX bytes. *essential is set to 1
 * when it must be kept even when space runs out: what denies, kills or ends. Returns the length, or 0
 * with *e filled. */
size_t record_encode(const char *json, size_t n, enum record_source from, uint64_t index,
	const struct record_stamp *when, char *buf, int *essential, struct error *e);

/* The same for an object that is at hand; takes no reference. */
size_t record_encode_object(json_t *o, enum record_source from, uint64_t index,
	const struct record_stamp *when, char *buf, int *essential, struct error *e);

/* Parses a leaf as strictly as record_encode wrote it, but for order and white space: an object, no
 * duplicate key, no float, no integer of 2^53 or more, at most RECORD_DEPTH deep. NULL with *e filled;
 * the caller owns the reference. */
#define RECORD_DEPTH 32
json_t *record_parse(const char *json, size_t n, struct error *e);

/* 1 when k is a kind of record this version knows. */
int record_kind_known(const char *k);

/* a.uid of a parsed record, or -1 when it has none. */
json_int_t record_uid(const json_t *record);

/* Nanoseconds since 1970 of a record's t, as record_encode writes it and no other way. 0 or -1. */
int record_time(const char *t, uint64_t *ns);

/* Writes any strict value canonically. Returns the length, or 0 when cap is too small. */
size_t record_write(const json_t *value, char *buf, size_t cap);

#endif
