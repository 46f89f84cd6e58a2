/* The recorder role over its real channels: what it records, refuses, publishes and shows, and that it
 * fails closed. */
#include <check.h>
#include <jansson.h>
#include <time.h>

#include "audit/dir.h"
#include "audit/reader.h"
#include "audit/sealer.h"
#include "audit/tlog.h"
#include "audit/verify.h"
#include "tests/lib/recorder_rig.h"

static struct rig rig;

static void setup(void)
{
	ck_assert_int_eq(rig_make(&rig), 0);
}

static void teardown(void)
{
	rig_remove(&rig);
}

static const char request[] = "{\"k\":\"request\",\"s\":\"s1\",\"n\":0,\"q\":\"q1\","
			      "\"a\":{\"uid\":1000,\"name\":\"web\",\"agent\":\"x\"}}";

/* A file of the log, as the recorder's uid sees it. */
static int log_has(const char *path)
{
	char full[256];

	snprintf(full, sizeof full, "%s/%s", rig.dir, path);
	return access(full, F_OK) == 0;
}

static uint64_t checkpoint_size(void)
{
	char path[256], buf[1024] = "";
	int fd;

	snprintf(path, sizeof path, "%s/checkpoint", rig.dir);
	fd = open(path, O_RDONLY);
	if (fd >= 0) {
		ck_assert_int_gt(io_read_full(fd, buf, sizeof buf - 1), 0);
		close(fd);
	}
	return *buf ? strtoull(strchr(buf, '\n') + 1, NULL, 10) : 0;
}

static void nap_ms(long ms)
{
	const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	nanosleep(&t, NULL);
}

static int wait_for_checkpoint(uint64_t size, int ms)
{
	for (; ms > 0 && checkpoint_size() < size; ms -= 5)
		nap_ms(5);
	return checkpoint_size() >= size;
}

static const char *refusal(const char *json)
{
	static struct msg_refuse m;

	ck_assert_int_eq(rig_send(&rig, ++rig.id, 0, json), 0);
	ck_assert_int_eq(rig_answer(&rig), MSG_APPEND_REFUSED);
	ck_assert_uint_eq(rig.m.h.id, rig.id);
	memcpy(&m, rig.m.payload, sizeof m);
	ck_assert(msg_str_ok(m.text, sizeof m.text));
	return m.text;
}

static void verify_is(enum verify_result want)
{
	struct verify_report *r = calloc(1, sizeof *r);
	int fd = dir_open(rig.dir, NULL);

	verify_dir(fd, &(struct verify_options){0}, r);
	if (r->result != want)
		ck_abort_msg(
			"verdict %d: %s: %s", r->result, r->finding[0].kind, r->finding[0].text);
	close(fd);
	free(r);
}

START_TEST(a_record_is_acknowledged_with_its_index)
{
	ck_assert_int_eq(rig_start(&rig), 0);
	/* 0 is genesis, 2 is boot; each commit ends in a seal */
	ck_assert_int_eq(rig_append(&rig, 0, request), 4);
	ck_assert_int_eq(rig_append(&rig, 0, request), 6);
	ck_assert_int_eq(rig_stop(&rig, SIGTERM), 0);
	ck_assert_int_eq(rig_start(&rig), 0);
	/* 8 is stop, 10 is boot */
	ck_assert_int_eq(rig_append(&rig, 0, request), 12);
	ck_assert_int_eq(rig_stop(&rig, 0), 0); /* the supervisor is gone */
}
END_TEST

START_TEST(what_is_no_record_is_refused_and_nothing_else)
{
	char *big = calloc(1, 70000);

	ck_assert_int_eq(rig_start(&rig), 0);
	ck_assert_ptr_nonnull(strstr(refusal("{}"), "kind"));
	refusal("{\"k\":\"result\"");
	refusal("{\"k\":\"result\",\"k\":\"result\"}");
	refusal("{\"k\":\"result\",\"x\":1.5}");
	refusal("{\"k\":\"result\",\"i\":5}");
	refusal("{\"k\":\"genesis\"}");
	refusal("{\"k\":\"made-up\"}");
	snprintf(big, 70000, "{\"k\":\"result\",\"x\":\"%0*d\"}", 65500, 0);
	ck_assert_ptr_nonnull(strstr(refusal(big), "65535"));
	ck_assert_int_eq(rig_append(&rig, 0, "{\"k\":\"result\"}"), 4);
	ck_assert_int_eq(rig_stop(&rig, SIGTERM), 0);
	verify_is(VERIFY_OK);
	free(big);
}
END_TEST

/* MSG_APPEND with several records. */
static int send_many(const char *const *json, size_t count)
{
	static unsigned char buf[WIRE_PAYLOAD_MAX];
	size_t at = 4;

	memset(buf, 0, 4);
	for (size_t i = 0; i < count; i++) {
		uint32_t n = (uint32_t)strlen(json[i]);

		memcpy(buf + at, &n, 4);
		memcpy(buf + at + 4, json[i], n);
		at += 4 + n;
	}
	return wire_send(rig.peer, MSG_APPEND, 5, buf, at, NULL, 0);
}

START_TEST(several_records_are_taken_together_or_not_at_all)
{
	static const char *const good[] = {
		"{\"k\":\"request\"}", "{\"k\":\"decision\"}", "{\"k\":\"result\"}"};
	static const char *const bad[] = {"{\"k\":\"request\"}", "{\"k\":\"decision\"", "{}"};
	struct msg_appended a;

	ck_assert_int_eq(rig_start(&rig), 0);
	ck_assert_int_eq(send_many(bad, 3), 0);
	ck_assert_int_eq(rig_answer(&rig), MSG_APPEND_REFUSED);
	ck_assert_int_eq(send_many(good, 3), 0);
	ck_assert_int_eq(rig_answer(&rig), MSG_APPENDED);
	memcpy(&a, rig.m.payload, sizeof a);
	ck_assert_uint_eq(a.first, 4);
	ck_assert_uint_eq(a.count, 3);
	ck_assert_int_eq(rig_stop(&rig, SIGTERM), 0);
	verify_is(VERIFY_OK);
}
END_TEST

START_TEST(a_malformed_message_drops_the_broker_but_not_the_recorder)
{
	unsigned char junk[32] = {0};
	int chan[2];

	ck_assert_int_eq(rig_start(&rig), 0);
	memset(junk + 4, 0xff, 8); /* a record of 4 GiB */
	ck_assert_int_eq(wire_send(rig.peer, MSG_APPEND, 1, junk, sizeof junk, NULL, 0), 0);
	ck_assert_int_eq(rig_answer(&rig), -1);
	ck_assert_int_eq(wire_send(rig.sup, MSG_PING, 9, NULL, 0, NULL, 0), 0);
	ck_assert_int_eq(wire_recv(rig.sup, &rig.m), 1);
	ck_assert(rig.m.h.type == MSG_PONG && rig.m.h.id == 9);
	/* a restarted broker */
	ck_assert_int_eq(wire_pair(chan, NULL), 0);
	ck_assert_int_eq(wire_send(rig.sup, MSG_PEER, 0, NULL, 0, &chan[1], 1), 0);
	close(chan[1]);
	close(rig.peer);
	rig.peer = chan[0];
	ck_assert_int_eq(rig_append(&rig, 0, request), 4);
	ck_assert_int_eq(rig_stop(&rig, SIGTERM), 0);
}
END_TEST

START_TEST(a_checkpoint_follows_within_a_second_or_at_once_when_asked)
{
	ck_assert_int_eq(rig_start(&rig), 0);
	ck_assert(wait_for_checkpoint(4, 1000));
	ck_assert_int_eq(rig_append(&rig, APPEND_PUBLISH, "{\"k\":\"kill\"}"), 4);
	ck_assert(wait_for_checkpoint(6, 300));
	ck_assert_int_eq(rig_append(&rig, 0, "{\"k\":\"kill\"}"), 6);
	ck_assert(wait_for_checkpoint(8, 1500));
	verify_is(VERIFY_OK); /* beside the living recorder */
	ck_assert_int_eq(rig_stop(&rig, SIGTERM), 0);
	ck_assert_uint_eq(checkpoint_size(), 10); /* stop is signed too */
}
END_TEST

START_TEST(a_missing_log_is_not_a_new_log)
{
	char path[256];

	snprintf(path, sizeof path, "%s/var/lib/agentd/audit-created", rig.root);
	close(open(path, O_CREAT | O_WRONLY, 0644));
	ck_assert_int_eq(rig_start(&rig), 0); /* it says HELLO, so that it can say why */
	ck_assert_ptr_nonnull(strstr(refusal(request), "missing"));
	ck_assert_int_eq(rig_stop(&rig, SIGTERM), 0);
	ck_assert(!log_has("checkpoint") && !log_has("keys"));
}
END_TEST

START_TEST(a_log_that_was_there_is_not_made_anew)
{
	char cmd[256];

	ck_assert_int_eq(rig_start(&rig), 0);
	ck_assert_int_eq(rig_stop(&rig, SIGTERM), 0);
	snprintf(cmd, sizeof cmd, "%s/origin", rig.dir);
	ck_assert_int_eq(unlink(cmd), 0);
	ck_assert_int_eq(rig_start(&rig), 0);
	refusal(request);
	ck_assert_int_eq(rig_stop(&rig, SIGTERM), 0);
}
END_TEST

START_TEST(a_second_recorder_does_not_start)
{
	struct rig other;

	ck_assert_int_eq(rig_start(&rig), 0);
	other = rig;
	ck_assert_int_eq(rig_start(&other), 1);
	ck_assert_int_eq(rig_append(&rig, 0, request), 4);
	ck_assert_int_eq(rig_stop(&rig, SIGTERM), 0);
}
END_TEST

START_TEST(when_the_log_is_deleted_under_it_everything_is_refused)
{
	pid_t pid;

	ck_assert_int_eq(rig_start(&rig), 0);
	ck_assert_int_eq(rig_append(&rig, 0, request), 4);
	pid = fork();
	if (pid == 0) {
		execlp("rm", "rm", "-rf", rig.dir, NULL);
		_exit(127);
	}
	waitpid(pid, NULL, 0);
	refusal(request);
	refusal(request);
	rig_stop(&rig, SIGTERM);
}
END_TEST

/* Seals the log as of an hour from now, with its own keys: as if the clock were set back since. */
static void seal_in_the_future(void)
{
	struct wal_config config = {0};
	struct tlog_recovery found;
	char leaf[SEAL_LEAF_MAX];
	struct tree_hash root;
	struct error e;
	int fd = dir_open(rig.dir, NULL);
	struct tlog *t = tlog_open(fd, &config, &found, &e);
	size_t n;

	ck_assert_msg(t != NULL, "%s", e.text);
	tlog_root(t, &root);
	n = sealer_seal(tlog_sealer(t), tlog_next(t), &root, io_now_real() + 3600 * 1000000000ull,
		leaf, &e);
	ck_assert_uint_gt(n, 0);
	ck_assert_int_eq(wal_stage(tlog_wal(t), leaf, n), 0);
	ck_assert_int_eq(wal_commit(tlog_wal(t), &e), 0);
	ck_assert_int_eq(sealer_sealed(tlog_sealer(t), &e), 0);
	tlog_close(t);
	close(fd);
}

START_TEST(a_clock_that_was_set_back_while_it_did_not_run_is_no_tampering)
{
	ck_assert_int_eq(rig_start(&rig), 0);
	ck_assert_int_eq(rig_append(&rig, 0, request), 4);
	ck_assert_int_eq(rig_stop(&rig, SIGTERM), 0);
	seal_in_the_future();
	ck_assert_int_eq(rig_start(&rig), 0); /* its first record is older than the last seal */
	ck_assert_int_gt(rig_append(&rig, 0, request), 4);
	ck_assert_int_eq(rig_stop(&rig, SIGTERM), 0);
	verify_is(VERIFY_WARNINGS); /* CLOCK, and not BACKDATED */
}
END_TEST

/* ---- AUDIT connections ---- */

static FILE *audit(uint32_t uid, uint32_t admin, const char *line)
{
	struct msg_peer p = {.uid = uid, .gid = uid, .pid = 1, .admin = admin};
	int s[2];
	FILE *f;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s), 0);
	ck_assert_int_eq(wire_send(rig.sup, MSG_CLIENT, 0, &p, sizeof p, &s[1], 1), 0);
	close(s[1]);
	ck_assert_int_eq(io_write_all(s[0], line, strlen(line)), 0);
	f = fdopen(s[0], "r");
	return f;
}

static char line[70000];

static int next(FILE *f)
{
	return fgets(line, sizeof line, f) != NULL;
}

static void append_for(unsigned uid)
{
	char json[100];

	snprintf(json, sizeof json, "{\"k\":\"result\",\"a\":{\"uid\":%u}}", uid);
	ck_assert_int_ge(rig_append(&rig, 0, json), 0);
}

START_TEST(an_admin_reads_everything_a_user_what_is_theirs)
{
	FILE *f;
	int n = 0;

	ck_assert_int_eq(rig_start(&rig), 0);
	for (unsigned i = 0; i < 30; i++)
		append_for(1000 + i % 3);
	f = audit(0, 1, "{\"from\":0}\n");
	while (next(f) && strncmp(line, "{\"end\"", 6) != 0)
		n++;
	ck_assert_int_eq(n, 64); /* with a seal each */
	ck_assert_str_eq(line, "{\"end\":64}\n");
	ck_assert(!next(f));
	fclose(f);
	f = audit(1001, 0, "{\"from\":0}\n");
	for (n = 0; next(f) && strncmp(line, "{\"end\"", 6) != 0; n++)
		ck_assert_ptr_nonnull(strstr(line, "\"uid\":1001"));
	ck_assert_int_eq(n, 10);
	fclose(f);
	f = audit(1001, 0, "{\"last\":2}\n");
	ck_assert(next(f) && strstr(line, "\"i\":54,"));
	ck_assert(next(f) && strstr(line, "\"i\":60,"));
	ck_assert(next(f) && strncmp(line, "{\"end\"", 6) == 0);
	fclose(f);
	f = audit(0, 1, "{\"last\":1}\n"); /* a record, and what follows */
	ck_assert(next(f) && strstr(line, "\"i\":62,"));
	ck_assert(next(f) && strstr(line, "\"k\":\"seal\""));
	ck_assert(next(f) && strncmp(line, "{\"end\"", 6) == 0);
	fclose(f);
	f = audit(0, 1, "{\"from\":5,\"count\":1}\n");
	ck_assert(next(f) && strstr(line, "\"i\":5,"));
	ck_assert(next(f) && strncmp(line, "{\"end\"", 6) == 0);
	fclose(f);
	f = audit(4000, 0, "{\"from\":5,\"count\":1}\n");
	ck_assert(next(f) && strncmp(line, "{\"end\"", 6) == 0);
	fclose(f);
	ck_assert_int_eq(rig_stop(&rig, SIGTERM), 0);
}
END_TEST

START_TEST(following_shows_records_as_they_come)
{
	FILE *f;

	ck_assert_int_eq(rig_start(&rig), 0);
	f = audit(0, 1, "{\"last\":0,\"follow\":true}\n");
	nap_ms(50);
	for (unsigned i = 0; i < 5; i++) {
		char want[20];

		append_for(i);
		snprintf(want, sizeof want, "\"i\":%u,", 2 * i + 4);
		ck_assert(next(f) && strstr(line, want));
		ck_assert(next(f) && strstr(line, "\"k\":\"seal\""));
	}
	fclose(f);
	ck_assert_int_eq(rig_stop(&rig, SIGTERM), 0);
}
END_TEST

START_TEST(readers_that_ask_nonsense_or_read_nothing_disturb_nobody)
{
	static const char *const bad[] = {"{}x\n", "[]\n", "{\"from\":-1}\n", "{\"from\":1.5}\n",
		"{\"from\":1,\"last\":1}\n", "{\"from\":0,\"follow\":1}\n", "\n"};
	FILE *f[12];

	ck_assert_int_eq(rig_start(&rig), 0);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		FILE *b = audit(0, 1, bad[i]);

		ck_assert(next(b) && strstr(line, "\"error\""));
		fclose(b);
	}
	/* more than one user may have, none of them reading */
	for (unsigned i = 0; i < 12; i++)
		f[i] = audit(1000, 0, i % 2 ? "{\"from\":0,\"follow\":true}\n" : "");
	for (unsigned i = 0; i < 1000; i++)
		append_for(1000);
	for (unsigned i = 0; i < 12; i++)
		fclose(f[i]);
	ck_assert_int_eq(rig_stop(&rig, SIGTERM), 0);
	verify_is(VERIFY_OK);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("audit_recorder");
	TCase *t = tcase_create("all");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 20);
	tcase_add_test(t, a_record_is_acknowledged_with_its_index);
	tcase_add_test(t, what_is_no_record_is_refused_and_nothing_else);
	tcase_add_test(t, several_records_are_taken_together_or_not_at_all);
	tcase_add_test(t, a_malformed_message_drops_the_broker_but_not_the_recorder);
	tcase_add_test(t, a_checkpoint_follows_within_a_second_or_at_once_when_asked);
	tcase_add_test(t, a_missing_log_is_not_a_new_log);
	tcase_add_test(t, a_log_that_was_there_is_not_made_anew);
	tcase_add_test(t, a_second_recorder_does_not_start);
	tcase_add_test(t, when_the_log_is_deleted_under_it_everything_is_refused);
	tcase_add_test(t, a_clock_that_was_set_back_while_it_did_not_run_is_no_tampering);
	tcase_add_test(t, an_admin_reads_everything_a_user_what_is_theirs);
	tcase_add_test(t, following_shows_records_as_they_come);
	tcase_add_test(t, readers_that_ask_nonsense_or_read_nothing_disturb_nobody);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
