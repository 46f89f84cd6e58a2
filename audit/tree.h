/* The Merkle tree of RFC 6962 section 2.1 over SHA-256, as a compact range: only the roots of the
 * perfect subtrees are kept, so a tree of any size is at most 64 hashes. Used by everything that
 * computes or checks a root: the log's writer, the publisher, verify. Pure: no I/O. */
#ifndef AUDIT_TREE_H
#define AUDIT_TREE_H

#include <stddef.h>
#include <stdint.h>

#define TREE_PEAKS 64

struct tree_hash {
	unsigned char b[32];
};

/* SHA-256(0x00 ‖ data) and SHA-256(0x01 ‖ left ‖ right). */
void tree_leaf_hash(const void *data, size_t n, struct tree_hash *out);
void tree_node_hash(
	const struct tree_hash *left, const struct tree_hash *right, struct tree_hash *out);
int tree_hash_equal(const struct tree_hash *a, const struct tree_hash *b);

struct tree;

/* An empty tree; the caller frees it with tree_free. NULL when out of memory. */
struct tree *tree_new(void);
void tree_free(struct tree *t);

/* A tree of this size from the roots of its perfect subtrees, largest first. NULL when the number
 * of peaks is not the number of one-bits of size, or out of memory. */
struct tree *tree_from_peaks(uint64_t size, const struct tree_hash *peaks, size_t n);

void tree_append(struct tree *t, const struct tree_hash *leaf);
uint64_t tree_size(const struct tree *t);
/* Copies the peaks, largest first; out has room for TREE_PEAKS. Returns how many. */
size_t tree_peaks(const struct tree *t, struct tree_hash *out);
/* The root; of an empty tree SHA-256 of nothing. */
void tree_root(const struct tree *t, struct tree_hash *out);

#endif
