/* The base: up to where the log's entries have left the write-ahead log for bundles and tiles that are
 * on stable storage. It is the peaks of the tree there and a checkpoint of that size, signed by the log
 * itself, so that a restart need not read old entries and yet trusts no unsigned hash. In wal/base;
 * there is none until the first segment has been left. */
#ifndef AUDIT_BASE_H
#define AUDIT_BASE_H

#include <stdint.h>

#include "audit/note.h"
#include "audit/tree.h"
#include "common/error.h"

struct base {
	uint64_t size; /* a multiple of TILE_WIDTH; 0: no base yet */
	size_t n;
	struct tree_hash peak[TREE_PEAKS];
};

/* Reads wal/base and checks it against its signature; a missing file is a base of size 0. 0 or -1. */
int base_load(int logdir, const struct note_vkey *log, struct base *out, struct error *e);
/* Replaces it, durably. 0 or -1. */
int base_store(int logdir, const struct note_signer *signer, const struct base *b, struct error *e);

/* Signs the head of this tree; the note goes to buf. Returns its length or 0. */
size_t base_sign(const struct note_signer *signer, uint64_t size, const struct tree_hash *root,
	char *buf, size_t cap, struct error *e);

#endif
