/* The strict YAML profile of policy documents, read with libyaml's events into a small tree. What
 * YAML has for convenience and a reviewer can be fooled with is an error here: anchors, aliases,
 * merge keys, tags, directives, several documents, duplicate keys, tabs, invisible characters.
 * Every scalar is a string exactly as typed. Used by the loader only; knows nothing of policy's
 * keys. */
#ifndef POLICY_YAML_H
#define POLICY_YAML_H

#include <stddef.h>

#include "policy/arena.h"
#include "policy/policy.h"

#define YAML_DEPTH_MAX   16u
#define YAML_ENTRIES_MAX 4096u /* of one list or mapping */

enum yaml_type { YAML_TEXT, YAML_LIST, YAML_MAPPING };

struct yaml_value {
	enum yaml_type type;
	int plain; /* a scalar without quotes */
	const char *text; /* NUL-terminated, without NUL, control characters only \n and \t */
	size_t len;
	unsigned line, column; /* from 1; columns count characters */
	const struct yaml_value *key; /* in a mapping: this value's key */
	struct yaml_value *first, *next; /* children; next sibling */
	size_t count; /* children */
};

/* The document's one root, or NULL with *e. The tree lives in the arena. */
struct yaml_value *yaml_parse(
	struct arena *a, const char *name, const char *text, size_t len, struct policy_error *e);

/* The value of a key, or NULL. */
const struct yaml_value *yaml_get(const struct yaml_value *mapping, const char *key);

/* Column of the byte at offset in a scalar; the scalar's own column when the source (text[0..len))
 * spells it with escapes or on several lines. */
unsigned yaml_column(const struct yaml_value *v, const char *text, size_t len, size_t offset);

/* The byte at line:column, len when there is none. */
size_t yaml_offset(const char *text, size_t len, unsigned line, unsigned column);

/* The rest of the source line that starts at line:column, quoted so that YAML takes it as one
 * string: what to paste in place of it. */
const char *yaml_quoted_rest(
	char *buf, size_t cap, const char *text, size_t len, unsigned line, unsigned column);

#endif
