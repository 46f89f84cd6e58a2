/* Decisions over tool.sock: allow, deny, ask; what is recorded; what cannot be recorded. */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "tests/unit/broker_rig.h"

START_TEST(a_call_that_policy_allows_is_allowed_and_in_the_log)
{
	int fd = rig_box("web", 1000, 7, "");
	json_t *o = rig_ask(fd, AUTHORIZE("1", "Fetch", "{\"url\":\"a\"}")), *r;

	ck_assert_str_eq(rig_str(o, "result", "decision"), "allow");
	ck_assert_ptr_nonnull(strstr(rig_str(o, "result", "rule"), "Fetch"));
	r = rig_last("request");
	ck_assert_str_eq(
		json_string_value(json_object_get(r, "q")), rig_str(o, "result", "action_id"));
	ck_assert_str_eq(rig_str(r, "act", "tool"), "Fetch");
	r = rig_last("decision");
	ck_assert_str_eq(rig_str(r, "d", "verdict"), "allow");
	ck_assert_str_eq(rig_str(r, "d", "by"), "policy");
	ck_assert_uint_eq(strlen(rig_str(r, "d", "policy_sha256")), 64);
	json_decref(o);
	close(fd);
}
END_TEST

START_TEST(a_call_that_policy_denies_gets_a_reason_to_act_on)
{
	int fd = rig_box("web", 1000, 7, "");
	json_t *o = rig_ask(fd, AUTHORIZE("\"x\"", "WebSearch", "{}"));

	ck_assert_str_eq(rig_str(o, "result", "decision"), "deny");
	ck_assert_ptr_nonnull(strstr(rig_str(o, "result", "reason"), "another way"));
	ck_assert_str_eq(json_string_value(json_object_get(o, "id")), "x");
	json_decref(o);
	close(fd);
}
END_TEST

START_TEST(the_answer_waits_until_the_record_is_durable)
{
	int fd = rig_box("web", 1000, 7, "");

	rig.mode = REC_HOLD;
	rig_say(fd, AUTHORIZE("1", "Fetch", "{}"));
	ck_assert_ptr_null(rig_hear_within(fd, 100));
	rig_release();
	rig_expect(fd, "allow");
	close(fd);
}
END_TEST

START_TEST(a_refused_append_is_a_deny)
{
	int fd = rig_box("web", 1000, 7, "");
	json_t *o;

	rig.mode = REC_REFUSE;
	o = rig_ask(fd, AUTHORIZE("1", "Fetch", "{}"));
	ck_assert_str_eq(rig_str(o, "result", "decision"), "deny");
	ck_assert_str_eq(rig_str(o, "result", "rule"), "fail-closed");
	json_decref(o);
	close(fd);
}
END_TEST

START_TEST(after_a_refused_append_the_counter_begins_a_new_epoch)
{
	int fd = rig_box("web", 1000, 7, "");
	json_t *r;

	rig.mode = REC_REFUSE;
	json_decref(rig_ask(fd, AUTHORIZE("1", "Fetch", "{}")));
	rig.mode = REC_ACK;
	json_decref(rig_ask(fd, AUTHORIZE("2", "Fetch", "{}")));
	r = rig_last("session.resume");
	ck_assert_int_eq(json_integer_value(json_object_get(r, "after")), 0); /* session.start */
	ck_assert_int_eq(json_integer_value(json_object_get(r, "n")), 0);
	ck_assert_int_gt(json_integer_value(json_object_get(r, "e")), 0);
	ck_assert_int_eq(json_integer_value(json_object_get(rig_last("request"), "n")), 1);
	ck_assert_int_eq(json_integer_value(json_object_get(rig_last("decision"), "n")), 2);
	ck_assert(json_equal(json_object_get(rig_last("decision"), "e"), json_object_get(r, "e")));
	close(fd);
}
END_TEST

START_TEST(a_silent_recorder_is_a_deny_after_the_deadline)
{
	int fd;
	json_t *o;

	rig_broker_down();
	rig.cfg.recorder_ms = 100;
	rig_broker_up();
	fd = rig_box("web", 1000, 7, "");
	rig.mode = REC_SILENT;
	rig_say(fd, AUTHORIZE("1", "Fetch", "{}"));
	rig_expect(fd, "deny");
	/* And the next one does not wait for the deadline again. */
	o = rig_hear_within((rig_say(fd, AUTHORIZE("2", "Fetch", "{}")), fd), 50);
	ck_assert_str_eq(rig_str(o, "result", "decision"), "deny");
	json_decref(o);
	close(fd);
}
END_TEST

START_TEST(a_recorder_that_answers_late_is_trusted_again)
{
	int fd;
	json_t *o;

	rig_broker_down();
	rig.cfg.recorder_ms = 100;
	rig_broker_up();
	fd = rig_box("web", 1000, 7, "");
	rig.mode = REC_HOLD;
	rig_say(fd, AUTHORIZE("1", "Fetch", "{}"));
	rig_expect(fd, "deny");
	rig_release();
	rig_idle(5);
	o = rig_ask(fd, AUTHORIZE("2", "Fetch", "{}"));
	ck_assert_str_eq(rig_str(o, "result", "decision"), "allow");
	/* What the late record would have allowed was denied, and the log says which ones. */
	ck_assert_int_eq(
		json_integer_value(json_object_get(rig_last("session.resume"), "after")), 0);
	json_decref(o);
	close(fd);
}
END_TEST

START_TEST(when_the_recorder_dies_calls_are_denied_until_there_is_another)
{
	int fd = rig_box("web", 1000, 7, "");

	close(rig.rec);
	rig.rec = -1;
	rig_say(fd, AUTHORIZE("1", "Fetch", "{}"));
	rig_expect(fd, "deny");
	rig_new_recorder();
	rig_say(fd, AUTHORIZE("2", "Fetch", "{}"));
	rig_expect(fd, "allow");
	close(fd);
}
END_TEST

START_TEST(records_of_a_session_are_numbered_without_gaps)
{
	int fd = rig_box("web", 1000, 7, "");
	json_t *r;
	size_t i;
	json_int_t want = 0;

	for (int k = 0; k < 5; k++)
		json_decref(rig_ask(fd, AUTHORIZE("1", "Fetch", "{}")));
	json_array_foreach(rig.records, i, r)
	{
		if (json_object_get(r, "n"))
			ck_assert_int_eq(json_integer_value(json_object_get(r, "n")), want++);
	}
	ck_assert_int_eq(want, 11);
	close(fd);
}
END_TEST

START_TEST(explain_says_what_would_be_decided_and_records_nothing)
{
	int fd = rig_box("web", 1000, 7, "");
	size_t before = json_array_size(rig.records);
	json_t *o = rig_ask(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"explain\",\"params\":{"
				"\"kind\":\"tool\","
				"\"tool\":\"Bash\",\"input\":{}}}");

	ck_assert_str_eq(rig_str(o, "result", "decision"), "ask");
	ck_assert_uint_eq(json_array_size(rig.records), before);
	json_decref(o);
	close(fd);
}
END_TEST

START_TEST(whoami_names_the_sandbox_and_its_policy)
{
	int fd = rig_box("web", 1000, 7, "");
	json_t *o = rig_ask(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"whoami\"}");

	ck_assert_str_eq(rig_str(o, "result", "sandbox"), "web");
	ck_assert_uint_eq(strlen(rig_str(o, "result", "policy_sha256")), 64);
	ck_assert_int_eq(
		json_integer_value(json_object_get(json_object_get(o, "result"), "pid")), getpid());
	json_decref(o);
	close(fd);
}
END_TEST

START_TEST(what_is_not_one_canonical_request_is_answered_with_an_error_and_closed)
{
	static const char *const lines[] = {"", "{", "[]", "{}x", "\"a\"", "{\"a\":1,\"a\":2}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"authorize\",\"id\":2}", "nul\\u0000",
		"{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"whoami\"}",
		"{\"jsonrpc\":\"2.0\",\"id\":1.5,\"method\":\"whoami\"}"};
	int fd = rig_box("web", 1000, 7, "");
	char deep[400];
	json_t *o;

	for (size_t i = 1; i < sizeof lines / sizeof *lines; i++) {
		struct box *x = TAILQ_FIRST(&rig.b->boxes);
		int pair[2];

		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
		ck_assert_ptr_nonnull(calls_attach(x, pair[1]));
		o = rig_ask(pair[0], lines[i]);
		ck_assert_ptr_nonnull(json_object_get(o, "error"));
		json_decref(o);
		ck_assert_msg(rig_closed(pair[0]), "%s", lines[i]);
		close(pair[0]);
	}
	memset(deep, '[', sizeof deep);
	deep[sizeof deep - 1] = 0;
	o = rig_ask(fd, deep);
	ck_assert_ptr_nonnull(strstr(rig_str(o, "error", "message"), "deeper"));
	json_decref(o);
	ck_assert(rig_closed(fd));
	close(fd);
}
END_TEST

START_TEST(bad_requests_that_are_json_leave_the_connection_open)
{
	static const char *const lines[] = {"{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"whoami\"}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"nothing\"}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"whoami\",\"params\":[]}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"whoami\",\"extra\":0}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"authorize\",\"params\":{}}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"authorize\",\"params\":{\"kind\":"
		"\"exec\","
		"\"tool\":\"Fetch\",\"input\":{}}}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"authorize\",\"params\":{\"kind\":"
		"\"tool\","
		"\"tool\":\"Fetch\",\"input\":{},\"allow\":true}}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"authorize\",\"params\":{\"kind\":"
		"\"tool\","
		"\"tool\":\"Fetch\",\"input\":[]}}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"hook\",\"params\":{\"agent\":\"x\","
		"\"event\":{}}}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"cancel\",\"params\":{}}"};
	int fd = rig_box("web", 1000, 7, "");
	json_t *o;

	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		o = rig_ask(fd, lines[i]);
		ck_assert_msg(json_object_get(o, "error") != NULL, "%s", lines[i]);
		json_decref(o);
	}
	rig_say(fd, AUTHORIZE("1", "Fetch", "{}"));
	rig_expect(fd, "allow");
	close(fd);
}
END_TEST

START_TEST(a_line_of_more_than_a_mebibyte_ends_the_connection)
{
	int fd = rig_box("web", 1000, 7, "");
	static char junk[65536];
	json_t *o;

	memset(junk, 'a', sizeof junk);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	for (int i = 0; i < 40; i++) {
		(void)!send(fd, junk, sizeof junk, MSG_NOSIGNAL);
		rig_step();
	}
	o = rig_hear(fd);
	ck_assert_ptr_nonnull(json_object_get(o, "error"));
	json_decref(o);
	ck_assert(rig_closed(fd));
	close(fd);
}
END_TEST

START_TEST(an_input_that_a_record_cannot_hold_is_kept_as_head_length_and_digest)
{
	int fd = rig_box("web", 1000, 7, "");
	static char line[200000];
	int n = snprintf(line, sizeof line,
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"authorize\",\"params\":{\"kind\":"
		"\"tool\","
		"\"tool\":\"Fetch\",\"input\":{\"a\":\"");
	json_t *o, *in;

	memset(line + n, 'x', 100000);
	snprintf(line + n + 100000, 16, "\"}}}");
	rig_say(fd, line);
	rig_expect(fd, "allow");
	in = json_object_get(json_object_get(rig_last("request"), "act"), "input");
	ck_assert_int_eq(json_integer_value(json_object_get(in, "len")), 100008);
	ck_assert_uint_eq(strlen(json_string_value(json_object_get(in, "sha256"))), 64);
	o = rig_ask(fd, AUTHORIZE("2", "Fetch", "{\"x\":0.5,\"big\":9007199254740993}"));
	ck_assert_str_eq(rig_str(o, "result", "decision"), "allow");
	in = json_object_get(json_object_get(rig_last("request"), "act"), "input");
	ck_assert_ptr_nonnull(json_object_get(in, "json"));
	json_decref(o);
	close(fd);
}
END_TEST

START_TEST(a_claude_hook_gets_exit_0_for_allow_and_2_with_a_reason_for_deny)
{
	int fd = rig_box("web", 1000, 7, "");
	json_t *o = rig_ask(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"hook\",\"params\":{"
				"\"agent\":\"claude-code\","
				"\"event\":{\"hook_event_name\":\"PreToolUse\",\"tool_name\":"
				"\"Fetch\",\"tool_input\":{}"
				",\"cwd\":\"/home/ann/web\",\"session_id\":\"s\"}}}");
	json_t *said;

	ck_assert_int_eq(
		json_integer_value(json_object_get(json_object_get(o, "result"), "exit")), 0);
	said = json_loads(rig_str(o, "result", "stdout"), 0, NULL);
	ck_assert_str_eq(rig_str(said, "hookSpecificOutput", "permissionDecision"), "allow");
	json_decref(said);
	json_decref(o);
	o = rig_ask(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"hook\",\"params\":{\"agent\":"
			"\"claude-code\","
			"\"event\":{\"hook_event_name\":\"PreToolUse\",\"tool_name\":\"WebSearch\","
			"\"tool_input\":{}}}}");
	ck_assert_int_eq(
		json_integer_value(json_object_get(json_object_get(o, "result"), "exit")), 2);
	ck_assert_ptr_nonnull(strstr(rig_str(o, "result", "stderr"), "WebSearch"));
	said = json_loads(rig_str(o, "result", "stdout"), 0, NULL);
	ck_assert_str_eq(rig_str(said, "hookSpecificOutput", "permissionDecision"), "deny");
	json_decref(said);
	json_decref(o);
	close(fd);
}
END_TEST

START_TEST(a_hook_event_that_cannot_be_read_is_a_deny)
{
	int fd = rig_box("web", 1000, 7, "");
	json_t *o = rig_ask(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"hook\",\"params\":{"
				"\"agent\":\"claude-code\","
				"\"event\":{\"hook_event_name\":\"PreToolUse\",\"tool_name\":7}}}");

	ck_assert_int_eq(
		json_integer_value(json_object_get(json_object_get(o, "result"), "exit")), 2);
	ck_assert_str_ne(rig_str(o, "result", "stderr"), "");
	json_decref(o);
	close(fd);
}
END_TEST

START_TEST(a_client_that_reads_nothing_costs_others_nothing)
{
	int fd = rig_box("web", 1000, 7, ""), stalled;
	struct box *x = TAILQ_FIRST(&rig.b->boxes);
	int pair[2];
	json_t *o;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	ck_assert_ptr_nonnull(calls_attach(x, pair[1]));
	stalled = pair[0];
	fcntl(stalled, F_SETFL, O_NONBLOCK);
	for (int i = 0; i < 20000; i++) {
		const char *l = AUTHORIZE("1", "Fetch", "{}") "\n";

		(void)!send(stalled, l, strlen(l), MSG_NOSIGNAL);
		if (i % 100 == 0)
			rig_step();
	}
	o = rig_ask(fd, AUTHORIZE("1", "Fetch", "{}"));
	ck_assert_str_eq(rig_str(o, "result", "decision"), "allow");
	ck_assert_uint_lt(x->tools.held, 2u << 20);
	json_decref(o);
	close(stalled);
	close(fd);
}
END_TEST

START_TEST(a_small_call_does_not_make_the_broker_use_much_memory)
{
	int fd = rig_box("web", 1000, 7, "");
	static char line[1000000];
	size_t at = (size_t)snprintf(line, sizeof line,
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"authorize\",\"params\":{\"kind\":"
		"\"tool\","
		"\"tool\":\"Fetch\",\"input\":{\"");
	struct rusage before, after;
	json_t *o;

	/* One very long key with thousands of values below it: each of them has it in its pointer. */
	memset(line + at, 'k', 900000);
	at += 900000;
	at += (size_t)snprintf(line + at, sizeof line - at, "\":[0");
	for (int i = 0; i < 4000; i++)
		at += (size_t)snprintf(line + at, sizeof line - at, ",0");
	snprintf(line + at, sizeof line - at, "]}}}");
	getrusage(RUSAGE_SELF, &before);
	o = rig_ask(fd, line);
	getrusage(RUSAGE_SELF, &after);
	ck_assert_str_eq(rig_str(o, "result", "decision"), "deny");
	json_decref(o);
	ck_assert_int_lt(after.ru_maxrss - before.ru_maxrss, 64 << 10); /* KiB */
	close(fd);
}
END_TEST

/* An agent that does nothing but connect and leave. */
static pid_t start_connecting(const char *path)
{
	pid_t pid = fork();
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	ck_assert_int_ge(pid, 0);
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
	for (;;) {
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

		(void)connect(fd, (struct sockaddr *)&a, sizeof a);
		close(fd);
	}
}

static uint64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

START_TEST(a_sandbox_that_connects_without_end_leaves_the_broker_to_others)
{
	struct request_writer w;
	uint64_t cpu, begin;
	pid_t child;

	rig_request(&w, "web");
	rig_put_doc(&w, DOC_CLI, "/home/ann/p.yaml", RIG_POLICY);
	ck_assert_int_eq(rig_run_as(&w, 1000, 7), 1);
	child = start_connecting(rig_started(7, 1000, getuid(), 0, -1));
	cpu = cpu_ns();
	begin = io_now_mono();
	while (io_now_mono() - begin < 500000000ull) {
		struct timeval tv = {.tv_usec = 20000};

		event_base_loopexit(rig.base, &tv);
		event_base_dispatch(rig.base);
	}
	cpu = cpu_ns() - cpu;
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	ck_assert_uint_lt(cpu, 430000000u);
}
END_TEST

START_TEST(another_uid_than_the_agents_gets_no_connection)
{
	struct request_writer w;
	int fd;

	rig_request(&w, "web");
	ck_assert_int_eq(rig_run_as(&w, 1000, 7), 1);
	fd = rig_connect(rig_started(7, 1000, getuid() + 12345, 0, -1));
	ck_assert(rig_closed(fd));
	close(fd);
}
END_TEST

/* No session starts with rules of a section that has no gate yet: here one that runs gets them. */
static struct policy *give_rules(const char *yaml)
{
	const struct policy_doc doc = {"/home/ann/p.yaml", POLICY_CLI, yaml, strlen(yaml)};
	struct session *s = TAILQ_FIRST(&rig.b->boxes)->session;
	struct policy *old = s->policy;
	struct policy_error e;

	s->policy = policy_load(&doc, 1, NULL, &e);
	ck_assert_msg(s->policy != NULL, "%s", e.text);
	return old;
}

static void take_rules(struct policy *old)
{
	struct session *s = TAILQ_FIRST(&rig.b->boxes)->session;

	policy_free(s->policy);
	s->policy = old;
}

static const char shell_rules[] = "policy: 1\n"
				  "tools: {allow: [Bash, Fetch], deny: [bash]}\n"
				  "exec:\n"
				  "  allow: [git status ..., sh ...]\n"
				  "  deny:\n"
				  "    - cmd: git push ... flag(-f|--force) ...\n"
				  "      why: use a branch\n";

START_TEST(a_shell_call_is_denied_for_a_command_in_it)
{
	int fd = rig_box("web", 1000, 7, "");
	struct policy *old = give_rules(shell_rules);
	json_t *o;

	rig_say(fd, AUTHORIZE("1", "Bash", "{\"command\":\"git status\"}"));
	rig_expect(fd, "allow");
	rig_say(fd, AUTHORIZE("2", "Fetch", "{\"command\":\"git push -f\"}"));
	rig_expect(fd, "allow"); /* runs no shell */
	o = rig_ask(fd, AUTHORIZE("3", "Bash",
				"{\"command\":\"git status; sh -c 'git -C x push --forc'\"}"));
	ck_assert_str_eq(rig_str(o, "result", "decision"), "deny");
	ck_assert_ptr_nonnull(strstr(rig_str(o, "result", "rule"), "git push"));
	ck_assert_ptr_nonnull(strstr(
		rig_str(o, "result", "reason"), "use a branch, because of: git -C x push --forc"));
	json_decref(o);
	ck_assert_str_eq(rig_str(rig_last("decision"), "d", "verdict"), "deny");
	/* Never laxer than the tool's own rule. */
	rig_say(fd, AUTHORIZE("4", "bash", "{\"command\":\"git status\"}"));
	rig_expect(fd, "deny");
	take_rules(old);
	close(fd);
}
END_TEST

static void is_part(json_t *runs, size_t i, const char *kind, const char *text, const char *verdict)
{
	json_t *part = json_array_get(runs, i);

	ck_assert_str_eq(json_string_value(json_object_get(part, "kind")), kind);
	ck_assert_str_eq(json_string_value(json_object_get(part, "text")), text);
	ck_assert_str_eq(json_string_value(json_object_get(part, "verdict")), verdict);
}

START_TEST(a_human_is_shown_the_commands_of_a_shell_call)
{
	int fd = rig_box("web", 1000, 7, ""), ann = rig_person(1000, 0);
	struct policy *old = give_rules(shell_rules);
	json_t *o, *a, *runs;

	rig_say(fd, AUTHORIZE("1", "Bash",
			    "{\"command\":\"git 'status' && \\\"ma\\\"ke 'a b' > f; eval x\"}"));
	json_decref(rig_hear(fd)); /* it waits */
	o = rig_ask(ann, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"approvals\"}");
	a = json_array_get(json_object_get(json_object_get(o, "result"), "approvals"), 0);
	ck_assert_str_eq(json_string_value(json_object_get(a, "text")),
		"git 'status' && \"ma\"ke 'a b' > f; eval x");
	ck_assert_ptr_nonnull(
		strstr(json_string_value(json_object_get(a, "reason")), "make 'a b'"));
	runs = json_object_get(a, "runs");
	ck_assert_uint_eq(json_array_size(runs), 4);
	is_part(runs, 0, "command", "git status", "allow");
	is_part(runs, 1, "command", "make 'a b'", "ask");
	is_part(runs, 2, "file", "write f", "ask");
	is_part(runs, 3, "opaque",
		"a builtin that runs text, or changes what later words mean: eval x", "ask");
	json_decref(o);
	take_rules(old);
	close(ann);
	close(fd);
}
END_TEST

START_TEST(without_rules_about_programs_a_shell_call_is_what_its_tool_is)
{
	int fd = rig_box("web", 1000, 7, ""), ann = rig_person(1000, 0);
	struct policy *old = give_rules("policy: 1\ntools: {allow: [Bash], ask: [bash]}\n");
	json_t *o, *a;

	rig_say(fd, AUTHORIZE("1", "Bash", "{\"command\":\"rm -rf /; eval x\"}"));
	rig_expect(fd, "allow");
	rig_say(fd, AUTHORIZE("2", "bash", "{\"command\":\"'rm' x\"}"));
	json_decref(rig_hear(fd));
	o = rig_ask(ann, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"approvals\"}");
	a = json_array_get(json_object_get(json_object_get(o, "result"), "approvals"), 0);
	is_part(json_object_get(a, "runs"), 0, "command", "rm x", "none");
	json_decref(o);
	take_rules(old);
	close(ann);
	close(fd);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("broker: decisions");
	TCase *t = tcase_create("decide");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, rig_setup, rig_teardown);
	tcase_add_test(t, a_call_that_policy_allows_is_allowed_and_in_the_log);
	tcase_add_test(t, a_call_that_policy_denies_gets_a_reason_to_act_on);
	tcase_add_test(t, the_answer_waits_until_the_record_is_durable);
	tcase_add_test(t, a_refused_append_is_a_deny);
	tcase_add_test(t, after_a_refused_append_the_counter_begins_a_new_epoch);
	tcase_add_test(t, a_silent_recorder_is_a_deny_after_the_deadline);
	tcase_add_test(t, a_recorder_that_answers_late_is_trusted_again);
	tcase_add_test(t, when_the_recorder_dies_calls_are_denied_until_there_is_another);
	tcase_add_test(t, records_of_a_session_are_numbered_without_gaps);
	tcase_add_test(t, explain_says_what_would_be_decided_and_records_nothing);
	tcase_add_test(t, whoami_names_the_sandbox_and_its_policy);
	tcase_add_test(t, what_is_not_one_canonical_request_is_answered_with_an_error_and_closed);
	tcase_add_test(t, bad_requests_that_are_json_leave_the_connection_open);
	tcase_add_test(t, a_line_of_more_than_a_mebibyte_ends_the_connection);
	tcase_add_test(t, an_input_that_a_record_cannot_hold_is_kept_as_head_length_and_digest);
	tcase_add_test(t, a_claude_hook_gets_exit_0_for_allow_and_2_with_a_reason_for_deny);
	tcase_add_test(t, a_hook_event_that_cannot_be_read_is_a_deny);
	tcase_add_test(t, a_client_that_reads_nothing_costs_others_nothing);
	tcase_add_test(t, another_uid_than_the_agents_gets_no_connection);
	tcase_add_test(t, a_shell_call_is_denied_for_a_command_in_it);
	tcase_add_test(t, a_human_is_shown_the_commands_of_a_shell_call);
	tcase_add_test(t, without_rules_about_programs_a_shell_call_is_what_its_tool_is);
	tcase_add_test(t, a_small_call_does_not_make_the_broker_use_much_memory);
	tcase_add_test(t, a_sandbox_that_connects_without_end_leaves_the_broker_to_others);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
