/* Attacks on a log at rest, by the numbers of the specification's list (section 4): what verify must say
 * to each. The log is the vector of 600 records, intact but for having no genesis record (exit 4). */
#include <sodium.h>

#include "audit/proof.h"
#include "audit/verify.h"
#include "tests/lib/audit_rig.h"

static char dir[64];
static struct entries entries;
static struct verify_report report;
static struct note_signer *signer;

static void setup(void)
{
	scratch_copy(dir, "v600");
	load_entries("v600", &entries);
	signer = vector_signer(VECTOR_ORIGIN, 0);
}

static void teardown(void)
{
	scratch_remove(dir);
	note_signer_free(signer);
}

static void verify_with(const struct note_vkey *key)
{
	int fd = dir_open(dir, NULL);

	verify_dir(fd, &(struct verify_options){.key = key}, &report);
	close(fd);
}

static int has_kind(const char *kind)
{
	for (uint32_t i = 0; i < report.kept; i++) {
		if (strcmp(report.finding[i].kind, kind) == 0)
			return 1;
	}
	return 0;
}

static void expect(enum verify_result result, const char *kind)
{
	verify_with(NULL);
	if (report.result != result || !has_kind(kind))
		ck_abort_msg("expected %d %s, got %d %s: %s", result, kind, report.result,
			report.finding[report.nfindings > 1].kind,
			report.finding[report.nfindings > 1].text);
	ck_assert(result != VERIFY_TAMPERED || report.signed_prefix <= report.structure_prefix);
}

static void expect_bad(const char *kind, uint64_t first, uint64_t prefix)
{
	expect(VERIFY_TAMPERED, kind);
	ck_assert(report.has_bad);
	ck_assert_uint_eq(report.first_bad, first);
	ck_assert_uint_eq(report.structure_prefix, prefix);
}

/* Where entry i begins (its length prefix) in its bundle. */
static size_t offset_of(uint64_t i)
{
	size_t at = 0;

	for (uint64_t j = i / TILE_WIDTH * TILE_WIDTH; j < i; j++)
		at += 2 + entries.e[j].n;
	return at;
}

static void flip(const char *path, size_t at)
{
	struct file f = slurp(dir, path);

	ck_assert_uint_lt(at, f.n);
	f.p[at] ^= 1;
	spew(dir, path, f.p, f.n);
	free(f.p);
}

static void remove_file(const char *path)
{
	int fd = dir_open(dir, NULL);

	ck_assert_int_eq(unlinkat(fd, path, 0), 0);
	close(fd);
}

static void replace(const char *path, const char *from, const char *to)
{
	struct file f = slurp(dir, path);
	char *at = memmem(f.p, f.n, from, strlen(from)), out[4096];
	size_t head;

	ck_assert_ptr_nonnull(at);
	head = (size_t)(at - (char *)f.p);
	memcpy(out, f.p, head);
	memcpy(out + head, to, strlen(to));
	memcpy(out + head + strlen(to), at + strlen(from), f.n - head - strlen(from));
	spew(dir, path, out, f.n - strlen(from) + strlen(to));
	free(f.p);
}

static struct span span_of(const char *s)
{
	return (struct span){s, strlen(s)};
}

START_TEST(n00_the_untouched_log_is_intact)
{
	expect(VERIFY_WARNINGS, "GENESIS");
	ck_assert_uint_eq(report.structure_prefix, 600);
	ck_assert_uint_eq(report.signed_prefix, 600);
	ck_assert_uint_eq(report.seals, 11);
	ck_assert_uint_eq(report.cosignatures, 2);
	ck_assert_uint_eq(report.nfindings, 2); /* and no key of the first seal */
}
END_TEST

START_TEST(n01_a_byte_of_an_entry_is_flipped)
{
	/* ..."npm","install","pkg301"... : still JSON, still index 301 */
	const char *pkg = memmem(entries.e[301].p, entries.e[301].n, "\"pkg", 4);

	flip("tile/entries/001", offset_of(301) + 2 + (size_t)(pkg - entries.e[301].p) + 2);
	expect_bad("ENTRY", 301, 301);
}
END_TEST

START_TEST(n01_every_single_byte_of_a_bundle_counts)
{
	scratch_remove(dir);
	scratch_copy(dir, "v5");
	load_entries("v5", &entries);
	for (size_t at = 0; at < 790; at++) {
		flip("tile/entries/000.p/5", at);
		verify_with(NULL);
		ck_assert_int_eq(report.result, VERIFY_TAMPERED);
		flip("tile/entries/000.p/5", at);
	}
	verify_with(NULL);
	ck_assert_int_eq(report.result, VERIFY_WARNINGS);
}
END_TEST

START_TEST(n02_a_byte_of_a_level_0_tile_is_flipped)
{
	flip("tile/0/001", 32 * 10 + 3);
	expect(VERIFY_TAMPERED, "TILE");
	ck_assert(!report.has_bad); /* the entries are intact, and it says so */
	ck_assert_uint_eq(report.structure_prefix, 600);
	ck_assert_uint_eq(report.finding[1].index, 266);
}
END_TEST

START_TEST(n03_a_byte_of_an_upper_tile_is_flipped)
{
	flip("tile/1/000.p/2", 40);
	expect(VERIFY_TAMPERED, "TILE");
	ck_assert(!report.has_bad);
}
END_TEST

static void cut_entry(uint64_t i)
{
	for (size_t j = i; j + 1 < entries.n; j++)
		entries.e[j] = entries.e[j + 1];
	entries.n--;
}

START_TEST(n04_an_entry_is_deleted_from_its_bundle)
{
	struct file f = slurp(dir, "tile/entries/001");
	size_t at = offset_of(400), n = 2 + entries.e[400].n;

	memmove(f.p + at, f.p + at + n, f.n - at - n);
	spew(dir, "tile/entries/001", f.p, f.n - n);
	expect_bad("RECORD", 400, 400);
	ck_assert(has_kind("BUNDLE"));
}
END_TEST

START_TEST(n05_an_entry_is_deleted_and_the_rest_pulled_forward)
{
	cut_entry(400);
	write_bundles(dir, &entries);
	expect_bad("RECORD", 400, 400);
}
END_TEST

START_TEST(n06_the_last_bundle_is_dropped)
{
	remove_file("tile/entries/002.p/88");
	expect(VERIFY_UNDECIDED, "MISSING");
	ck_assert_uint_eq(report.structure_prefix, 512);
}
END_TEST

START_TEST(n06_a_bundle_in_the_middle_is_dropped)
{
	remove_file("tile/entries/001");
	expect(VERIFY_UNDECIDED, "MISSING");
	ck_assert_uint_eq(report.structure_prefix, 256);
}
END_TEST

START_TEST(n06_a_bundle_and_its_tile_are_dropped)
{
	remove_file("tile/entries/001");
	remove_file("tile/0/001");
	expect(VERIFY_UNDECIDED, "MISSING");
}
END_TEST

START_TEST(n07_two_entries_are_swapped)
{
	struct span x = entries.e[100];

	entries.e[100] = entries.e[200];
	entries.e[200] = x;
	write_bundles(dir, &entries);
	expect_bad("RECORD", 100, 100);
}
END_TEST

START_TEST(n08_an_entry_is_copied_over_another)
{
	entries.e[301] = entries.e[302];
	write_bundles(dir, &entries);
	expect_bad("RECORD", 301, 301);
}
END_TEST

START_TEST(n09_two_bundles_are_swapped)
{
	struct file a = slurp(dir, "tile/entries/000"), b = slurp(dir, "tile/entries/001");

	spew(dir, "tile/entries/000", b.p, b.n);
	spew(dir, "tile/entries/001", a.p, a.n);
	expect_bad("RECORD", 0, 0);
}
END_TEST

START_TEST(n10_a_bundle_is_cut_in_the_middle_of_a_record)
{
	struct file f = slurp(dir, "tile/entries/001");

	spew(dir, "tile/entries/001", f.p, offset_of(300) + 40);
	expect_bad("BUNDLE", 300, 300);
}
END_TEST

START_TEST(n11_two_records_are_merged_by_their_length)
{
	struct file f = slurp(dir, "tile/entries/000");
	size_t at = offset_of(50), n = entries.e[50].n + 2 + entries.e[51].n;

	f.p[at] = (unsigned char)(n >> 8);
	f.p[at + 1] = (unsigned char)n;
	spew(dir, "tile/entries/000", f.p, f.n);
	expect_bad("RECORD", 50, 50);
}
END_TEST

static char changed[200];

/* Another package in record 301, as an attacker who knows the format would write it. */
static void change_301(void)
{
	snprintf(changed, sizeof changed, "%.*s", (int)entries.e[301].n, entries.e[301].p);
	memcpy(strstr(changed, "pkg301"), "pkg666", 6);
	entries.e[301] = span_of(changed);
}

START_TEST(n12_entries_and_their_tile_are_rewritten_but_not_the_upper_tile)
{
	change_301();
	write_log(dir, &entries, signer, WRITE_BUNDLES | WRITE_TILES0);
	expect(VERIFY_TAMPERED, "ENTRY");
	ck_assert(report.has_bad);
	ck_assert_uint_eq(report.first_bad, 256);
	ck_assert_uint_eq(report.bad_end, 512);
	ck_assert_uint_eq(report.structure_prefix, 256);
}
END_TEST

START_TEST(n13_the_whole_tree_is_rewritten_under_the_old_checkpoint)
{
	change_301();
	write_log(dir, &entries, signer, WRITE_BUNDLES | WRITE_TILES0 | WRITE_UPPER);
	expect_bad("ROOT", 0, 0);
}
END_TEST

START_TEST(n14_the_size_of_the_checkpoint_is_one_less)
{
	replace("checkpoint", "\n600\n", "\n599\n");
	expect(VERIFY_TAMPERED, "CHECKPOINT");
	ck_assert_uint_eq(report.signed_prefix, 0);
}
END_TEST

START_TEST(n15_the_size_of_the_checkpoint_is_one_more)
{
	replace("checkpoint", "\n600\n", "\n601\n");
	expect(VERIFY_TAMPERED, "CHECKPOINT");
}
END_TEST

START_TEST(n16_the_root_of_the_checkpoint_is_another)
{
	replace("checkpoint", "VHX7", "VHX8");
	expect(VERIFY_TAMPERED, "CHECKPOINT");
	ck_assert_uint_eq(report.signed_prefix, 0);
}
END_TEST

START_TEST(n17_the_origin_is_another)
{
	replace("checkpoint", VECTOR_ORIGIN "\n600", "agentlog.example/dev2\n600");
	expect(VERIFY_TAMPERED, "CHECKPOINT");
}
END_TEST

START_TEST(n18_the_logs_signature_is_stripped)
{
	struct file f = slurp(dir, "checkpoint");
	char *line = strstr((char *)f.p, "\n\n") + 2, *end = strchr(line, '\n') + 1;

	memmove(line, end, f.n - (size_t)(end - (char *)f.p));
	spew(dir, "checkpoint", f.p, f.n - (size_t)(end - line));
	expect(VERIFY_TAMPERED, "CHECKPOINT");
	ck_assert_uint_eq(report.signed_prefix, 0);
	ck_assert_uint_eq(report.structure_prefix, 600);
}
END_TEST

START_TEST(n23_an_attackers_key_has_the_same_name)
{
	struct note_signer *evil = vector_signer(VECTOR_ORIGIN, 7);
	char vkey[NOTE_VKEY_MAX];
	size_t n = note_vkey_format(note_signer_vkey(evil), vkey);

	change_301();
	write_log(dir, &entries, evil, WRITE_ALL);
	expect(VERIFY_TAMPERED, "CHECKPOINT"); /* the directory still has the real key */
	spew(dir, "log.vkey", vkey, n);
	verify_with(note_signer_vkey(signer)); /* and if not, who has pinned it notices */
	ck_assert_int_eq(report.result, VERIFY_TAMPERED);
	ck_assert_uint_eq(report.signed_prefix, 0);
	note_signer_free(evil);
}
END_TEST

START_TEST(n23_a_genesis_record_names_the_key)
{
	struct note_signer *evil = vector_signer(VECTOR_ORIGIN, 7);
	char vkey[NOTE_VKEY_MAX], genesis[512];
	size_t n;

	note_vkey_format(note_signer_vkey(signer), vkey);
	snprintf(genesis, sizeof genesis, "{\"i\":0,\"k\":\"genesis\",\"v\":1,\"vkey\":\"%s\"}",
		vkey);
	entries.e[0] = span_of(genesis);
	write_log(dir, &entries, signer, WRITE_ALL);
	expect(VERIFY_WARNINGS, "SEALS");
	n = note_vkey_format(note_signer_vkey(evil), vkey);
	spew(dir, "log.vkey", vkey, n);
	write_log(dir, &entries, evil, WRITE_CHECKPOINT);
	expect(VERIFY_TAMPERED, "KEY");
	note_signer_free(evil);
}
END_TEST

START_TEST(n24_another_log_of_the_same_operator_is_put_in_its_place)
{
	struct note_signer *other = vector_signer("agentlog.example/dev2", 0);
	char vkey[NOTE_VKEY_MAX];
	size_t n = note_vkey_format(note_signer_vkey(other), vkey);

	write_log(dir, &entries, other, WRITE_ALL);
	expect(VERIFY_TAMPERED, "CHECKPOINT");
	spew(dir, "log.vkey", vkey, n);
	verify_with(note_signer_vkey(signer));
	ck_assert_int_eq(report.result, VERIFY_TAMPERED);
	spew(dir, "origin", VECTOR_ORIGIN "\n", sizeof VECTOR_ORIGIN);
	expect(VERIFY_TAMPERED, "ORIGIN");
	note_signer_free(other);
}
END_TEST

/* Signs any text as the log would sign a checkpoint. */
static void sign_text(const char *text)
{
	char note[2048];
	size_t n = note_sign(text, strlen(text), signer, note, sizeof note, NULL);

	ck_assert_uint_gt(n, 0);
	spew(dir, "checkpoint", note, n);
}

#define ROOT600 "VHX7VU2t1zW9r36GWfWfpFf4OHTU6xtr1k7+DZsfkJs="

START_TEST(n25_a_size_with_a_leading_zero_even_if_signed)
{
	sign_text(VECTOR_ORIGIN "\n0600\n" ROOT600 "\n");
	expect(VERIFY_TAMPERED, "CHECKPOINT");
	sign_text(VECTOR_ORIGIN "\n600\n" ROOT600 "\n");
	expect(VERIFY_WARNINGS, "GENESIS");
}
END_TEST

START_TEST(n26_line_ends_of_another_system)
{
	replace("checkpoint", "600\n", "600\r\n");
	expect(VERIFY_TAMPERED, "CHECKPOINT");
}
END_TEST

START_TEST(n27_junk_behind_the_checkpoint)
{
	struct file f = slurp(dir, "checkpoint");
	unsigned char *p = malloc(f.n + 8);

	memcpy(p, f.p, f.n);
	memcpy(p + f.n, "junk\n", 5);
	spew(dir, "checkpoint", p, f.n + 5);
	expect(VERIFY_TAMPERED, "CHECKPOINT");
	p[f.n] = '\n';
	spew(dir, "checkpoint", p, f.n + 1);
	expect(VERIFY_TAMPERED, "CHECKPOINT");
	free(p);
}
END_TEST

START_TEST(n28_a_checkpoint_torn_anywhere)
{
	struct file f = slurp(dir, "checkpoint");

	for (size_t n = 1; n < f.n; n += 7) {
		spew(dir, "checkpoint", f.p, n);
		verify_with(NULL);
		/* Whole lines of witnesses may be missing: that is for a witness policy to judge. */
		if (report.result != VERIFY_TAMPERED && f.p[n - 1] != '\n')
			ck_abort_msg("%zu bytes of a checkpoint were accepted", n);
	}
}
END_TEST

START_TEST(n29_an_empty_checkpoint)
{
	spew(dir, "checkpoint", "", 0);
	expect(VERIFY_TAMPERED, "CHECKPOINT");
}
END_TEST

START_TEST(n29_no_checkpoint)
{
	remove_file("checkpoint");
	expect(VERIFY_UNDECIDED, "CHECKPOINT");
}
END_TEST

START_TEST(n30_an_over_long_tile)
{
	struct file f = slurp(dir, "tile/0/002.p/88");
	unsigned char *p = malloc(f.n + 32);

	memcpy(p, f.p, f.n);
	memset(p + f.n, 0, 32);
	spew(dir, "tile/0/002.p/88", p, f.n + 32);
	expect(VERIFY_TAMPERED, "TILE");
	free(p);
}
END_TEST

START_TEST(n30_an_over_long_bundle)
{
	struct file f = slurp(dir, "tile/entries/002.p/88");
	unsigned char *p = malloc(f.n + 32);

	memcpy(p, f.p, f.n);
	memcpy(p + f.n, "\0\002{}", 4);
	spew(dir, "tile/entries/002.p/88", p, f.n + 4);
	expect(VERIFY_TAMPERED, "BUNDLE");
	free(p);
}
END_TEST

/* A writer gone bad signs it: the tree is right, the record is not. */
static void expect_record_refused(const char *record)
{
	entries.e[301] = span_of(record);
	write_log(dir, &entries, signer, WRITE_ALL);
	expect_bad("RECORD", 301, 301);
}

START_TEST(n31_records_that_are_no_records)
{
	expect_record_refused("{\"i\":301,\"k\":\"decision\",\"v\":1,\"x\":\"\xff\"}");
	expect_record_refused("{\"i\":301,\"k\":\"decision\",\"k\":\"decision\",\"v\":1}");
	expect_record_refused("{\"i\":302,\"k\":\"decision\",\"v\":1}");
	expect_record_refused("{\"i\":301,\"k\":\"decision\",\"v\":2}");
	expect_record_refused("{\"i\":301,\"k\":\"invented\",\"v\":1}");
	expect_record_refused("{\"i\":301,\"k\":\"decision\",\"v\":1,\"x\":1.5}");
	expect_record_refused("{\"i\":301,\"k\":\"decision\",\"v\":1,\"x\":9007199254740992}");
	expect_record_refused("[301]");
	expect_record_refused("");
}
END_TEST

START_TEST(n35_malicious_proofs)
{
	const struct note_vkey *key = note_signer_vkey(signer);
	struct file f = slurp(dir, "proof-300.tlog-proof");
	char text[8192];
	struct proof p, bad;

	ck_assert_int_eq(proof_parse((char *)f.p, f.n, &p, NULL), 0);
	ck_assert_int_eq(proof_check(&p, entries.e[300].p, entries.e[300].n, key, NULL), 0);
	ck_assert_int_ne(proof_check(&p, entries.e[301].p, entries.e[301].n, key, NULL), 0);
	bad = p;
	bad.n--;
	ck_assert_int_ne(proof_check(&bad, entries.e[300].p, entries.e[300].n, key, NULL), 0);
	bad = p;
	bad.n++;
	ck_assert_int_ne(proof_check(&bad, entries.e[300].p, entries.e[300].n, key, NULL), 0);
	bad = p;
	bad.index = 600;
	ck_assert_int_ne(proof_check(&bad, entries.e[300].p, entries.e[300].n, key, NULL), 0);
	bad.index = UINT64_MAX;
	ck_assert_int_ne(proof_check(&bad, entries.e[300].p, entries.e[300].n, key, NULL), 0);
	/* Text that the format does not have. */
	snprintf(text, sizeof text, "%sx", (char *)f.p);
	ck_assert(proof_parse(text, f.n + 1, &p, NULL) < 0 ||
		  proof_check(&p, entries.e[300].p, entries.e[300].n, key, NULL) < 0);
	snprintf(text, sizeof text, "%s", (char *)f.p);
	memcpy(strstr(text, "index 300"), "index 030", 9);
	ck_assert_int_lt(proof_parse(text, f.n, &p, NULL), 0);
	for (size_t n = 0; n < f.n; n += 3) {
		if (proof_parse((char *)f.p, n, &p, NULL) == 0 &&
			proof_check(&p, entries.e[300].p, entries.e[300].n, key, NULL) == 0)
			ck_assert(f.p[n - 1] == '\n'); /* whole witness lines are missing */
	}
}
END_TEST

static void plant(const char *path, const char *how)
{
	char full[200], target[256];

	snprintf(full, sizeof full, "%s/%s", dir, path);
	snprintf(target, sizeof target, "%s.real", full);
	ck_assert_int_eq(rename(full, target), 0);
	if (strcmp(how, "link") == 0)
		ck_assert_int_eq(symlink(target, full), 0);
	else if (strcmp(how, "fifo") == 0)
		ck_assert_int_eq(mkfifo(full, 0600), 0);
	else
		ck_assert_int_eq(mkdir(full, 0700), 0);
}

START_TEST(n36_links_fifos_and_directories_instead_of_files)
{
	plant("tile/0/001", "link");
	expect(VERIFY_TAMPERED, "TILE");
	teardown();
	setup();
	plant("tile/entries/001", "fifo");
	expect(VERIFY_TAMPERED, "BUNDLE");
	teardown();
	setup();
	plant("checkpoint", "fifo");
	expect(VERIFY_TAMPERED, "CHECKPOINT");
	teardown();
	setup();
	plant("tile/entries", "link");
	expect(VERIFY_TAMPERED, "BUNDLE");
	teardown();
	setup();
	plant("tile/0/001", "dir");
	expect(VERIFY_TAMPERED, "TILE");
}
END_TEST

START_TEST(n36_a_tile_of_10_gigabytes_costs_nothing)
{
	char path[200];

	snprintf(path, sizeof path, "%s/tile/0/001", dir);
	ck_assert_int_eq(truncate(path, 10ll << 30), 0);
	expect(VERIFY_TAMPERED, "TILE");
	snprintf(path, sizeof path, "%s/tile/entries/000", dir);
	ck_assert_int_eq(truncate(path, 10ll << 30), 0);
	expect(VERIFY_TAMPERED, "BUNDLE");
	snprintf(path, sizeof path, "%s/checkpoint", dir);
	ck_assert_int_eq(truncate(path, 10ll << 30), 0);
	expect(VERIFY_TAMPERED, "CHECKPOINT");
}
END_TEST

START_TEST(n36_a_checkpoint_that_claims_2_to_the_63_records)
{
	sign_text(VECTOR_ORIGIN "\n9223372036854775807\n" ROOT600 "\n");
	expect(VERIFY_UNDECIDED, "MISSING");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("audit_tamper");
	TCase *t = tcase_create("all");

	if (sodium_init() < 0)
		return 1;
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 20);
	tcase_add_test(t, n00_the_untouched_log_is_intact);
	tcase_add_test(t, n01_a_byte_of_an_entry_is_flipped);
	tcase_add_test(t, n01_every_single_byte_of_a_bundle_counts);
	tcase_add_test(t, n02_a_byte_of_a_level_0_tile_is_flipped);
	tcase_add_test(t, n03_a_byte_of_an_upper_tile_is_flipped);
	tcase_add_test(t, n04_an_entry_is_deleted_from_its_bundle);
	tcase_add_test(t, n05_an_entry_is_deleted_and_the_rest_pulled_forward);
	tcase_add_test(t, n06_the_last_bundle_is_dropped);
	tcase_add_test(t, n06_a_bundle_in_the_middle_is_dropped);
	tcase_add_test(t, n06_a_bundle_and_its_tile_are_dropped);
	tcase_add_test(t, n07_two_entries_are_swapped);
	tcase_add_test(t, n08_an_entry_is_copied_over_another);
	tcase_add_test(t, n09_two_bundles_are_swapped);
	tcase_add_test(t, n10_a_bundle_is_cut_in_the_middle_of_a_record);
	tcase_add_test(t, n11_two_records_are_merged_by_their_length);
	tcase_add_test(t, n12_entries_and_their_tile_are_rewritten_but_not_the_upper_tile);
	tcase_add_test(t, n13_the_whole_tree_is_rewritten_under_the_old_checkpoint);
	tcase_add_test(t, n14_the_size_of_the_checkpoint_is_one_less);
	tcase_add_test(t, n15_the_size_of_the_checkpoint_is_one_more);
	tcase_add_test(t, n16_the_root_of_the_checkpoint_is_another);
	tcase_add_test(t, n17_the_origin_is_another);
	tcase_add_test(t, n18_the_logs_signature_is_stripped);
	tcase_add_test(t, n23_an_attackers_key_has_the_same_name);
	tcase_add_test(t, n23_a_genesis_record_names_the_key);
	tcase_add_test(t, n24_another_log_of_the_same_operator_is_put_in_its_place);
	tcase_add_test(t, n25_a_size_with_a_leading_zero_even_if_signed);
	tcase_add_test(t, n26_line_ends_of_another_system);
	tcase_add_test(t, n27_junk_behind_the_checkpoint);
	tcase_add_test(t, n28_a_checkpoint_torn_anywhere);
	tcase_add_test(t, n29_an_empty_checkpoint);
	tcase_add_test(t, n29_no_checkpoint);
	tcase_add_test(t, n30_an_over_long_tile);
	tcase_add_test(t, n30_an_over_long_bundle);
	tcase_add_test(t, n31_records_that_are_no_records);
	tcase_add_test(t, n35_malicious_proofs);
	tcase_add_test(t, n36_links_fifos_and_directories_instead_of_files);
	tcase_add_test(t, n36_a_tile_of_10_gigabytes_costs_nothing);
	tcase_add_test(t, n36_a_checkpoint_that_claims_2_to_the_63_records);
	suite_add_tcase(s, t);
	return run_suite(s);
}
