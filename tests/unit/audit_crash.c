/* kill -9 of the recorder at random moments under load, more than a hundred times on one log: nothing
 * that was acknowledged is lost, nothing that was not asked for appears, and verify raises no alarm. */
#include <check.h>
#include <jansson.h>

#include "audit/dir.h"
#include "audit/reader.h"
#include "audit/verify.h"
#include "tests/lib/recorder_rig.h"

#define ROUNDS      100
#define OUTSTANDING 24

/* What was acknowledged: index → number of the request. */
static uint64_t acked[200000];
static size_t nacked;
static uint64_t sent, answered;

static void send_one(struct rig *r)
{
	char json[200];

	snprintf(json, sizeof json,
		"{\"k\":\"result\",\"s\":\"s1\",\"x\":%llu,\"pad\":\"%.*s\",\"a\":{\"uid\":1}}",
		(unsigned long long)sent, (int)(sent % 60),
		"............................................................");
	if (rig_send(r, sent, 0, json) == 0)
		sent++;
}

static void take_answer(struct rig *r)
{
	struct msg_appended a;

	ck_assert_int_eq(r->m.h.type, MSG_APPENDED);
	memcpy(&a, r->m.payload, sizeof a);
	ck_assert_uint_eq(a.count, 1);
	ck_assert_uint_lt(a.first, 200000);
	acked[a.first] = r->m.h.id + 1;
	nacked++;
	answered++;
}

/* Keeps the recorder busy until the deadline, then kills it and takes the answers that were on the way. */
static void one_round(struct rig *r, unsigned us)
{
	uint64_t end;
	struct pollfd p;

	ck_assert_int_eq(rig_start(r), 0);
	end = io_now_mono() + us * 1000ull;
	answered = sent;
	while (io_now_mono() < end) {
		while (sent - answered < OUTSTANDING)
			send_one(r);
		p = (struct pollfd){.fd = r->peer, .events = POLLIN};
		if (poll(&p, 1, 1) > 0 && rig_answer(r) > 0)
			take_answer(r);
	}
	kill(r->pid, SIGKILL);
	while (rig_answer(r) > 0)
		take_answer(r);
	rig_stop(r, SIGKILL);
}

static void check_log(const char *dir, int expect)
{
	struct verify_report *v = calloc(1, sizeof *v);
	int fd = dir_open(dir, NULL);

	verify_dir(fd, &(struct verify_options){0}, v);
	if ((int)v->result != expect && !(v->result == VERIFY_WARNINGS && !v->has_bad))
		ck_abort_msg(
			"verdict %d: %s: %s", v->result, v->finding[0].kind, v->finding[0].text);
	close(fd);
	free(v);
}

/* Every acknowledged record is there, at its index. */
static void check_acked(const char *dir)
{
	int fd = dir_open(dir, NULL);
	struct reader *r = reader_new(fd);
	struct span entry;
	struct error e;
	uint64_t i = 0;
	size_t seen = 0;
	int got;

	while ((got = reader_next(r, &entry, &e)) > 0) {
		json_t *o = json_loadb(entry.p, entry.n, 0, NULL);

		ck_assert_ptr_nonnull(o);
		ck_assert_int_eq(json_integer_value(json_object_get(o, "i")), (json_int_t)i);
		if (acked[i]) {
			ck_assert_uint_eq((uint64_t)json_integer_value(json_object_get(o, "x")) + 1,
				acked[i]);
			seen++;
		}
		json_decref(o);
		i++;
	}
	ck_assert_int_eq(got, 0);
	ck_assert_uint_eq(seen, nacked);
	reader_free(r);
	close(fd);
}

START_TEST(no_acknowledged_record_is_lost_when_the_recorder_is_killed)
{
	struct rig rig;
	unsigned seed = 42;

	ck_assert_int_eq(rig_make(&rig), 0);
	for (int i = 0; i < ROUNDS; i++) {
		one_round(&rig, (unsigned)rand_r(&seed) % 8000);
		if (i % 10 == 0)
			check_log(rig.dir, VERIFY_OK);
	}
	check_acked(rig.dir);
	/* After an orderly stop there is nothing left to complain about but what recovery recorded. */
	ck_assert_int_eq(rig_start(&rig), 0);
	ck_assert_int_eq(rig_stop(&rig, SIGTERM), 0);
	check_log(rig.dir, VERIFY_OK);
	ck_assert_uint_gt(nacked, 1000);
	rig_remove(&rig);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("audit_crash");
	TCase *t = tcase_create("all");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_test(t, no_acknowledged_record_is_lost_when_the_recorder_is_killed);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
