/* Approvals: holding a call, who may answer, what an answer covers, and every way it ends as a deny. */
#include <sys/wait.h>

#include "tests/unit/broker_rig.h"

#define BOB 1001u

#define PULL AUTHORIZE("2", "Bash", "{\"command\":\"git pull\"}")

START_TEST(an_ask_holds_the_call_until_its_owner_approves)
{
	int fd = rig_box("web", ANN, 7, ""), ann = rig_person(ANN, 0);
	json_t *o, *r;

	rig_hold(fd, PUSH);
	ck_assert_ptr_null(rig_hear_within(fd, 50));
	o = rig_answer(ann, "approve", rig_pending(ann), "");
	ck_assert_str_eq(rig_str(o, "result", "sandbox"), "web");
	json_decref(o);
	rig_expect(fd, "allow");
	r = rig_last("approval");
	ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(r, "by"), "uid")), ANN);
	ck_assert_str_eq(json_string_value(json_object_get(r, "scope")), "once");
	ck_assert_str_eq(rig_str(rig_last("decision"), "d", "by"), "approval");
	ck_assert_str_eq(rig_pending(ann), "");
	close(ann);
	close(fd);
}
END_TEST

START_TEST(a_human_sees_the_whole_command_and_the_agents_words_apart)
{
	int fd = rig_box("web", ANN, 7, ""), ann = rig_person(ANN, 0);
	json_t *o, *a;

	rig_say(fd,
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"hook\",\"params\":{\"agent\":"
		"\"claude-code\",\"event\":{\"hook_event_name\":\"PreToolUse\",\"tool_name\":"
		"\"Bash\",\"tool_input\":{\"command\":\"git push\",\"description\":\"harmless\"}}}"
		"}");
	json_decref(rig_hear(fd));
	o = rig_ask(ann, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"approvals\"}");
	a = json_array_get(json_object_get(json_object_get(o, "result"), "approvals"), 0);
	ck_assert_str_eq(json_string_value(json_object_get(a, "text")), "git push");
	ck_assert_str_eq(json_string_value(json_object_get(a, "agent_says")), "harmless");
	ck_assert_str_eq(json_string_value(json_object_get(a, "tool")), "Bash");
	json_decref(o);
	close(ann);
	close(fd);
}
END_TEST

START_TEST(a_denied_ask_tells_the_agent_what_the_human_said)
{
	int fd = rig_box("web", ANN, 7, ""), ann = rig_person(ANN, 0);
	json_t *o;

	rig_hold(fd, PUSH);
	json_decref(rig_answer(ann, "deny", rig_pending(ann), ",\"reason\":\"not on friday\""));
	o = rig_hear(fd);
	ck_assert_str_eq(rig_str(o, "result", "decision"), "deny");
	ck_assert_ptr_nonnull(strstr(rig_str(o, "result", "reason"), "not on friday"));
	json_decref(o);
	ck_assert_str_eq(
		json_string_value(json_object_get(rig_last("approval"), "verdict")), "deny");
	close(ann);
	close(fd);
}
END_TEST

START_TEST(who_waits_is_told_now_and_then)
{
	int fd;
	json_t *o;

	rig_broker_down();
	rig.cfg.progress_ms = 30;
	rig_broker_up();
	fd = rig_box("web", ANN, 7, "");
	rig_hold(fd, PUSH);
	o = rig_hear(fd);
	ck_assert_str_eq(json_string_value(json_object_get(o, "method")), "approval/progress");
	ck_assert_int_eq(
		json_integer_value(json_object_get(json_object_get(o, "params"), "id")), 1);
	json_decref(o);
	close(fd);
}
END_TEST

START_TEST(two_identical_asks_are_one_prompt)
{
	int fd = rig_box("web", ANN, 7, ""), ann = rig_person(ANN, 0);
	struct box *x = TAILQ_FIRST(&rig.b->boxes);
	int pair[2];
	json_t *o;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	ck_assert_ptr_nonnull(calls_attach(x, pair[1]));
	rig_hold(fd, PUSH);
	rig_hold(pair[0], PUSH);
	ck_assert_uint_eq(x->held, 2);
	o = rig_answer(ann, "approve", rig_pending(ann), "");
	ck_assert_int_eq(
		json_integer_value(json_object_get(json_object_get(o, "result"), "waiters")), 2);
	json_decref(o);
	rig_expect(fd, "allow");
	rig_expect(pair[0], "allow");
	ck_assert_uint_eq(rig_count("approval"), 1);
	ck_assert_uint_eq(rig_count("decision"), 2);
	ck_assert_uint_eq(x->held, 0);
	close(pair[0]);
	close(ann);
	close(fd);
}
END_TEST

START_TEST(once_covers_no_second_call)
{
	int fd = rig_box("web", ANN, 7, ""), ann = rig_person(ANN, 0);

	rig_hold(fd, PUSH);
	json_decref(rig_answer(ann, "approve", rig_pending(ann), ""));
	rig_expect(fd, "allow");
	rig_hold(fd, PUSH);
	close(ann);
	close(fd);
}
END_TEST

START_TEST(a_number_of_uses_is_counted_and_covers_that_action_only)
{
	int fd = rig_box("web", ANN, 7, ""), ann = rig_person(ANN, 0);
	json_t *o;

	rig_hold(fd, PUSH);
	json_decref(rig_answer(ann, "approve", rig_pending(ann), ",\"uses\":2"));
	rig_expect(fd, "allow");
	rig_hold(fd, PULL); /* another action asks on */
	o = rig_ask(fd, PUSH);
	ck_assert_str_eq(rig_str(o, "result", "decision"), "allow");
	ck_assert_str_eq(rig_str(rig_last("decision"), "d", "by"), "approval");
	json_decref(o);
	rig_hold(fd, PUSH);
	close(ann);
	close(fd);
}
END_TEST

/* Who says "twice" saw one call, and the agent has asked three times meanwhile. */
START_TEST(fewer_uses_than_calls_that_wait_are_not_taken)
{
	int fd = rig_box("web", ANN, 7, ""), ann = rig_person(ANN, 0);
	struct box *x = TAILQ_FIRST(&rig.b->boxes);
	json_t *o;

	for (int i = 0; i < 3; i++)
		rig_hold(fd, PUSH);
	o = rig_answer(ann, "approve", rig_pending(ann), ",\"uses\":2");
	ck_assert_ptr_nonnull(strstr(rig_str(o, "error", "message"), "3"));
	json_decref(o);
	ck_assert_uint_eq(x->held, 3);
	ck_assert_uint_eq(rig_count("approval"), 0);
	json_decref(rig_answer(ann, "approve", rig_pending(ann), ",\"uses\":3"));
	for (int i = 0; i < 3; i++)
		rig_expect(fd, "allow");
	rig_hold(fd, PUSH);
	close(ann);
	close(fd);
}
END_TEST

START_TEST(an_approval_for_the_session_covers_that_sandbox_only)
{
	int fd = rig_box("web", ANN, 7, ""), other = rig_box("api", ANN, 8, "");
	int ann = rig_person(ANN, 0);

	rig_hold(fd, PUSH);
	json_decref(rig_answer(ann, "approve", rig_pending(ann), ",\"session\":true"));
	rig_expect(fd, "allow");
	rig_say(fd, PUSH);
	rig_expect(fd, "allow");
	rig_hold(other, PUSH);
	close(ann);
	close(fd);
	close(other);
}
END_TEST

START_TEST(the_policy_can_forbid_answers_that_last)
{
	int fd = rig_box("web", ANN, 7, "approvals: {remember: {longest: once}}\n");
	int ann = rig_person(ANN, 0);
	json_t *o;

	rig_hold(fd, PUSH);
	o = rig_answer(ann, "approve", rig_pending(ann), ",\"session\":true");
	ck_assert_ptr_nonnull(strstr(rig_str(o, "error", "message"), "one call"));
	json_decref(o);
	json_decref(rig_answer(ann, "approve", rig_pending(ann), ""));
	rig_expect(fd, "allow");
	close(ann);
	close(fd);
}
END_TEST

START_TEST(another_user_neither_sees_nor_answers)
{
	int fd = rig_box("web", ANN, 7, ""), bob = rig_person(BOB, 0), ann = rig_person(ANN, 0);
	char id[16];
	json_t *o;

	rig_hold(fd, PUSH);
	ck_assert_str_eq(rig_pending(bob), "");
	snprintf(id, sizeof id, "%s", rig_pending(ann));
	o = rig_answer(bob, "approve", id, "");
	ck_assert_ptr_nonnull(strstr(rig_str(o, "error", "message"), "no approval"));
	json_decref(o);
	ck_assert_ptr_null(rig_hear_within(fd, 50));
	o = rig_ask(bob,
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"sandbox\",\"params\":{\"name\":"
		"\"web\"}}");
	ck_assert_ptr_nonnull(strstr(rig_str(o, "error", "message"), "no sandbox"));
	json_decref(o);
	o = rig_ask(bob, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"attach\",\"params\":{\"name\":"
			 "\"1000/web\"}}");
	ck_assert_ptr_nonnull(json_object_get(o, "error"));
	json_decref(o);
	close(bob);
	close(ann);
	close(fd);
}
END_TEST

START_TEST(the_admin_sees_and_answers_for_all)
{
	int fd = rig_box("web", ANN, 7, ""), root = rig_person(0, 1);

	rig_hold(fd, PUSH);
	json_decref(rig_answer(root, "approve", rig_pending(root), ""));
	rig_expect(fd, "allow");
	close(root);
	close(fd);
}
END_TEST

START_TEST(the_policy_can_leave_it_to_the_owner)
{
	int fd = rig_box("web", ANN, 7, "approvals: {who: [session-owner]}\n");
	int root = rig_person(0, 1);
	json_t *o;

	rig_hold(fd, PUSH);
	o = rig_answer(root, "approve", rig_pending(root), "");
	ck_assert_ptr_nonnull(strstr(rig_str(o, "error", "message"), "approvals.who"));
	json_decref(o);
	close(root);
	close(fd);
}
END_TEST

START_TEST(an_agents_uid_gets_no_connection_and_so_cannot_approve)
{
	int agent = rig_person(AGENT_UID_FIRST + 5, 0), agent_as_admin;

	ck_assert(rig_closed(agent));
	close(agent);
	agent_as_admin = rig_person(AGENT_UID_FIRST + 5, 1);
	ck_assert(rig_closed(agent_as_admin));
	close(agent_as_admin);
}
END_TEST

START_TEST(tool_sock_has_no_method_that_approves)
{
	int fd = rig_box("web", ANN, 7, ""), ann = rig_person(ANN, 0);
	char line[128];
	json_t *o;

	rig_hold(fd, PUSH);
	snprintf(line, sizeof line,
		"{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"approve\",\"params\":{\"id\":\"%s\"}}",
		rig_pending(ann));
	o = rig_ask(fd, line);
	ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(o, "error"), "code")),
		RPC_METHOD);
	json_decref(o);
	close(ann);
	close(fd);
}
END_TEST

/* The kernel's word for who is at the other end, with real processes. */
START_TEST(only_the_agents_kernel_uid_is_heard_on_tool_sock)
{
	struct request_writer w;
	const char *path;
	int status = -1;
	pid_t pid;

	if (getuid() != 0)
		return; /* needs a second uid */
	rig_request(&w, "web");
	ck_assert_int_eq(rig_run_as(&w, ANN, 7), 1);
	path = rig_started(7, ANN, AGENT_UID_FIRST + 9, 0, -1);
	ck_assert_int_eq(chmod(rig.dir, 0711), 0);
	for (int agent = 0; agent < 2; agent++) {
		pid = fork();
		if (pid == 0) {
			char c;
			int fd;

			if (setuid(agent ? AGENT_UID_FIRST + 9 : BOB) < 0 ||
				(fd = io_connect_unix(path)) < 0)
				_exit(9);
			dprintf(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"whoami\"}\n");
			_exit(read(fd, &c, 1) == 1 ? 1 : 0);
		}
		for (uint64_t since = io_now_mono(); rig_waitable(since);) {
			rig_nap();
			if (waitpid(pid, &status, WNOHANG) == pid)
				break;
		}
		ck_assert_int_eq(WEXITSTATUS(status), agent);
	}
}
END_TEST

START_TEST(a_client_can_cancel_what_it_waits_for)
{
	int fd = rig_box("web", ANN, 7, ""), ann = rig_person(ANN, 0);
	json_t *o;
	int answers = 0;

	rig_hold(fd, PUSH);
	rig_say(fd, "{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"cancel\",\"params\":{\"id\":1}}");
	for (int i = 0; i < 2; i++) {
		o = rig_hear(fd);
		if (json_integer_value(json_object_get(o, "id")) == 1)
			ck_assert_str_eq(rig_str(o, "result", "decision"), "deny");
		answers++;
		json_decref(o);
	}
	ck_assert_int_eq(answers, 2);
	ck_assert_str_eq(rig_str(rig_last("decision"), "d", "by"), "cancel");
	ck_assert_str_eq(rig_pending(ann), "");
	close(ann);
	close(fd);
}
END_TEST

START_TEST(a_client_that_leaves_takes_its_question_along)
{
	int fd = rig_box("web", ANN, 7, ""), ann = rig_person(ANN, 0);

	rig_hold(fd, PUSH);
	close(fd);
	rig_idle(20);
	ck_assert_str_eq(rig_pending(ann), "");
	ck_assert_str_eq(rig_str(rig_last("decision"), "d", "by"), "cancel");
	close(ann);
}
END_TEST

START_TEST(when_the_recorder_dies_held_calls_are_denied_and_the_log_learns_it_later)
{
	int fd = rig_box("web", ANN, 7, ""), ann = rig_person(ANN, 0);

	rig_hold(fd, PUSH);
	close(rig.rec);
	rig.rec = -1;
	rig_expect(fd, "deny");
	ck_assert_str_eq(rig_pending(ann), "");
	ck_assert_uint_eq(rig_count("decision"), 0);
	rig_new_recorder();
	rig_idle(20);
	ck_assert_str_eq(rig_str(rig_last("decision"), "d", "by"), "fail-closed");
	ck_assert_uint_eq(rig_count("session.resume"), 1);
	close(ann);
	close(fd);
}
END_TEST

START_TEST(an_approval_that_cannot_be_recorded_allows_nothing)
{
	int fd = rig_box("web", ANN, 7, ""), ann = rig_person(ANN, 0);
	char id[16];
	json_t *o;

	rig_hold(fd, PUSH);
	snprintf(id, sizeof id, "%s", rig_pending(ann));
	rig.mode = REC_REFUSE;
	o = rig_answer(ann, "approve", id, ",\"session\":true");
	ck_assert_ptr_nonnull(json_object_get(o, "error"));
	json_decref(o);
	rig_expect(fd, "deny");
	rig.mode = REC_ACK;
	rig_hold(fd, PUSH); /* and the grant was not given either */
	close(ann);
	close(fd);
}
END_TEST

START_TEST(the_approval_waits_for_its_record_too)
{
	int fd = rig_box("web", ANN, 7, ""), ann = rig_person(ANN, 0);
	char id[16], line[128];

	rig_hold(fd, PUSH);
	snprintf(id, sizeof id, "%s", rig_pending(ann));
	rig.mode = REC_HOLD;
	snprintf(line, sizeof line,
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"approve\",\"params\":{\"id\":\"%s\"}}",
		id);
	rig_say(ann, line);
	ck_assert_ptr_null(rig_hear_within(fd, 50));
	close(ann); /* the human need not stay */
	rig_step();
	rig_release();
	rig_expect(fd, "allow");
	close(fd);
}
END_TEST

/* authorize with one string of n bytes as the command (or as why), all of it c. */
static char *long_call(const char *c, size_t n, int why)
{
	static char line[1100000];
	size_t at = (size_t)snprintf(line, sizeof line,
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"authorize\",\"params\":{\"kind\":"
		"\"tool\","
		"\"tool\":\"Bash\",\"input\":{\"command\":\"ls%s",
		why ? "\"},\"why\":\"" : "");

	for (size_t i = 0; i < n; i++)
		at += (size_t)snprintf(line + at, sizeof line - at, "%s", c);
	snprintf(line + at, sizeof line - at, why ? "\"}}" : "\"}}}");
	return line;
}

START_TEST(what_is_too_long_for_a_human_is_denied_and_hides_nothing)
{
	int fd = rig_box("web", ANN, 7, ""), ann = rig_person(ANN, 0);
	static const struct {
		const char *c;
		size_t n;
		int why;
	} t[] = {{"a", 1000000, 0}, {"\\\"", 500000, 0}, {"\\u0001", 170000, 0}};
	json_t *o;

	for (size_t i = 0; i < 3; i++) {
		o = rig_ask(fd, long_call(t[i].c, t[i].n, t[i].why));
		ck_assert_str_eq(rig_str(o, "result", "decision"), "deny");
		ck_assert_ptr_nonnull(strstr(rig_str(o, "result", "reason"), "too long"));
		json_decref(o);
	}
	/* The largest that are kept: each is listed. */
	rig_say(fd, long_call("\\\"", 120000, 0));
	json_decref(rig_hear(fd));
	rig_say(fd, long_call("b", 250000, 0));
	json_decref(rig_hear(fd));
	ck_assert_str_ne(rig_pending(ann), "");
	close(ann);
	close(fd);
}
END_TEST

START_TEST(the_agents_words_are_kept_short_and_counted)
{
	int fd = rig_box("web", ANN, 7, ""), ann = rig_person(ANN, 0);
	json_t *o, *says;

	rig_say(fd, long_call("w", 900000, 1));
	json_decref(rig_hear(fd));
	ck_assert_uint_lt(rig.b->held_text, 20000);
	o = rig_ask(ann, "{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"approvals\"}");
	says = json_object_get(
		json_array_get(json_object_get(json_object_get(o, "result"), "approvals"), 0),
		"agent_says");
	ck_assert_uint_gt(json_string_length(says), 4000);
	ck_assert_uint_lt(json_string_length(says), 20000);
	ck_assert_uint_gt(rig.b->held_text, json_string_length(says));
	json_decref(o);
	close(ann);
	close(fd);
	rig_idle(5);
	ck_assert_uint_eq(rig.b->held_text, 0);
}
END_TEST

START_TEST(held_calls_of_one_sandbox_are_limited)
{
	int fd, n = 0;
	json_t *o;

	rig_broker_down();
	rig.cfg.pending_box = 3;
	rig_broker_up();
	fd = rig_box("web", ANN, 7, "");
	for (; n < 3; n++)
		rig_hold(fd, PUSH);
	o = rig_ask(fd, PUSH);
	ck_assert_str_eq(rig_str(o, "result", "decision"), "deny");
	ck_assert_ptr_nonnull(strstr(rig_str(o, "result", "reason"), "wait for a human already"));
	json_decref(o);
	close(fd);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("broker: approvals");
	TCase *t = tcase_create("approve");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_set_timeout(t, 20);
	tcase_add_checked_fixture(t, rig_setup, rig_teardown);
	tcase_add_test(t, an_ask_holds_the_call_until_its_owner_approves);
	tcase_add_test(t, a_human_sees_the_whole_command_and_the_agents_words_apart);
	tcase_add_test(t, a_denied_ask_tells_the_agent_what_the_human_said);
	tcase_add_test(t, who_waits_is_told_now_and_then);
	tcase_add_test(t, two_identical_asks_are_one_prompt);
	tcase_add_test(t, once_covers_no_second_call);
	tcase_add_test(t, a_number_of_uses_is_counted_and_covers_that_action_only);
	tcase_add_test(t, fewer_uses_than_calls_that_wait_are_not_taken);
	tcase_add_test(t, an_approval_for_the_session_covers_that_sandbox_only);
	tcase_add_test(t, the_policy_can_forbid_answers_that_last);
	tcase_add_test(t, another_user_neither_sees_nor_answers);
	tcase_add_test(t, the_admin_sees_and_answers_for_all);
	tcase_add_test(t, the_policy_can_leave_it_to_the_owner);
	tcase_add_test(t, an_agents_uid_gets_no_connection_and_so_cannot_approve);
	tcase_add_test(t, tool_sock_has_no_method_that_approves);
	tcase_add_test(t, only_the_agents_kernel_uid_is_heard_on_tool_sock);
	tcase_add_test(t, a_client_can_cancel_what_it_waits_for);
	tcase_add_test(t, a_client_that_leaves_takes_its_question_along);
	tcase_add_test(t, when_the_recorder_dies_held_calls_are_denied_and_the_log_learns_it_later);
	tcase_add_test(t, an_approval_that_cannot_be_recorded_allows_nothing);
	tcase_add_test(t, the_approval_waits_for_its_record_too);
	tcase_add_test(t, held_calls_of_one_sandbox_are_limited);
	tcase_add_test(t, what_is_too_long_for_a_human_is_denied_and_hides_nothing);
	tcase_add_test(t, the_agents_words_are_kept_short_and_counted);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
