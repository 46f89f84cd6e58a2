/* Witnesses: what one signs and what it refuses (C2SP tlog-witness), trust policies, and what verify makes
 * of cosignatures and kept checkpoints. With the vectors' logs and keys. */
#include <errno.h>
#include <sodium.h>

#include "audit/b64.h"
#include "audit/checkpoint.h"
#include "audit/proof.h"
#include "audit/quorum.h"
#include "audit/verify.h"
#include "audit/witness.h"
#include "tests/lib/audit_rig.h"

static char dir[64], log_dir[64];
static int fd, log_fd;
static struct witness *w;
static struct witness_answer a;
static struct error e;
static struct note_signer *signer;
static struct verify_report report;

static void setup(void)
{
	char vkey[NOTE_VKEY_MAX];

	scratch_make(dir);
	fd = dir_open(dir, NULL);
	ck_assert_int_eq(witness_create(fd, "witness.example/t", &e), 0);
	w = witness_open(fd, &e);
	ck_assert_ptr_nonnull(w);
	signer = vector_signer(VECTOR_ORIGIN, 0);
	note_vkey_format(note_signer_vkey(signer), vkey);
	ck_assert_int_eq(witness_add_log(w, vkey, strlen(vkey), &e), 0);
	scratch_copy(log_dir, "v600");
	log_fd = dir_open(log_dir, NULL);
}

static void teardown(void)
{
	witness_close(w);
	note_signer_free(signer);
	close(fd);
	close(log_fd);
	scratch_remove(dir);
	scratch_remove(log_dir);
}

/* ---- requests ---- */

static void ask(const char *request, size_t n, int want)
{
	witness_add_checkpoint(w, request, n, 1790000777, &a);
	if (a.status != want)
		ck_abort_msg("expected %d, got %d: %.*s", want, a.status, (int)a.n, a.body);
}

static struct tree_hash root_of(const char *word)
{
	struct tree_hash h;

	crypto_hash_sha256(h.b, (const unsigned char *)word, strlen(word));
	return h;
}

/* A line of a proof. */
static void b64_line(char line[64], struct tree_hash h)
{
	size_t n = b64_encode(line, 64, h.b, sizeof h.b);

	memcpy(line + n, "\n", 2);
}

/* A checkpoint signed by the log, under "old N" and proof lines. */
static void offer(uint64_t old, const char *proof, uint64_t size, struct tree_hash root,
	const struct note_signer *by, int want)
{
	char note[2048], request[4096];
	size_t n = base_sign(by, size, &root, note, sizeof note, &e);
	int len = snprintf(request, sizeof request, "old %llu\n%s\n%.*s", (unsigned long long)old,
		proof, (int)n, note);

	ck_assert_uint_gt(n, 0);
	ask(request, (size_t)len, want);
}

START_TEST(the_vectors_request_is_signed_once_the_log_is_that_large)
{
	struct file f = slurp(VECTORS "v5", "add-checkpoint.req");
	struct tree_hash root3;
	char joined[2048];
	struct note *t;
	uint64_t when;
	int n;

	ask((char *)f.p, f.n, 409);
	ck_assert_mem_eq(a.body, "0\n", 2);
	ck_assert_int_eq(sodium_hex2bin(root3.b, 32,
				 "121650017a98ffceba1b808f7642534e2c132312f1059af503708bb8adc0a85b",
				 64, NULL, NULL, NULL),
		0);
	offer(0, "", 3, root3, signer, 200);
	ask((char *)f.p, f.n, 200);
	/* the line, under the checkpoint, is the witness's signature */
	n = snprintf(
		joined, sizeof joined, "%s%.*s", strstr((char *)f.p, "\n\n") + 2, (int)a.n, a.body);
	t = note_parse(joined, (size_t)n, &e);
	ck_assert_ptr_nonnull(t);
	ck_assert_int_eq(note_cosigned(t, witness_vkey(w), &when), 0);
	ck_assert_uint_eq(when, 1790000777);
	note_free(t);
	ask((char *)f.p, f.n, 409); /* it knows five now */
	ck_assert_mem_eq(a.body, "5\n", 2);
	offer(5, "", 5, root_of("another"), signer, 422);
}
END_TEST

START_TEST(what_does_not_extend_is_refused)
{
	struct note_signer *stranger = vector_signer("agentlog.example/other", 3);
	struct note_signer *thief = vector_signer(VECTOR_ORIGIN, 3);
	char line[64];

	b64_line(line, root_of("x"));
	offer(0, "", 10, root_of("a"), stranger, 404);
	offer(0, "", 10, root_of("a"), thief, 403);
	offer(11, "", 10, root_of("a"), signer, 400);
	offer(0, line, 10, root_of("a"), signer, 422);
	offer(0, "", 0, root_of("a"), signer, 422);
	offer(0, "", 10, root_of("a"), signer, 200);
	offer(10, "", 10, root_of("a"), signer, 200); /* the same again */
	offer(10, "", 10, root_of("b"), signer, 422);
	offer(10, line, 12, root_of("c"), signer, 422);
	offer(0, "", 12, root_of("c"), signer, 409);
	offer(0, "", 4, root_of("d"), signer, 409); /* back */
	offer(4, "", 4, root_of("d"), signer, 409);
	note_signer_free(stranger);
	note_signer_free(thief);
}
END_TEST

START_TEST(malformed_requests_are_refused)
{
	static const char *const bad[] = {"", "old", "old 0\n", "old 00\n\nx", "old -1\n\n",
		"old 0\n\n", "new 0\n\n", "old 0\nzzz\n\n",
		"old 0\n\nagentlog.example/dev1\n1\nzz\n\n— x y\n"};
	char many[64 * 64 + 16];
	size_t n = (size_t)snprintf(many, sizeof many, "old 0\n");
	char line[64];

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		ask(bad[i], strlen(bad[i]), 400);
	b64_line(line, root_of("x"));
	for (int i = 0; i < 64; i++)
		n += (size_t)snprintf(many + n, sizeof many - n, "%s", line);
	ask(many, n, 400);
	memset(many, 'a', sizeof many);
	ask(many, sizeof many, 400);
}
END_TEST

START_TEST(a_witness_that_starts_again_knows_what_it_signed)
{
	offer(0, "", 10, root_of("a"), signer, 200);
	witness_close(w);
	w = witness_open(fd, &e);
	offer(0, "", 5, root_of("b"), signer, 409);
	ck_assert_mem_eq(a.body, "10\n", 3);
}
END_TEST

/* Its state is all that it is there for: what is damaged is not "nothing". */
START_TEST(a_damaged_state_is_an_error_and_not_a_new_log)
{
	char hex[65], path[128];
	unsigned char h[32];

	offer(0, "", 10, root_of("a"), signer, 200);
	crypto_hash_sha256(h, (const unsigned char *)VECTOR_ORIGIN, strlen(VECTOR_ORIGIN));
	sodium_bin2hex(hex, sizeof hex, h, sizeof h);
	snprintf(path, sizeof path, "logs/%s/checkpoint", hex);
	spew(dir, path, "junk\n", 5);
	offer(0, "", 5, root_of("b"), signer, 500);
	offer(10, "", 10, root_of("a"), signer, 500);
}
END_TEST

START_TEST(of_sixteen_who_ask_at_once_for_two_histories_one_is_signed)
{
	int signed_for[2] = {0, 0};
	pid_t pid[16];

	for (int i = 0; i < 16; i++) {
		pid[i] = fork();
		if (pid[i] == 0) {
			char note[2048], request[4096];
			struct tree_hash root = root_of(i % 2 ? "a" : "b");
			size_t n = base_sign(signer, 7, &root, note, sizeof note, &e);
			int len = snprintf(request, sizeof request, "old 0\n\n%.*s", (int)n, note);

			witness_add_checkpoint(w, request, (size_t)len, 1790000777, &a);
			_exit(a.status == 200 ? 1 : 0);
		}
	}
	for (int i = 0; i < 16; i++) {
		int status;

		waitpid(pid[i], &status, 0);
		signed_for[i % 2] += WEXITSTATUS(status);
	}
	ck_assert_int_eq(signed_for[0] + signed_for[1], 1);
}
END_TEST

START_TEST(a_log_cannot_change_its_key)
{
	struct note_signer *other = vector_signer(VECTOR_ORIGIN, 3);
	char vkey[NOTE_VKEY_MAX];

	note_vkey_format(note_signer_vkey(other), vkey);
	ck_assert_int_lt(witness_add_log(w, vkey, strlen(vkey), &e), 0);
	note_vkey_format(note_signer_vkey(signer), vkey);
	ck_assert_int_eq(witness_add_log(w, vkey, strlen(vkey), &e), 0);
	note_signer_free(other);
}
END_TEST

/* ---- the vectors' cosignatures ---- */

static struct quorum *quorum_of(const char *text)
{
	struct quorum *q = quorum_parse(text, strlen(text), &e);

	if (!q)
		ck_abort_msg("%s", e.text);
	return q;
}

static struct quorum *vector_policy(void)
{
	struct file f = slurp(VECTORS "v600", "policy");
	struct quorum *q = quorum_parse((char *)f.p, f.n, &e);

	ck_assert_ptr_nonnull(q);
	return q;
}

START_TEST(a_cosignature_is_that_of_the_vectors)
{
	static const char body[] = "agentlog.example/dev1\n5\n"
				   "vEyI9TZB5/cwZZA0Al+kRI+bSRD0GxNqnalfbZUGPUA=\n";
	unsigned char seed[32], pub[32], secret[64];
	struct file f = slurp(VECTORS "v5", "checkpoint");
	struct note_vkey *k;
	char line[512];
	size_t n;

	memset(seed, 0x40, sizeof seed);
	crypto_sign_seed_keypair(pub, secret, seed);
	k = note_witness_new("witness.example/w1", pub, &e);
	n = note_cosign(body, sizeof body - 1, k, secret, 1790000005, line, sizeof line);
	ck_assert_ptr_nonnull(memmem(f.p, f.n, line, n));
	note_vkey_free(k);
}
END_TEST

static void verify_with(const struct quorum *q, const struct verify_known *known, size_t nknown)
{
	verify_dir(log_fd,
		&(struct verify_options){.key = note_signer_vkey(signer),
			.quorum = q,
			.known = known,
			.nknown = nknown},
		&report);
}

static int has_kind(const char *kind)
{
	for (uint32_t i = 0; i < report.kept; i++) {
		if (strcmp(report.finding[i].kind, kind) == 0)
			return 1;
	}
	return 0;
}

START_TEST(verify_counts_the_vectors_witnesses)
{
	struct quorum *q = vector_policy();

	verify_with(q, NULL, 0);
	ck_assert_int_eq(report.result, VERIFY_WARNINGS); /* no genesis record */
	ck_assert_uint_eq(report.witnessed_prefix, 600);
	ck_assert_uint_eq(report.witnesses, 2);
	ck_assert_uint_eq(report.witnessed_time, 1790000601); /* the later of the two */
	quorum_free(q);
}
END_TEST

/* The checkpoint's lines: origin, size, root, blank, log, w1, w2. */
static void edit_checkpoint(int drop, int twice)
{
	struct file f = slurp(log_dir, "checkpoint");
	char out[4096];
	size_t n = 0;
	int line = 0;

	for (char *p = (char *)f.p, *end = p + f.n; p < end; line++) {
		size_t len = (size_t)((char *)memchr(p, '\n', (size_t)(end - p)) - p) + 1;

		for (int i = 0; i < (line == drop ? 0 : line == twice ? 2 : 1); i++) {
			memcpy(out + n, p, len);
			n += len;
		}
		p += len;
	}
	spew(log_dir, "checkpoint", out, n);
}

START_TEST(n19_a_witness_that_was_cut_off_is_missed)
{
	struct quorum *q = vector_policy();

	edit_checkpoint(6, -1);
	verify_with(q, NULL, 0);
	ck_assert(report.result == VERIFY_TAMPERED && has_kind("QUORUM"));
	ck_assert_uint_eq(report.witnessed_prefix, 0);
	quorum_free(q);
	q = quorum_of("witness w1 witness.example/w1+cad5d722+"
		      "BGd6dNlk5KhP+lAlqLVTe1xKN61tFG6FR4Osc0aEogfE\nquorum w1\n");
	verify_with(q, NULL, 0);
	ck_assert(report.result == VERIFY_WARNINGS && report.witnessed_prefix == 600);
	quorum_free(q);
}
END_TEST

START_TEST(n20_a_witness_twice_is_one)
{
	struct quorum *q = vector_policy();

	edit_checkpoint(6, 5);
	verify_with(q, NULL, 0);
	ck_assert(report.result == VERIFY_TAMPERED && has_kind("QUORUM"));
	quorum_free(q);
}
END_TEST

START_TEST(n21_a_cosignature_with_another_time_is_none)
{
	struct quorum *q = vector_policy();
	struct file f = slurp(log_dir, "checkpoint");
	char *w2 = memmem(f.p, f.n, "FRbqqQAAAABq", 12);

	ck_assert_ptr_nonnull(w2);
	w2[11] = 'r';
	spew(log_dir, "checkpoint", f.p, f.n);
	verify_with(q, NULL, 0);
	ck_assert(report.result == VERIFY_TAMPERED && has_kind("COSIGNATURE"));
	quorum_free(q);
}
END_TEST

START_TEST(n22_cosignatures_of_another_size_are_none)
{
	struct quorum *q = vector_policy();
	struct file old = slurp(log_dir, "checkpoint"), five = slurp(VECTORS "v5", "checkpoint");
	char *from = memmem(five.p, five.n, "\xe2\x80\x94 witness.example/w1", 20);
	char *at = memmem(old.p, old.n, "\xe2\x80\x94 witness.example/w1", 20), out[4096];
	int n;

	ck_assert(from && at);
	n = snprintf(out, sizeof out, "%.*s%.*s", (int)(at - (char *)old.p), (char *)old.p,
		(int)((char *)five.p + five.n - from), from);
	spew(log_dir, "checkpoint", out, (size_t)n);
	verify_with(q, NULL, 0);
	ck_assert(report.result == VERIFY_TAMPERED && has_kind("COSIGNATURE"));
	quorum_free(q);
}
END_TEST

START_TEST(what_witnesses_signed_before_counts_for_that_prefix)
{
	struct quorum *q = vector_policy();
	struct file f = slurp(log_dir, "checkpoint"),
		    bare = slurp(log_dir, "checkpoint.unwitnessed");

	spew(log_dir, "checkpoint", bare.p, bare.n);
	verify_with(q, NULL, 0);
	ck_assert(has_kind("QUORUM"));
	spew(log_dir, VERIFY_COSIGNED, f.p, f.n);
	verify_with(q, NULL, 0);
	ck_assert(report.result == VERIFY_WARNINGS && report.witnessed_prefix == 600);
	quorum_free(q);
}
END_TEST

START_TEST(l43_l44_a_kept_checkpoint_shows_rollback_and_fork)
{
	struct checkpoint c;
	struct file f = slurp(log_dir, "checkpoint.old");
	struct verify_known known = {.label = "mine"};

	ck_assert_int_eq(checkpoint_open((char *)f.p, f.n, note_signer_vkey(signer), &c, &e), 0);
	known.size = c.size;
	known.root = c.root;
	verify_with(NULL, &known, 1);
	ck_assert(report.result == VERIFY_WARNINGS && report.known_held == 1);
	known.root.b[3] ^= 1;
	verify_with(NULL, &known, 1);
	ck_assert(report.result == VERIFY_TAMPERED && has_kind("FORK"));
	known.root = root_of("later");
	known.size = 601;
	verify_with(NULL, &known, 1);
	ck_assert(report.result == VERIFY_TAMPERED && has_kind("ROLLBACK"));
}
END_TEST

/* ---- trust policies ---- */

#define W1 "witness w1 witness.example/w1+cad5d722+BGd6dNlk5KhP+lAlqLVTe1xKN61tFG6FR4Osc0aEogfE\n"
#define W2 "witness w2 witness.example/w2+1516eaa9+BNuZX+JRadFByrm7upK6oB+fLh7OffTLKsBRkPN/zB+d\n"

static int met(const char *text)
{
	struct file f = slurp(log_dir, "checkpoint");
	struct note *t = note_parse((char *)f.p, f.n, &e);
	struct quorum *q = quorum_of(text);
	struct quorum_signed by;

	quorum_check(q, t, &by);
	note_free(t);
	quorum_free(q);
	return by.met;
}

START_TEST(groups_count_their_members)
{
	ck_assert(met(W1 W2 "group g all w1 w2\nquorum g\n"));
	ck_assert(met(W1 W2 "group g 2 w1 w2\nquorum g # both\n"));
	ck_assert(met(W1 W2 "group g any w1 w2\ngroup h all g w1\nquorum h\n"));
	ck_assert(met("quorum none\n"));
	edit_checkpoint(6, -1); /* without w2 */
	ck_assert(!met(W1 W2 "group g all w1 w2\nquorum g\n"));
	ck_assert(!met(W1 W2 "group g 2 w1 w2\nquorum g\n"));
	ck_assert(met(W1 W2 "group g any w1 w2\nquorum g\n"));
	ck_assert(!met(W1 W2 "group g any w1 w2\ngroup h all g w2\nquorum h\n"));
	ck_assert(!met(W1 W2 "quorum w2\n"));
}
END_TEST

START_TEST(malformed_policies_are_refused_with_their_line)
{
	static const struct {
		const char *text, *says;
	} bad[] = {{"", "quorum"}, {W1 "quorum w2\n", "line 2"}, {W1 W1 "quorum w1\n", "line 2"},
		{W1 "group g 2 w1\nquorum g\n", "line 2"},
		{W1 "group g 0 w1\nquorum g\n", "line 2"},
		{W1 "group g any w1 w1\nquorum g\n", "twice"},
		{"group g any g\nquorum g\n", "line 1"}, {W1 "quorum w1\nquorum w1\n", "second"},
		{"witness x junk\nquorum x\n", "line 1"}, {"logs x\n", "line 1"},
		{W1 "witness x witness.example/w1+cad5d722+"
		    "BGd6dNlk5KhP+lAlqLVTe1xKN61tFG6FR4Osc0aEogfE\nquorum x\n",
			"another name"},
		{"log agentlog.example/dev1+ed1a05e8+AAAA\nquorum none\n", "line 1"},
		{W1 "quorum w1\r\n", "character"}, {"witness none " W1 "quorum none\n", "line 1"}};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct quorum *q = quorum_parse(bad[i].text, strlen(bad[i].text), &e);

		if (q || !strstr(e.text, bad[i].says))
			ck_abort_msg("%zu: %s", i, q ? "accepted" : e.text);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("audit_witness");
	TCase *t = tcase_create("all");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 20);
	tcase_add_test(t, the_vectors_request_is_signed_once_the_log_is_that_large);
	tcase_add_test(t, what_does_not_extend_is_refused);
	tcase_add_test(t, malformed_requests_are_refused);
	tcase_add_test(t, a_witness_that_starts_again_knows_what_it_signed);
	tcase_add_test(t, a_damaged_state_is_an_error_and_not_a_new_log);
	tcase_add_test(t, of_sixteen_who_ask_at_once_for_two_histories_one_is_signed);
	tcase_add_test(t, a_log_cannot_change_its_key);
	tcase_add_test(t, a_cosignature_is_that_of_the_vectors);
	tcase_add_test(t, verify_counts_the_vectors_witnesses);
	tcase_add_test(t, n19_a_witness_that_was_cut_off_is_missed);
	tcase_add_test(t, n20_a_witness_twice_is_one);
	tcase_add_test(t, n21_a_cosignature_with_another_time_is_none);
	tcase_add_test(t, n22_cosignatures_of_another_size_are_none);
	tcase_add_test(t, what_witnesses_signed_before_counts_for_that_prefix);
	tcase_add_test(t, l43_l44_a_kept_checkpoint_shows_rollback_and_fork);
	tcase_add_test(t, groups_count_their_members);
	tcase_add_test(t, malformed_policies_are_refused_with_their_line);
	suite_add_tcase(s, t);
	return run_suite(s);
}
