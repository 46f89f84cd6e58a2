/* Seals: what makes the log forward-secure. Every commit ends in a leaf that signs the tree before it,
 * by a key that is used once and then erased, and names the key of the next seal. Who takes over the
 * machine later has no key for what was sealed before. Used by the log's writer (makes), by recovery and
 * verify (check). Pure.
 *
 * A seal is the leaf {"i":INDEX,"k":"seal","note":NOTE,"v":1}; NOTE is a signed note (note.h) by the key
 * named ORIGIN/seal, with the text
 *   ORIGIN/seal, INDEX, base64 of the root of leaves [0, INDEX), "epoch E", "next " and base64 of the
 *   public key of epoch E + 1, "time T" with T in nanoseconds since 1970 (CLOCK_REALTIME),
 * a line each. The public key of epoch 0 is in the genesis record. */
#ifndef AUDIT_SEAL_H
#define AUDIT_SEAL_H

#include <stddef.h>
#include <stdint.h>

#include "audit/note.h"
#include "audit/tree.h"
#include "common/error.h"
#include "common/io.h"

#define SEAL_SEED      32u
#define SEAL_SECRET    64u /* as libsodium has it: the seed, then the public key */
#define SEAL_PUB       32u
#define SEAL_LEAF_MAX  2048u /* bytes of a seal's leaf */
#define SEAL_SUFFIX    "/seal"
#define SEAL_TIME_SLOP 2000000000ull /* ns that clocks and records may be off by */

struct seal {
	uint64_t index; /* its place in the log; leaves before it are what it signs */
	uint64_t epoch;
	uint64_t time_ns;
	struct tree_hash root;
	unsigned char next[SEAL_PUB];
};

/* The name of a log's seal keys. 0, or -1 when the origin is too long for that. */
int seal_key_name(const char *origin, char name[NOTE_NAME_MAX + 1]);

/* Writes the leaf, signed with this key, which is the caller's to wipe. Returns its length, or 0 with *e
 * filled. */
size_t seal_write(const struct seal *s, const char *origin, const unsigned char secret[SEAL_SECRET],
	char *buf, size_t cap, struct error *e);

/* 1 when the leaf says that it is a seal. Looks at its first bytes only. */
int seal_is(const void *leaf, size_t n);

/* Takes a seal's leaf apart; one spelling only. Does not look at the signature. 0 or -1. */
int seal_parse(const void *leaf, size_t n, const char *origin, struct seal *out, struct error *e);

/* The same, and the signature must be by pub and no other. 0 or -1. */
int seal_open(const void *leaf, size_t n, const char *origin, const unsigned char pub[SEAL_PUB],
	struct seal *out, struct error *e);

/* Where a reader of the log is in the chain of seals. */
struct seal_chain {
	char origin[NOTE_NAME_MAX + 1];
	int begun; /* the key of the next seal is known */
	uint64_t epoch; /* of the next seal */
	uint64_t time_ns; /* of the last one; 0: there was none */
	unsigned char pub[SEAL_PUB]; /* of the next seal */
	unsigned char used[SEAL_PUB]; /* what the last one must be signed with */
};

/* Begins it with the key of epoch 0, as the genesis record has it: vkey of the name ORIGIN/seal. 0 or -1. */
int seal_chain_begin(struct seal_chain *c, const char *origin, const char *vkey, struct error *e);
/* Begins it behind a seal that is believed. 0 or -1. */
int seal_chain_resume(
	struct seal_chain *c, const char *origin, const void *leaf, size_t n, struct error *e);

/* The next seal: must stand at index, sign root (NULL: not compared), and be of the next epoch and not
 * before the one before; with verify, be signed by its key. Moves on. 0, or -1 and stays. */
int seal_chain_take(struct seal_chain *c, const void *leaf, size_t n, uint64_t index,
	const struct tree_hash *root, int verify, struct error *e);

#endif
