/* RFC 6962 tree heads by compact range; see tree.h. Called by the log, the publisher and verify; must
 * never touch a file. */
#include "audit/tree.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

struct tree {
	uint64_t size;
	size_t n; /* peaks in use: the one-bits of size */
	struct tree_hash peak[TREE_PEAKS]; /* largest subtree first */
};

void tree_leaf_hash(const void *data, size_t n, struct tree_hash *out)
{
	static const unsigned char prefix = 0;
	crypto_hash_sha256_state s;

	crypto_hash_sha256_init(&s);
	crypto_hash_sha256_update(&s, &prefix, 1);
	crypto_hash_sha256_update(&s, data, n);
	crypto_hash_sha256_final(&s, out->b);
}

void tree_node_hash(
	const struct tree_hash *left, const struct tree_hash *right, struct tree_hash *out)
{
	unsigned char buf[1 + 2 * sizeof left->b];

	buf[0] = 1;
	memcpy(buf + 1, left->b, sizeof left->b);
	memcpy(buf + 1 + sizeof left->b, right->b, sizeof right->b);
	crypto_hash_sha256(out->b, buf, sizeof buf);
}

int tree_hash_equal(const struct tree_hash *a, const struct tree_hash *b)
{
	return memcmp(a->b, b->b, sizeof a->b) == 0;
}

struct tree *tree_new(void)
{
	return calloc(1, sizeof(struct tree));
}

void tree_free(struct tree *t)
{
	free(t);
}

struct tree *tree_from_peaks(uint64_t size, const struct tree_hash *peaks, size_t n)
{
	struct tree *t;

	if (n != (size_t)__builtin_popcountll(size))
		return NULL;
	t = tree_new();
	if (!t)
		return NULL;
	t->size = size;
	t->n = n;
	if (n)
		memcpy(t->peak, peaks, n * sizeof *peaks);
	return t;
}

void tree_append(struct tree *t, const struct tree_hash *leaf)
{
	struct tree_hash h = *leaf;

	for (uint64_t x = t->size; x & 1; x >>= 1)
		tree_node_hash(&t->peak[--t->n], &h, &h);
	t->peak[t->n++] = h;
	t->size++;
}

uint64_t tree_size(const struct tree *t)
{
	return t->size;
}

size_t tree_peaks(const struct tree *t, struct tree_hash *out)
{
	memcpy(out, t->peak, t->n * sizeof *out);
	return t->n;
}

void tree_root(const struct tree *t, struct tree_hash *out)
{
	if (t->n == 0) {
		crypto_hash_sha256(out->b, NULL, 0);
		return;
	}
	*out = t->peak[t->n - 1];
	for (size_t i = t->n - 1; i-- > 0;)
		tree_node_hash(&t->peak[i], out, out);
}
