/* Proofs over the tree; see proof.h. Called by agentctl and tests; must accept nothing that is only
 * nearly right. */
#include "audit/proof.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "audit/b64.h"
#include "audit/checkpoint.h"

#define PROOF_HEAD "c2sp.org/tlog-proof@v1\n"

static unsigned bit_length(uint64_t x)
{
	return x ? 64 - (unsigned)__builtin_clzll(x) : 0;
}

/* Position of the highest one-bit; x >= 1. */
static unsigned top_bit(uint64_t x)
{
	return 63 - (unsigned)__builtin_clzll(x | 1);
}

/* Largest power of two below n; n >= 2. */
static uint64_t split_of(uint64_t n)
{
	return (uint64_t)1 << top_bit(n - 1);
}

/* Hash of leaves [lo, hi) where lo is a multiple of the largest power of two that is <= hi - lo: the
 * right fold over the perfect subtrees. */
static int range_hash(
	uint64_t lo, uint64_t hi, proof_hash_fn *get, void *ctx, struct tree_hash *out)
{
	struct tree_hash part[TREE_PEAKS];
	size_t n = 0;

	while (lo < hi) {
		unsigned level = top_bit(hi - lo);

		if (n == TREE_PEAKS || get(ctx, level, lo >> level, &part[n++]) < 0)
			return -1;
		lo += (uint64_t)1 << level;
	}
	if (n == 0)
		return -1;
	*out = part[n - 1];
	for (size_t i = n - 1; i-- > 0;)
		tree_node_hash(&part[i], out, out);
	return 0;
}

static void reverse(struct tree_hash *path, size_t n)
{
	for (size_t i = 0; i < n / 2; i++) {
		struct tree_hash h = path[i];
		path[i] = path[n - 1 - i];
		path[n - 1 - i] = h;
	}
}

int proof_make_inclusion(uint64_t index, uint64_t size, proof_hash_fn *get, void *ctx,
	struct tree_hash path[PROOF_MAX], size_t *n)
{
	uint64_t lo = 0, hi = size;

	*n = 0;
	if (index >= size)
		return -1;
	while (hi - lo > 1) {
		uint64_t mid = lo + split_of(hi - lo);
		int right = index >= mid;

		if (range_hash(right ? lo : mid, right ? mid : hi, get, ctx, &path[(*n)++]) < 0)
			return -1;
		if (right)
			lo = mid;
		else
			hi = mid;
	}
	reverse(path, *n);
	return 0;
}

int proof_make_consistency(uint64_t old, uint64_t size, proof_hash_fn *get, void *ctx,
	struct tree_hash path[PROOF_MAX], size_t *n)
{
	uint64_t lo = 0, hi = size;
	int whole = 1; /* the old tree's root is what the verifier has */

	*n = 0;
	if (old > size)
		return -1;
	if (old == 0 || old == size)
		return 0;
	while (old != hi) {
		uint64_t mid = lo + split_of(hi - lo);
		int right = old > mid;

		if (range_hash(right ? lo : mid, right ? mid : hi, get, ctx, &path[(*n)++]) < 0)
			return -1;
		if (right) {
			lo = mid;
			whole = 0;
		} else {
			hi = mid;
		}
	}
	if (!whole && range_hash(lo, hi, get, ctx, &path[(*n)++]) < 0)
		return -1;
	reverse(path, *n);
	return 0;
}

int proof_inclusion_length(uint64_t index, uint64_t size)
{
	unsigned k;

	if (index >= size)
		return -1;
	k = bit_length(index ^ (size - 1));
	return (int)k + (k < 64 ? __builtin_popcountll(index >> k) : 0);
}

int proof_check_inclusion(uint64_t index, uint64_t size, const struct tree_hash *path, size_t n,
	const struct tree_hash *leaf, const struct tree_hash *root)
{
	uint64_t fn = index, sn = size - 1;
	struct tree_hash r = *leaf;
	int want = proof_inclusion_length(index, size);

	if (want < 0 || n != (size_t)want)
		return 0;
	for (size_t i = 0; i < n; i++) {
		if (sn == 0)
			return 0;
		if ((fn & 1) || fn == sn) {
			tree_node_hash(&path[i], &r, &r);
			while (!(fn & 1) && fn) {
				fn >>= 1;
				sn >>= 1;
			}
		} else {
			tree_node_hash(&r, &path[i], &r);
		}
		fn >>= 1;
		sn >>= 1;
	}
	return sn == 0 && tree_hash_equal(&r, root);
}

int proof_check_consistency(uint64_t old, uint64_t size, const struct tree_hash *path, size_t n,
	const struct tree_hash *old_root, const struct tree_hash *root)
{
	uint64_t fn, sn;
	struct tree_hash fr, sr;
	size_t i = 0;

	if (old > size || n > PROOF_MAX)
		return 0;
	if (old == size)
		return n == 0 && tree_hash_equal(old_root, root);
	if (old == 0) {
		struct tree_hash empty;

		crypto_hash_sha256(empty.b, NULL, 0);
		return n == 0 && tree_hash_equal(old_root, &empty);
	}
	if ((old & (old - 1)) == 0)
		fr = *old_root; /* the proof leaves it out */
	else if (n)
		fr = path[i++];
	else
		return 0;
	fn = old - 1;
	sn = size - 1;
	while (fn & 1) {
		fn >>= 1;
		sn >>= 1;
	}
	sr = fr;
	for (; i < n; i++) {
		if (sn == 0)
			return 0;
		if ((fn & 1) || fn == sn) {
			tree_node_hash(&path[i], &fr, &fr);
			tree_node_hash(&path[i], &sr, &sr);
			while (!(fn & 1) && fn) {
				fn >>= 1;
				sn >>= 1;
			}
		} else {
			tree_node_hash(&sr, &path[i], &sr);
		}
		fn >>= 1;
		sn >>= 1;
	}
	return sn == 0 && tree_hash_equal(&fr, old_root) && tree_hash_equal(&sr, root);
}

/* Cuts the next line off *rest. 1, or 0 when no whole line is left. */
static int take_line(struct span *rest, struct span *line)
{
	const char *lf = rest->n ? memchr(rest->p, '\n', rest->n) : NULL;

	if (!lf)
		return 0;
	line->p = rest->p;
	line->n = (size_t)(lf - rest->p);
	rest->n -= line->n + 1;
	rest->p = lf + 1;
	return 1;
}

static int starts_with(struct span s, const char *prefix)
{
	size_t n = strlen(prefix);
	return s.n >= n && memcmp(s.p, prefix, n) == 0;
}

int proof_parse(const char *text, size_t n, struct proof *out, struct error *e)
{
	struct span rest = {text, n}, line;

	memset(out, 0, sizeof *out);
	if (!starts_with(rest, PROOF_HEAD))
		return error_set(e, 0, "not a c2sp.org/tlog-proof@v1 file");
	take_line(&rest, &line);
	if (!take_line(&rest, &line))
		return error_set(e, 0, "the proof ends too early");
	if (starts_with(line, "extra ")) {
		out->extra = (struct span){line.p + 6, line.n - 6};
		if (!take_line(&rest, &line))
			return error_set(e, 0, "the proof ends too early");
	}
	if (!starts_with(line, "index ") ||
		checkpoint_parse_size(line.p + 6, line.n - 6, &out->index) < 0)
		return error_set(e, 0, "the proof has no valid index line");
	for (;;) {
		if (!take_line(&rest, &line))
			return error_set(e, 0, "the proof ends too early");
		if (line.n == 0)
			break;
		if (out->n == PROOF_MAX)
			return error_set(e, 0, "the proof has too many hashes");
		if (checkpoint_parse_hash(line.p, line.n, &out->path[out->n++]) < 0)
			return error_set(e, 0, "a line of the proof is not a hash in base64");
	}
	out->note = rest;
	return 0;
}

size_t proof_format(const struct proof *p, char *buf, size_t cap)
{
	size_t at;
	int w = snprintf(buf, cap, PROOF_HEAD "index %llu\n", (unsigned long long)p->index);

	if (w < 0 || (size_t)w >= cap)
		return 0;
	at = (size_t)w;
	for (size_t i = 0; i < p->n; i++) {
		if (cap - at < 46)
			return 0;
		b64_encode(buf + at, cap - at, p->path[i].b, sizeof p->path[i].b);
		at += 44;
		buf[at++] = '\n';
	}
	if (cap - at < p->note.n + 1)
		return 0;
	buf[at++] = '\n';
	memcpy(buf + at, p->note.p, p->note.n);
	return at + p->note.n;
}

int proof_check(const struct proof *p, const void *entry, size_t n, const struct note_vkey *log,
	struct error *e)
{
	struct checkpoint c;
	struct tree_hash leaf;

	if (checkpoint_open(p->note.p, p->note.n, log, &c, e) < 0)
		return -1;
	if (proof_inclusion_length(p->index, c.size) < 0)
		return error_set(e, 0, "the proof is for entry %llu, but the tree has only %llu",
			(unsigned long long)p->index, (unsigned long long)c.size);
	if (p->n != (size_t)proof_inclusion_length(p->index, c.size))
		return error_set(e, 0, "the proof has %zu hashes instead of %d", p->n,
			proof_inclusion_length(p->index, c.size));
	tree_leaf_hash(entry, n, &leaf);
	if (!proof_check_inclusion(p->index, c.size, p->path, p->n, &leaf, &c.root))
		return error_set(
			e, 0, "the proof does not lead from this entry to the signed root");
	return 0;
}
