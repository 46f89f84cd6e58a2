/* Seals: what somebody who has the log's key, and later the whole machine, can no longer change. Attacks
 * L38 to L41, L48 and R49 to R52 of the specification, on logs that the library wrote. */
#include <errno.h>
#include <sodium.h>

#include "audit/publish.h"
#include "audit/reader.h"
#include "audit/record.h"
#include "audit/seal.h"
#include "audit/sealer.h"
#include "audit/tlog.h"
#include "audit/verify.h"
#include "tests/lib/audit_rig.h"

#define SLOTS "keys/seal.slots"

static char dir[64], origin[NOTE_NAME_MAX + 1], seal_vkey[NOTE_VKEY_MAX];
static int fd;
static struct wal_config config;
static struct error e;
static struct record_stamp when = {.boot_us = 5, .boot = "0123456789abcdef"};
static struct verify_report report;
static struct note_signer *signer; /* the log's: the attacker has it */
static struct entries entries;

static void stage(struct tlog *t, const char *json)
{
	static char buf[ENTRY_MAX];
	int essential;
	size_t n;

	n = record_encode(json, strlen(json),
		strstr(json, "clock") ? RECORD_FROM_RECORDER : RECORD_FROM_BROKER, tlog_next(t),
		&when, buf, &essential, &e);
	ck_assert_uint_gt(n, 0);
	ck_assert_int_eq(tlog_stage(t, buf, n), 0);
}

static void append(struct tlog *t, unsigned records)
{
	when.real_ns = io_now_real();
	for (unsigned i = 0; i < records; i++)
		stage(t, "{\"k\":\"result\",\"x\":\"abc\"}");
	ck_assert_int_eq(tlog_commit(t, &e), 0);
}

static struct tlog *must_open(void)
{
	struct tlog_recovery found;
	struct tlog *t = tlog_open(fd, &config, &found, &e);

	if (!t)
		ck_abort_msg("%s", e.text);
	return t;
}

static void must_refuse(const char *word)
{
	struct tlog_recovery found;
	struct tlog *t = tlog_open(fd, &config, &found, &e);

	ck_assert_ptr_null(t);
	ck_assert_int_eq(e.code, EBADMSG);
	if (!strstr(e.text, word))
		ck_abort_msg("expected %s: %s", word, e.text);
}

static void publish_all(struct tlog *t)
{
	struct publish *p = publish_open(fd, tlog_signer(t), &e);
	struct tree_hash root;

	tlog_root(t, &root);
	ck_assert_int_eq(publish_to(p, tlog_size(t), &root, &e), 0);
	publish_close(p);
}

static void setup(void)
{
	struct file f;

	scratch_make(dir);
	fd = dir_open(dir, NULL);
	config = (struct wal_config){.segment_bytes = 1 << 20};
	when.real_ns = io_now_real();
	ck_assert_int_eq(tlog_create(fd, &config, &when, &e), 0);
	f = slurp(dir, "origin");
	snprintf(origin, sizeof origin, "%.*s", (int)f.n - 1, (char *)f.p);
	f = slurp(dir, "keys/log.key");
	signer = note_signer_new(origin, f.p, &e);
	ck_assert_ptr_nonnull(signer);
}

static void teardown(void)
{
	note_signer_free(signer);
	close(fd);
	scratch_remove(dir);
}

static void verify(void)
{
	verify_dir(fd,
		&(struct verify_options){.key = note_signer_vkey(signer),
			.seal_vkey = seal_vkey[0] ? seal_vkey : NULL},
		&report);
}

static void expect(enum verify_result result, const char *kind)
{
	int has = !kind;

	verify();
	for (uint32_t i = 0; i < report.kept; i++)
		has |= kind && strcmp(report.finding[i].kind, kind) == 0;
	if (report.result != result || !has)
		ck_abort_msg("expected %d %s, got %d %s: %s", result, kind ? kind : "nothing",
			report.result, report.finding[0].kind, report.finding[0].text);
}

/* A log of seven commits as static files: what is left of it when it is copied elsewhere. */
static void static_log(void)
{
	struct tlog *t = must_open();
	struct reader *r;
	struct span s;
	json_t *o;

	for (int i = 0; i < 7; i++)
		append(t, 3);
	publish_all(t);
	tlog_close(t);
	r = reader_new(fd);
	entries.n = 0;
	while (reader_next(r, &s, &e) > 0) {
		char *copy = malloc(s.n);

		memcpy(copy, s.p, s.n);
		keep(copy);
		entries.e[entries.n++] = (struct span){copy, s.n};
	}
	reader_free(r);
	ck_assert_uint_eq(entries.n, 30);
	o = record_parse(entries.e[0].p, entries.e[0].n, &e);
	snprintf(seal_vkey, sizeof seal_vkey, "%s", json_string_value(json_object_get(o, "seal")));
	json_decref(o);
	run_quietly("rm", "-rf", "--", dir);
	mkdir(dir, 0700);
	close(fd);
	fd = dir_open(dir, NULL);
	write_log(dir, &entries, signer, WRITE_ALL);
}

/* With the log's key the attacker makes all hashes and the checkpoint anew. */
static void rebuild(void)
{
	run_quietly("rm", "-rf", "--", dir);
	mkdir(dir, 0700);
	close(fd);
	fd = dir_open(dir, NULL);
	write_log(dir, &entries, signer, WRITE_ALL);
}

START_TEST(an_honest_log_is_sealed_to_its_end)
{
	struct tlog *t = must_open();

	append(t, 3);
	append(t, 1);
	ck_assert_int_eq(tlog_seal(t, &e), 0); /* nothing came: a sign of life */
	publish_all(t);
	tlog_close(t);
	expect(VERIFY_OK, NULL);
	ck_assert_uint_eq(report.seals, 4);
	ck_assert_uint_eq(report.sealed_prefix, 9);
	ck_assert_uint_eq(report.size, 9);
	ck_assert(report.seals_checked);
}
END_TEST

START_TEST(a_copy_of_an_honest_log_is_sealed_to_its_end)
{
	static_log();
	expect(VERIFY_OK, NULL);
	ck_assert_uint_eq(report.sealed_prefix, 30);
}
END_TEST

START_TEST(l38_an_edited_record_under_a_new_signature_breaks_the_next_seal)
{
	static_log();
	for (size_t i = 1; i < entries.n; i++) {
		struct span was = entries.e[i];
		char *x, copy[4096];

		if (seal_is(was.p, was.n))
			continue;
		memcpy(copy, was.p, was.n);
		x = memmem(copy, was.n, "abc", 3);
		ck_assert_ptr_nonnull(x);
		*x = 'z';
		entries.e[i].p = copy;
		rebuild();
		expect(VERIFY_TAMPERED, "SEAL");
		ck_assert_uint_eq(report.signed_prefix, 30); /* the signature is good */
		ck_assert_uint_le(report.sealed_prefix, i);
		ck_assert_uint_ge(report.finding[0].index, i);
		ck_assert_uint_lt(report.finding[0].index, i + 4);
		entries.e[i] = was;
	}
}
END_TEST

/* A record without its seal of another index has another i: renumbers as the attacker would. */
static void remove_entry(size_t at)
{
	for (size_t i = at; i + 1 < entries.n; i++) {
		json_t *o = record_parse(entries.e[i + 1].p, entries.e[i + 1].n, &e);
		char *buf = malloc(ENTRY_MAX);

		keep(buf);
		json_object_set_new(o, "i", json_integer((json_int_t)i));
		entries.e[i] = (struct span){buf, record_write(o, buf, ENTRY_MAX)};
		json_decref(o);
	}
	entries.n--;
}

START_TEST(l39_a_record_cut_out_breaks_the_next_seal)
{
	static_log();
	remove_entry(3);
	rebuild();
	expect(VERIFY_TAMPERED, "SEAL");
	ck_assert_uint_eq(report.sealed_prefix, 2);
}
END_TEST

START_TEST(l40_a_seal_cut_out_breaks_the_chain)
{
	static_log();
	ck_assert(seal_is(entries.e[5].p, entries.e[5].n));
	remove_entry(5);
	rebuild();
	expect(VERIFY_TAMPERED, "SEAL");
	ck_assert_uint_eq(report.sealed_prefix, 2);
}
END_TEST

START_TEST(l41_old_epochs_sealed_with_another_key_break_the_chain)
{
	unsigned char secret[SEAL_SECRET], pub[SEAL_PUB];
	char *leaf = malloc(SEAL_LEAF_MAX);
	struct seal s;
	size_t n;

	keep(leaf);
	crypto_sign_keypair(pub, secret);
	static_log();
	ck_assert_int_eq(seal_parse(entries.e[5].p, entries.e[5].n, origin, &s, &e), 0);
	n = seal_write(&s, origin, secret, leaf, SEAL_LEAF_MAX, &e);
	ck_assert_uint_gt(n, 0);
	entries.e[5] = (struct span){leaf, n};
	rebuild();
	expect(VERIFY_TAMPERED, "SEAL");
	ck_assert_uint_eq(report.sealed_prefix, 2);
}
END_TEST

START_TEST(l48_a_record_behind_the_last_seal_is_noticed)
{
	static const char more[] = "{\"i\":30,\"k\":\"result\",\"v\":1}";

	static_log();
	entries.e[entries.n++] = (struct span){more, sizeof more - 1};
	rebuild();
	expect(VERIFY_TAMPERED, "UNSEALED_TAIL");
	ck_assert_uint_eq(report.sealed_prefix, 30);
}
END_TEST

START_TEST(a_genesis_of_the_attackers_own_does_not_pass_a_pinned_seal_key)
{
	char other[NOTE_VKEY_MAX];
	unsigned char pub[32] = {1};
	char name[NOTE_NAME_MAX + 1];
	struct note_vkey *k;

	static_log();
	ck_assert_int_eq(seal_key_name(origin, name), 0);
	k = note_vkey_new(name, pub, &e);
	note_vkey_format(k, other);
	note_vkey_free(k);
	snprintf(seal_vkey, sizeof seal_vkey, "%s", other);
	expect(VERIFY_TAMPERED, "SEAL");
	ck_assert_uint_eq(report.sealed_prefix, 0);
}
END_TEST

/* ---- the keys ---- */

START_TEST(r49_a_log_cut_at_a_seal_is_behind_its_keys)
{
	struct tlog *t = must_open();
	struct file wal;
	uint64_t cut;

	append(t, 2);
	tlog_close(t);
	wal = slurp(dir, "wal/00000000000000000000.wal");
	t = must_open();
	append(t, 2);
	cut = tlog_size(t);
	append(t, 2);
	tlog_close(t);
	ck_assert_uint_gt(cut, 0);
	/* power is cut; what comes back is the log of two commits ago */
	spew(dir, "wal/00000000000000000000.wal", wal.p, wal.n);
	must_refuse("LOG_BEHIND_KEYS");
	must_refuse("LOG_BEHIND_KEYS");
}
END_TEST

START_TEST(r49_even_one_commit_that_was_acknowledged_is_missed)
{
	struct tlog *t = must_open();
	struct file wal;

	append(t, 2);
	tlog_close(t);
	wal = slurp(dir, "wal/00000000000000000000.wal");
	t = must_open();
	append(t, 1);
	tlog_close(t);
	spew(dir, "wal/00000000000000000000.wal", wal.p, wal.n);
	must_refuse("LOG_BEHIND_KEYS");
}
END_TEST

START_TEST(r50_keys_that_are_wiped_foreign_or_old_are_refused)
{
	struct tlog *t = must_open();
	struct file old = slurp(dir, SLOTS), now;
	unsigned char *p;
	char other[64];
	int d;

	for (int i = 0; i < 5; i++)
		append(t, 1);
	tlog_close(t);
	now = slurp(dir, SLOTS);
	spew(dir, SLOTS, old.p, old.n);
	must_refuse("KEYS_BEHIND_LOG");
	p = calloc(1, now.n);
	spew(dir, SLOTS, p, now.n);
	must_refuse("KEYS_MISSING");
	free(p);
	spew(dir, SLOTS, now.p, 4096);
	must_refuse("KEYS_MISSING");
	unlinkat(fd, SLOTS, 0);
	must_refuse("KEYS_MISSING");
	/* those of another log */
	scratch_make(other);
	d = dir_open(other, NULL);
	ck_assert_int_eq(tlog_create(d, &config, &when, &e), 0);
	close(d);
	old = slurp(other, SLOTS);
	spew(dir, SLOTS, old.p, old.n);
	must_refuse("KEYS_MISSING");
	scratch_remove(other);
	spew(dir, SLOTS, now.p, now.n);
	tlog_close(must_open());
}
END_TEST

START_TEST(used_keys_are_gone_from_the_disk)
{
	struct file f = slurp(dir, SLOTS);
	unsigned char first[3][SEAL_SEED];
	struct tlog *t = must_open();

	for (size_t i = 0; i < 3; i++)
		memcpy(first[i], f.p + i * 4096 + 56, SEAL_SEED);
	/* epoch 0 sealed the genesis record: its slot has been used again already */
	ck_assert_int_eq(f.p[48], 3);
	for (int i = 0; i < 3; i++)
		append(t, 1);
	tlog_close(t);
	f = slurp(dir, SLOTS);
	for (size_t i = 1; i < 3; i++)
		ck_assert_ptr_null(memmem(f.p, f.n, first[i], SEAL_SEED));
}
END_TEST

static int fail_at;

static ssize_t failing_pwrite(int f, const void *p, size_t n, off_t at)
{
	if (fail_at && --fail_at == 0) {
		errno = EIO;
		return -1;
	}
	return pwrite(f, p, n, at);
}

START_TEST(a_key_that_cannot_be_stored_ends_the_log)
{
	struct tlog *t = must_open();

	sealer_set_pwrite(tlog_sealer(t), failing_pwrite);
	append(t, 1);
	fail_at = 1;
	stage(t, "{\"k\":\"result\"}");
	ck_assert_int_lt(tlog_commit(t, &e), 0);
	stage(t, "{\"k\":\"result\"}");
	ck_assert_int_lt(tlog_commit(t, &e), 0);
	tlog_close(t);
	tlog_close(must_open()); /* the key that was not stored is made again */
}
END_TEST

START_TEST(a_thread_stores_keys_and_says_when_it_cannot)
{
	struct tlog *t = must_open();

	ck_assert_int_eq(sealer_begin_thread(tlog_sealer(t), &e), 0);
	sealer_set_pwrite(tlog_sealer(t), failing_pwrite);
	for (int i = 0; i < 200; i++)
		append(t, 2);
	ck_assert_int_eq(sealer_wait(tlog_sealer(t), &e), 0);
	fail_at = 1;
	append(t, 1); /* durable; that its key is not replaced shows with the next one */
	stage(t, "{\"k\":\"result\"}");
	ck_assert_int_lt(tlog_commit(t, &e), 0);
	tlog_close(t);
	t = must_open();
	append(t, 1);
	publish_all(t);
	tlog_close(t);
	expect(VERIFY_OK, NULL);
}
END_TEST

START_TEST(a_torn_slot_is_made_again)
{
	struct tlog *t = must_open();
	unsigned char junk[100] = {1};
	struct file f;
	int s;

	append(t, 1); /* epoch 1: the key of epoch 4 is the newest, in slot 1 */
	tlog_close(t);
	s = openat(fd, SLOTS, O_RDWR);
	ck_assert_int_eq(pwrite(s, junk, sizeof junk, 4096 + 40), sizeof junk);
	close(s);
	t = must_open();
	for (int i = 0; i < 4; i++)
		append(t, 1);
	publish_all(t);
	tlog_close(t);
	f = slurp(dir, SLOTS);
	ck_assert_uint_eq(f.n, 3 * 4096);
	expect(VERIFY_OK, NULL);
}
END_TEST

/* ---- time ---- */

START_TEST(r51_a_record_with_another_time_is_backdated)
{
	struct tlog *t = must_open();

	append(t, 1);
	when.real_ns = io_now_real() - 3600 * 1000000000ull;
	stage(t, "{\"k\":\"result\"}");
	ck_assert_int_eq(tlog_commit(t, &e), 0);
	publish_all(t);
	tlog_close(t);
	expect(VERIFY_TAMPERED, "BACKDATED");
}
END_TEST

START_TEST(r51_nor_from_the_future)
{
	struct tlog *t = must_open();

	when.real_ns = io_now_real() + 3600 * 1000000000ull;
	stage(t, "{\"k\":\"result\"}");
	ck_assert_int_eq(tlog_commit(t, &e), 0);
	publish_all(t);
	tlog_close(t);
	expect(VERIFY_TAMPERED, "BACKDATED");
}
END_TEST

START_TEST(r52_a_clock_that_was_set_is_a_warning_when_the_log_says_so)
{
	struct tlog *t = must_open();

	append(t, 1);
	when.real_ns = io_now_real() - 3600 * 1000000000ull;
	stage(t, "{\"k\":\"clock\",\"set_ns\":-3600000000000}");
	tlog_clock_was_set(t);
	stage(t, "{\"k\":\"result\"}");
	ck_assert_int_eq(tlog_commit(t, &e), 0);
	publish_all(t);
	tlog_close(t);
	expect(VERIFY_WARNINGS, "CLOCK");
	ck_assert_uint_eq(report.sealed_prefix, report.size);
}
END_TEST

/* ---- the vectors ---- */

START_TEST(the_vectors_seals_form_a_chain)
{
	struct seal_chain c;
	struct tree *t = tree_new();
	unsigned seals = 0;
	struct file f = slurp(VECTORS "v600", "seal0.vkey");

	load_entries("v600", &entries);
	((char *)f.p)[f.n - 1] = 0;
	ck_assert_int_eq(seal_chain_begin(&c, VECTOR_ORIGIN, (char *)f.p, &e), 0);
	for (size_t i = 0; i < entries.n; i++) {
		struct tree_hash root, h;

		tree_root(t, &root);
		if (seal_is(entries.e[i].p, entries.e[i].n)) {
			if (seal_chain_take(&c, entries.e[i].p, entries.e[i].n, i, &root, 1, &e))
				ck_abort_msg("%s", e.text);
			seals++;
		}
		tree_leaf_hash(entries.e[i].p, entries.e[i].n, &h);
		tree_append(t, &h);
	}
	ck_assert_uint_eq(seals, 11);
	ck_assert_uint_eq(c.epoch, 11);
	tree_free(t);
}
END_TEST

START_TEST(a_seal_has_one_spelling)
{
	struct seal s;
	char copy[SEAL_LEAF_MAX + 1];
	struct span good;

	load_entries("v600", &entries);
	good = entries.e[50];
	ck_assert_int_eq(seal_parse(good.p, good.n, VECTOR_ORIGIN, &s, &e), 0);
	ck_assert(s.index == 50 && s.epoch == 0);
	for (size_t i = 0; i < good.n; i++) {
		struct seal other;

		memcpy(copy, good.p, good.n);
		copy[i] ^= 1;
		if (seal_parse(copy, good.n, VECTOR_ORIGIN, &other, &e) == 0)
			ck_assert_int_lt(
				seal_open(copy, good.n, VECTOR_ORIGIN, s.next, &other, &e), 0);
		ck_assert_int_lt(seal_parse(good.p, i, VECTOR_ORIGIN, &other, &e), 0);
	}
	memcpy(copy, good.p, good.n);
	copy[good.n] = ' ';
	ck_assert_int_lt(seal_parse(copy, good.n + 1, VECTOR_ORIGIN, &s, &e), 0);
	ck_assert_int_lt(seal_parse(good.p, good.n, "agentlog.example/dev2", &s, &e), 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("audit_seals");
	TCase *t = tcase_create("all");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 30);
	tcase_add_test(t, an_honest_log_is_sealed_to_its_end);
	tcase_add_test(t, a_copy_of_an_honest_log_is_sealed_to_its_end);
	tcase_add_test(t, l38_an_edited_record_under_a_new_signature_breaks_the_next_seal);
	tcase_add_test(t, l39_a_record_cut_out_breaks_the_next_seal);
	tcase_add_test(t, l40_a_seal_cut_out_breaks_the_chain);
	tcase_add_test(t, l41_old_epochs_sealed_with_another_key_break_the_chain);
	tcase_add_test(t, l48_a_record_behind_the_last_seal_is_noticed);
	tcase_add_test(t, a_genesis_of_the_attackers_own_does_not_pass_a_pinned_seal_key);
	tcase_add_test(t, r49_a_log_cut_at_a_seal_is_behind_its_keys);
	tcase_add_test(t, r49_even_one_commit_that_was_acknowledged_is_missed);
	tcase_add_test(t, r50_keys_that_are_wiped_foreign_or_old_are_refused);
	tcase_add_test(t, used_keys_are_gone_from_the_disk);
	tcase_add_test(t, a_key_that_cannot_be_stored_ends_the_log);
	tcase_add_test(t, a_thread_stores_keys_and_says_when_it_cannot);
	tcase_add_test(t, a_torn_slot_is_made_again);
	tcase_add_test(t, r51_a_record_with_another_time_is_backdated);
	tcase_add_test(t, r51_nor_from_the_future);
	tcase_add_test(t, r52_a_clock_that_was_set_is_a_warning_when_the_log_says_so);
	tcase_add_test(t, the_vectors_seals_form_a_chain);
	tcase_add_test(t, a_seal_has_one_spelling);
	suite_add_tcase(s, t);
	return run_suite(s);
}
