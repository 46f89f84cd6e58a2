/* The hashes of a tree, for proofs: from the tiles of a log's directory. What is made of them proves
 * nothing to who has not checked the checkpoint; a wrong tile gives a proof that does not hold. */
#ifndef AUDIT_HASHES_H
#define AUDIT_HASHES_H

#include <stdint.h>

#include "audit/tree.h"

struct hashes {
	int logdir; /* the caller's */
	uint64_t size; /* of the tree whose tiles are read */
};

/* The root of the perfect subtree of 2^level leaves at leaf index·2^level: a proof_hash_fn for a struct
 * hashes. 0, or -1 when a tile is missing. */
int hashes_get(void *ctx, unsigned level, uint64_t index, struct tree_hash *out);

#endif
