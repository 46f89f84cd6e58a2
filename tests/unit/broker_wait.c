/* Approvals that take time or are many: the timeout, an answer that lasts, ten thousand questions. */
#include "tests/unit/broker_rig.h"

START_TEST(nobody_answers_and_it_is_denied)
{
	int fd = rig_box("web", ANN, 7, "approvals: {timeout: 1s}\n");

	rig_hold(fd, PUSH);
	rig_expect(fd, "deny");
	ck_assert_str_eq(rig_str(rig_last("decision"), "d", "by"), "timeout");
	close(fd);
}
END_TEST

/* The broker was stopped, or the machine was suspended, when the time ran out. */
START_TEST(an_answer_that_comes_too_late_is_not_taken)
{
	int fd = rig_box("web", ANN, 7, "approvals: {timeout: 1s}\n"), ann = rig_person(ANN, 0);
	const struct timespec late = {.tv_sec = 1, .tv_nsec = 100000000};
	const char *id;
	json_t *o;

	rig_hold(fd, PUSH);
	id = rig_pending(ann);
	nanosleep(&late, NULL);
	o = rig_answer(ann, "approve", id, "");
	ck_assert_ptr_nonnull(strstr(rig_str(o, "error", "message"), "timed out"));
	json_decref(o);
	rig_expect(fd, "deny");
	ck_assert_str_eq(rig_str(rig_last("decision"), "d", "by"), "timeout");
	ck_assert_uint_eq(rig_count("approval"), 0);
	close(ann);
	close(fd);
}
END_TEST

START_TEST(an_approval_for_a_time_ends)
{
	int fd = rig_box("web", ANN, 7, ""), ann = rig_person(ANN, 0);

	rig_hold(fd, PUSH);
	json_decref(rig_answer(ann, "approve", rig_pending(ann), ",\"for_s\":1"));
	rig_expect(fd, "allow");
	rig_say(fd, PUSH);
	rig_expect(fd, "allow");
	rig_idle(1100);
	rig_hold(fd, PUSH);
	close(ann);
	close(fd);
}
END_TEST

/* Reads away what the broker tells a client: it stops reading one that does not listen. */
static void drain(int fd)
{
	static char junk[65536];

	while (recv(fd, junk, sizeof junk, MSG_DONTWAIT) > 0)
		;
}

START_TEST(ten_thousand_held_calls_fit_and_each_can_be_answered)
{
	char line[256];
	json_t *o;
	int fds[10], ann = rig_person(ANN, 0);
	char id[16];

	for (int i = 0; i < 10; i++) {
		char name[16];

		snprintf(name, sizeof name, "box%d", i);
		fds[i] = rig_box(name, ANN, 10 + (uint64_t)i, "");
		for (int k = 0; k < 1000; k++) {
			snprintf(line, sizeof line,
				"{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"authorize\","
				"\"params\":{"
				"\"kind\":\"tool\",\"tool\":\"Bash\",\"input\":{\"command\":\"run "
				"%d %d\"}"
				"}}",
				k, i, k);
			rig_say(fds[i], line);
			if (k % 50 == 0) {
				rig_step();
				drain(fds[i]);
			}
		}
	}
	while (rig.b->held < 10000) {
		rig_nap();
		for (int i = 0; i < 10; i++)
			drain(fds[i]);
	}
	ck_assert_uint_eq(rig.b->held, 10000);
	o = rig_ask(ann, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"approvals\",\"params\":{}}");
	ck_assert(json_is_true(json_object_get(json_object_get(o, "result"), "more")));
	json_decref(o);
	snprintf(id, sizeof id, "%s", TAILQ_LAST(&rig.b->asks, asks)->id);
	o = rig_answer(ann, "approve", id, "");
	ck_assert_ptr_nonnull(json_object_get(o, "result"));
	json_decref(o);
	ck_assert_uint_eq(rig.b->held, 9999);
	for (int i = 0; i < 10; i++)
		close(fds[i]);
	while (rig.b->held)
		rig_nap();
	close(ann);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("broker: waiting");
	TCase *t = tcase_create("wait");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_set_timeout(t, 20);
	tcase_add_checked_fixture(t, rig_setup, rig_teardown);
	tcase_add_test(t, nobody_answers_and_it_is_denied);
	tcase_add_test(t, an_answer_that_comes_too_late_is_not_taken);
	tcase_add_test(t, an_approval_for_a_time_ends);
	tcase_add_test(t, ten_thousand_held_calls_fit_and_each_can_be_answered);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
