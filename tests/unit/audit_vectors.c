/* The audit log's formats against vectors made by other people's programs, byte for byte: leaves, roots,
 * proofs, notes, checkpoints, tiles, bundles, tlog-proofs; and every proof of every tree up to 70 leaves. */
#include <jansson.h>
#include <sodium.h>

#include "audit/b64.h"
#include "audit/checkpoint.h"
#include "audit/crc32c.h"
#include "audit/proof.h"
#include "tests/lib/audit_rig.h"

static struct entries entries;

static void hex_of(const struct tree_hash *h, char out[65])
{
	sodium_bin2hex(out, 65, h->b, sizeof h->b);
}

static void assert_hash(const struct tree_hash *h, const json_t *want)
{
	char hex[65];

	hex_of(h, hex);
	ck_assert_str_eq(hex, json_string_value(want));
}

/* Perfect subtrees of a small tree, by definition. */
struct leaves {
	struct tree_hash h[2000];
};

static int subtree(void *ctx, unsigned level, uint64_t index, struct tree_hash *out)
{
	const struct leaves *l = ctx;
	struct tree_hash a, b;

	if (level == 0) {
		*out = l->h[index];
		return 0;
	}
	subtree(ctx, level - 1, 2 * index, &a);
	subtree(ctx, level - 1, 2 * index + 1, &b);
	tree_node_hash(&a, &b, out);
	return 0;
}

/* MTH by the recursive definition of RFC 6962, as a check on the compact range. */
static void mth(const struct tree_hash *d, size_t n, struct tree_hash *out)
{
	struct tree_hash l, r;
	size_t k = 1;

	if (n == 1) {
		*out = *d;
		return;
	}
	while (k * 2 < n)
		k *= 2;
	mth(d, k, &l);
	mth(d + k, n - k, &r);
	tree_node_hash(&l, &r, out);
}

static struct leaves leaves;

static void hash_entries(const char *vector)
{
	load_entries(vector, &entries);
	for (size_t i = 0; i < entries.n; i++)
		tree_leaf_hash(entries.e[i].p, entries.e[i].n, &leaves.h[i]);
}

START_TEST(leaves_and_roots_are_those_of_v5)
{
	json_t *v = json_load_file(VECTORS "v5/vectors.json", 0, NULL);
	struct tree *t = tree_new();
	struct tree_hash root;
	char key[4];

	hash_entries("v5");
	ck_assert_uint_eq(entries.n, 5);
	for (size_t i = 0; i <= 5; i++) {
		snprintf(key, sizeof key, "%zu", i);
		tree_root(t, &root);
		assert_hash(&root, json_object_get(json_object_get(v, "root"), key));
		if (i < 5) {
			assert_hash(&leaves.h[i], json_array_get(json_object_get(v, "leaf"), i));
			tree_append(t, &leaves.h[i]);
		}
	}
	tree_free(t);
	json_decref(v);
}
END_TEST

static void check_paths(const json_t *paths, int consistency)
{
	const char *key;
	json_t *want;

	json_object_foreach((json_t *)(uintptr_t)paths, key, want)
	{
		struct tree_hash path[PROOF_MAX];
		unsigned a, b;
		size_t n;

		ck_assert_int_eq(sscanf(key, "%u/%u", &a, &b), 2);
		ck_assert_int_eq(consistency
					 ? proof_make_consistency(a, b, subtree, &leaves, path, &n)
					 : proof_make_inclusion(a, b, subtree, &leaves, path, &n),
			0);
		ck_assert_uint_eq(n, json_array_size(want));
		for (size_t i = 0; i < n; i++)
			assert_hash(&path[i], json_array_get(want, i));
	}
}

START_TEST(proofs_are_those_of_v5)
{
	json_t *v = json_load_file(VECTORS "v5/vectors.json", 0, NULL);

	hash_entries("v5");
	ck_assert_uint_eq(json_object_size(json_object_get(v, "path")), 5);
	ck_assert_uint_gt(json_object_size(json_object_get(v, "cons")), 9);
	check_paths(json_object_get(v, "path"), 0);
	check_paths(json_object_get(v, "cons"), 1);
	json_decref(v);
}
END_TEST

static void compare_files(const char *a_dir, const char *b_dir, const char *path)
{
	struct file a = slurp(a_dir, path), b = slurp(b_dir, path);

	ck_assert_uint_eq(a.n, b.n);
	ck_assert_mem_eq(a.p, b.p, a.n);
	free(a.p);
	free(b.p);
}

static void build_and_compare(const char *vector, const char *const *paths)
{
	struct note_signer *s = vector_signer(VECTOR_ORIGIN, 0);
	char dir[64], from[64];
	struct file cp, want;

	snprintf(from, sizeof from, VECTORS "%s", vector);
	load_entries(vector, &entries);
	scratch_make(dir);
	write_log(dir, &entries, s, WRITE_ALL);
	for (; *paths; paths++)
		compare_files(dir, from, *paths);
	cp = slurp(dir, "checkpoint");
	want = slurp(from, "checkpoint.unwitnessed");
	ck_assert_uint_eq(cp.n, want.n);
	ck_assert_mem_eq(cp.p, want.p, cp.n);
	scratch_remove(dir);
	note_signer_free(s);
}

START_TEST(bundles_tiles_and_checkpoint_are_those_of_v5)
{
	build_and_compare(
		"v5", (const char *const[]){"tile/0/000.p/5", "tile/entries/000.p/5", NULL});
}
END_TEST

START_TEST(bundles_tiles_and_checkpoint_are_those_of_v600)
{
	build_and_compare("v600", (const char *const[]){"tile/0/000", "tile/0/001",
					  "tile/0/002.p/88", "tile/1/000.p/2", "tile/entries/000",
					  "tile/entries/001", "tile/entries/002.p/88", NULL});
}
END_TEST

static struct note_vkey *vector_vkey(const char *dir)
{
	struct file f = slurp(dir, "log.vkey");
	struct note_vkey *k = note_vkey_parse((char *)f.p, f.n, NULL);

	ck_assert_ptr_nonnull(k);
	free(f.p);
	return k;
}

static void check_tlog_proof(const char *dir, uint64_t index)
{
	struct note_vkey *k = vector_vkey(dir);
	char path[64], out[8192];
	struct proof p, made;
	struct file f, cp = slurp(dir, "checkpoint");
	size_t n;

	snprintf(path, sizeof path, "proof-%llu.tlog-proof", (unsigned long long)index);
	f = slurp(dir, path);
	ck_assert_int_eq(proof_parse((char *)f.p, f.n, &p, NULL), 0);
	ck_assert_uint_eq(p.index, index);
	ck_assert_int_eq(proof_check(&p, entries.e[index].p, entries.e[index].n, k, NULL), 0);
	ck_assert_int_ne(proof_check(&p, entries.e[index].p, entries.e[index].n - 1, k, NULL), 0);
	memset(&made, 0, sizeof made);
	made.index = index;
	ck_assert_int_eq(
		proof_make_inclusion(index, entries.n, subtree, &leaves, made.path, &made.n), 0);
	made.note = (struct span){(char *)cp.p, cp.n};
	n = proof_format(&made, out, sizeof out);
	ck_assert_uint_eq(n, f.n);
	ck_assert_mem_eq(out, f.p, n);
	note_vkey_free(k);
	free(f.p);
	free(cp.p);
}

START_TEST(tlog_proofs_are_those_of_the_vectors)
{
	hash_entries("v5");
	check_tlog_proof(VECTORS "v5", 0);
	check_tlog_proof(VECTORS "v5", 2);
	check_tlog_proof(VECTORS "v5", 4);
	hash_entries("v600");
	check_tlog_proof(VECTORS "v600", 0);
	check_tlog_proof(VECTORS "v600", 300);
	check_tlog_proof(VECTORS "v600", 599);
}
END_TEST

START_TEST(a_checkpoint_with_cosignatures_of_unknown_keys_opens)
{
	struct note_vkey *k = vector_vkey(VECTORS "v600");
	struct file cp = slurp(VECTORS "v600", "checkpoint"), old;
	struct checkpoint c;
	struct note *t;

	ck_assert_int_eq(checkpoint_open((char *)cp.p, cp.n, k, &c, NULL), 0);
	ck_assert_uint_eq(c.size, 600);
	ck_assert_str_eq(c.origin, VECTOR_ORIGIN);
	t = note_parse((char *)cp.p, cp.n, NULL);
	ck_assert_uint_eq(note_sigs(t), 3);
	note_free(t);
	old = slurp(VECTORS "v600", "checkpoint.old");
	ck_assert_int_eq(checkpoint_open((char *)old.p, old.n, k, &c, NULL), 0);
	note_vkey_free(k);
}
END_TEST

START_TEST(the_vkey_of_the_signed_note_specification_parses)
{
	static const char kat[] =
		"example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
	char out[NOTE_VKEY_MAX], bad[sizeof kat];
	struct note_vkey *k = note_vkey_parse(kat, sizeof kat - 1, NULL);

	ck_assert_ptr_nonnull(k);
	ck_assert_uint_eq(note_vkey_format(k, out), sizeof kat - 1);
	ck_assert_str_eq(out, kat);
	note_vkey_free(k);
	/* Not one character of it may be another one. */
	for (size_t i = 0; i < sizeof kat - 1; i++) {
		memcpy(bad, kat, sizeof kat);
		bad[i] = bad[i] == 'A' ? 'B' : 'A';
		k = note_vkey_parse(bad, sizeof kat - 1, NULL);
		if (k)
			ck_abort_msg("accepted %s", bad);
	}
}
END_TEST

START_TEST(every_inclusion_proof_up_to_70_leaves_holds_and_no_changed_one_does)
{
	struct tree *t = tree_new();
	struct tree_hash root, path[PROOF_MAX], wrong;
	size_t n;

	for (uint64_t i = 0; i < 70; i++)
		tree_leaf_hash(&i, sizeof i, &leaves.h[i]);
	for (uint64_t size = 1; size <= 70; size++) {
		tree_append(t, &leaves.h[size - 1]);
		tree_root(t, &root);
		mth(leaves.h, size, &wrong);
		ck_assert(tree_hash_equal(&root, &wrong));
		for (uint64_t i = 0; i < size; i++) {
			ck_assert_int_eq(
				proof_make_inclusion(i, size, subtree, &leaves, path, &n), 0);
			ck_assert_int_eq((int)n, proof_inclusion_length(i, size));
			ck_assert(proof_check_inclusion(i, size, path, n, &leaves.h[i], &root));
			ck_assert(!proof_check_inclusion(
				i, size, path, n, &leaves.h[(i + 1) % 70], &root));
			ck_assert(
				!proof_check_inclusion(i, size, path, n + 1, &leaves.h[i], &root));
			if (n) {
				ck_assert(!proof_check_inclusion(
					i, size, path, n - 1, &leaves.h[i], &root));
				path[n - 1].b[7] ^= 1;
				ck_assert(!proof_check_inclusion(
					i, size, path, n, &leaves.h[i], &root));
			}
		}
	}
	ck_assert_int_eq(proof_inclusion_length(70, 70), -1);
	tree_free(t);
}
END_TEST

static struct tree_hash roots[71];

START_TEST(every_consistency_proof_up_to_70_leaves_holds_and_no_changed_one_does)
{
	struct tree *t = tree_new();
	struct tree_hash path[PROOF_MAX];
	size_t n;

	for (uint64_t i = 0; i < 70; i++)
		tree_leaf_hash(&i, sizeof i, &leaves.h[i]);
	for (size_t i = 0; i <= 70; i++) {
		tree_root(t, &roots[i]);
		if (i < 70)
			tree_append(t, &leaves.h[i]);
	}
	for (uint64_t b = 0; b <= 70; b++) {
		for (uint64_t a = 0; a <= b; a++) {
			ck_assert_int_eq(
				proof_make_consistency(a, b, subtree, &leaves, path, &n), 0);
			ck_assert(proof_check_consistency(a, b, path, n, &roots[a], &roots[b]));
			ck_assert(
				!proof_check_consistency(a, b, path, n + 1, &roots[a], &roots[b]));
			if (a != b && a)
				ck_assert(!proof_check_consistency(
					a, b, path, n, &roots[b], &roots[b]));
			for (size_t i = 0; i < n; i++) {
				path[i].b[i] ^= 4;
				ck_assert(!proof_check_consistency(
					a, b, path, n, &roots[a], &roots[b]));
				path[i].b[i] ^= 4;
			}
			if (n)
				ck_assert(!proof_check_consistency(
					a, b, path, n - 1, &roots[a], &roots[b]));
		}
	}
	ck_assert(!proof_check_consistency(5, 4, path, 0, &roots[5], &roots[4]));
	tree_free(t);
}
END_TEST

START_TEST(base64_has_one_spelling)
{
	static const char *const bad[] = {"Zg", "Zg=", "Zh==", "Zg===", "Zm9=", "Z", "Zm9v\n",
		" Zm9v", "Zm\xb3v", "Zm9v!", "Zm-v", "Zg==Zg=="};
	unsigned char out[16];
	size_t got = 0;

	ck_assert_int_eq(b64_decode(out, sizeof out, "Zm9vYg==", 8, &got), 0);
	ck_assert_uint_eq(got, 4);
	ck_assert_mem_eq(out, "foob", 4);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		if (b64_decode(out, sizeof out, bad[i], strlen(bad[i]), &got) == 0)
			ck_abort_msg("accepted %s", bad[i]);
	}
}
END_TEST

START_TEST(a_tree_of_70000_leaves_has_the_tiles_of_the_specification)
{
	ck_assert_uint_eq(tile_full(70000, 0), 273);
	ck_assert_uint_eq(tile_partial(70000, 0), 112);
	ck_assert_uint_eq(tile_full(70000, 1), 1);
	ck_assert_uint_eq(tile_partial(70000, 1), 17);
	ck_assert_uint_eq(tile_full(70000, 2), 0);
	ck_assert_uint_eq(tile_partial(70000, 2), 1);
	ck_assert_uint_eq(tile_partial(70000, 3), 0);
}
END_TEST

START_TEST(a_tile_has_one_name)
{
	static const char *const bad[] = {"tile/0/x000/000", "tile/00/000", "tile/0/000.p/0",
		"tile/0/000.p/256", "tile/0/000.p/05", "tile/0/0000", "tile/0/x001/x000", "tile/0/",
		"tile/0/000/", "tile/0/../000", "tile/0/000.p/5/", "tile//000", "tile/entries/1",
		"tile/0/x999/x999/x999/x999/x999/x999/x999/999", "tile/-1/000", "/tile/0/000"};
	char buf[TILE_PATH_CAP];
	int level;
	uint64_t index;
	unsigned width;

	tile_path(buf, 3, 1234067, TILE_WIDTH);
	ck_assert_str_eq(buf, "tile/3/x001/x234/067");
	tile_path(buf, TILE_ENTRIES, 0, 5);
	ck_assert_str_eq(buf, "tile/entries/000.p/5");
	for (uint64_t n = 1; n; n = n * 37 > n ? n * 37 : 0) {
		tile_path(buf, 7, n, 255);
		ck_assert_int_eq(tile_path_parse(buf, &level, &index, &width), 0);
		ck_assert(level == 7 && index == n && width == 255);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		if (tile_path_parse(bad[i], &level, &index, &width) == 0)
			ck_abort_msg("accepted %s", bad[i]);
	}
}
END_TEST

START_TEST(crc32c_is_that_of_rfc_3720)
{
	unsigned char zero[32] = {0}, up[32];

	for (unsigned char i = 0; i < 32; i++)
		up[i] = i;
	ck_assert_uint_eq(crc32c(0, "123456789", 9), 0xe3069283);
	ck_assert_uint_eq(crc32c_portable(0, "123456789", 9), 0xe3069283);
	ck_assert_uint_eq(crc32c(0, zero, 32), 0x8a9136aa);
	ck_assert_uint_eq(crc32c(0, up, 32), 0x46dd794e);
	ck_assert_uint_eq(crc32c_portable(crc32c(0, up, 13), up + 13, 19), 0x46dd794e);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("audit_vectors");
	TCase *t = tcase_create("all");

	tcase_add_test(t, leaves_and_roots_are_those_of_v5);
	tcase_add_test(t, proofs_are_those_of_v5);
	tcase_add_test(t, bundles_tiles_and_checkpoint_are_those_of_v5);
	tcase_add_test(t, bundles_tiles_and_checkpoint_are_those_of_v600);
	tcase_add_test(t, tlog_proofs_are_those_of_the_vectors);
	tcase_add_test(t, a_checkpoint_with_cosignatures_of_unknown_keys_opens);
	tcase_add_test(t, the_vkey_of_the_signed_note_specification_parses);
	tcase_add_test(t, every_inclusion_proof_up_to_70_leaves_holds_and_no_changed_one_does);
	tcase_add_test(t, every_consistency_proof_up_to_70_leaves_holds_and_no_changed_one_does);
	tcase_add_test(t, base64_has_one_spelling);
	tcase_add_test(t, a_tree_of_70000_leaves_has_the_tiles_of_the_specification);
	tcase_add_test(t, a_tile_has_one_name);
	tcase_add_test(t, crc32c_is_that_of_rfc_3720);
	suite_add_tcase(s, t);
	return run_suite(s);
}
