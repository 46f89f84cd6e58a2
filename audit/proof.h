/* Inclusion and consistency proofs (RFC 6962 section 2.1, checked as RFC 9162 sections 2.1.3.2 and
 * 2.1.4.2 say) and the C2SP tlog-proof container. Used by agentctl and by tests; the daemon hands out
 * tiles, from which anyone makes proofs. Pure: no I/O, never trusts a length. */
#ifndef AUDIT_PROOF_H
#define AUDIT_PROOF_H

#include <stddef.h>
#include <stdint.h>

#include "audit/note.h"
#include "audit/tree.h"
#include "common/error.h"
#include "common/io.h"

#define PROOF_MAX 65 /* hashes in the longest proof */

/* Gives the root of the perfect subtree of 2^level leaves that starts at leaf index·2^level. 0, or -1
 * when it is not known. */
typedef int proof_hash_fn(void *ctx, unsigned level, uint64_t index, struct tree_hash *out);

/* Makes the proof that leaf index is in the tree of this size, leaf's sibling first. 0, or -1 when
 * index >= size or the callback failed. */
int proof_make_inclusion(uint64_t index, uint64_t size, proof_hash_fn *get, void *ctx,
	struct tree_hash path[PROOF_MAX], size_t *n);
/* Makes the proof that the tree of size old is a prefix of the tree of this size. 0 or -1. */
int proof_make_consistency(uint64_t old, uint64_t size, proof_hash_fn *get, void *ctx,
	struct tree_hash path[PROOF_MAX], size_t *n);

/* The one length an inclusion proof may have; -1 when index >= size. */
int proof_inclusion_length(uint64_t index, uint64_t size);

/* 1 when the proof holds, else 0. */
int proof_check_inclusion(uint64_t index, uint64_t size, const struct tree_hash *path, size_t n,
	const struct tree_hash *leaf, const struct tree_hash *root);
int proof_check_consistency(uint64_t old, uint64_t size, const struct tree_hash *path, size_t n,
	const struct tree_hash *old_root, const struct tree_hash *root);

/* A parsed tlog-proof (c2sp.org/tlog-proof@v1). The spans point into the text it was parsed from. */
struct proof {
	uint64_t index;
	size_t n;
	struct tree_hash path[PROOF_MAX];
	struct span extra; /* base64 as in the text; not authenticated. n is 0 without one */
	struct span note; /* the checkpoint */
};

/* Strict: anything the format does not have is an error. 0 or -1. */
int proof_parse(const char *text, size_t n, struct proof *out, struct error *e);
/* Writes the container, without an extra line. Returns the length, or 0 when cap is too small. */
size_t proof_format(const struct proof *p, char *buf, size_t cap);
/* Checks all of it: the log's signature, the origin, the exact length of the path, and that the entry
 * is leaf p->index of the signed tree. 0, or -1 and what is wrong. */
int proof_check(const struct proof *p, const void *entry, size_t n, const struct note_vkey *log,
	struct error *e);

#endif
