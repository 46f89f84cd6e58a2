/* Checkpoints (C2SP tlog-checkpoint): origin, size, root hash, in a signed note. Made by the publisher,
 * read by verify and proofs. Pure. */
#ifndef AUDIT_CHECKPOINT_H
#define AUDIT_CHECKPOINT_H

#include <stddef.h>
#include <stdint.h>

#include "audit/note.h"
#include "audit/tree.h"
#include "common/error.h"

struct checkpoint {
	char origin[NOTE_NAME_MAX + 1];
	uint64_t size;
	struct tree_hash root;
};

/* Parses a note's text. Extension lines are accepted (and must not be empty) but not returned. 0 or -1. */
int checkpoint_parse(const char *text, size_t n, struct checkpoint *out, struct error *e);
/* Writes the text, never with extension lines. Returns its length, or 0 when cap is too small. */
size_t checkpoint_format(const struct checkpoint *c, char *buf, size_t cap);

/* Parses the note, checks that the log's key has signed it and that the origin is the key's name. 0,
 * or -1 and what is wrong. */
int checkpoint_open(const char *bytes, size_t n, const struct note_vkey *log,
	struct checkpoint *out, struct error *e);

/* Decimal without leading zeros; base64 of 32 bytes. 0 or -1. */
int checkpoint_parse_size(const char *p, size_t n, uint64_t *out);
int checkpoint_parse_hash(const char *p, size_t n, struct tree_hash *out);

#endif
