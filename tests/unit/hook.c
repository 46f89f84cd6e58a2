/* agentctl hook: the broker's answer or a deny, and nothing in between. Each case runs the hook in a
 * child against a broker that this test plays. */
/* NOLINTBEGIN(bugprone-suspicious-include): agentctl is no library */
#include "agentctl/hook.c"
/* NOLINTEND(bugprone-suspicious-include) */

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

static char dir[64], path[128];
static int listener;

static const char event[] = "{\"hook_event_name\":\"PreToolUse\",\"tool_name\":\"Bash\",\n"
			    "\t\"tool_input\":{\"command\":\"ls\\n\"}}\r\n";

struct hooked {
	int status; /* of waitpid */
	char out[4096], err[4096];
	char request[4096]; /* the line that the broker got */
};

static void setup(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	snprintf(dir, sizeof dir, "/tmp/hook-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/tool.sock", dir);
	memcpy(a.sun_path, path, strlen(path) + 1);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&a, sizeof a), 0);
	ck_assert_int_eq(listen(listener, 8), 0);
}

static void teardown(void)
{
	close(listener);
	unlink(path);
	rmdir(dir);
}

static int scratch(const char *text, size_t n)
{
	int fd = fileno(tmpfile());

	ck_assert_int_eq(io_write_all(fd, text, n), 0);
	lseek(fd, 0, SEEK_SET);
	return fd;
}

static pid_t start_hook(char **argv, int argc, int in, int o, int e)
{
	pid_t pid = fork();

	if (pid == 0) {
		struct ctl c = {0};

		dup2(in, 0);
		dup2(o, 1);
		dup2(e, 2);
		_exit(run_hook(&c, argc, argv));
	}
	return pid;
}

static void slurp(int fd, char *buf, size_t cap)
{
	ssize_t n;

	lseek(fd, 0, SEEK_SET);
	n = io_read_full(fd, buf, cap - 1);
	buf[n < 0 ? 0 : n] = 0;
}

/* Accepts one connection, reads its line, sends the answer, closes (keep: not before the hook ended). */
static int serve(struct hooked *h, const char *answer, size_t n)
{
	struct pollfd p = {.fd = listener, .events = POLLIN};
	size_t got = 0;
	int s;

	if (poll(&p, 1, 2000) <= 0)
		return -1;
	s = accept(listener, NULL, NULL);
	while (got < sizeof h->request - 1 && !memchr(h->request, '\n', got)) {
		ssize_t r = read(s, h->request + got, sizeof h->request - 1 - got);

		if (r <= 0)
			break;
		got += (size_t)r;
	}
	h->request[got] = 0;
	(void)io_write_all(s, answer, n);
	return s;
}

static void run_case(struct hooked *h, const char *agent, const char *in, size_t in_n,
	const char *answer, size_t n)
{
	char socket_option[] = "--socket", verb[] = "hook", kind[32];
	char *argv[] = {verb, kind, socket_option, path, NULL};
	int i = scratch(in, in_n), o = scratch("", 0), e = scratch("", 0), s = -1;
	pid_t pid;

	memset(h, 0, sizeof *h);
	snprintf(kind, sizeof kind, "%s", agent);
	pid = start_hook(argv, 4, i, o, e);
	if (answer)
		s = serve(h, answer, n);
	if (s >= 0)
		close(s);
	ck_assert_int_eq(waitpid(pid, &h->status, 0), pid);
	slurp(o, h->out, sizeof h->out);
	slurp(e, h->err, sizeof h->err);
}

static struct hooked asked(const char *answer)
{
	static struct hooked h;

	run_case(&h, "claude-code", event, sizeof event - 1, answer, strlen(answer));
	return h;
}

/* It is denied in every form an agent knows: exit 2, a reason on stderr, the deny JSON. */
static void check_denied(const struct hooked *h, const char *why)
{
	struct span line = {h->out, strlen(h->out)}, v, d;
	char text[32];
	size_t n;

	ck_assert_msg(WIFEXITED(h->status), "signal %d", WTERMSIG(h->status));
	ck_assert_int_eq(WEXITSTATUS(h->status), 2);
	ck_assert_msg(strstr(h->err, "denied") && strstr(h->err, why), "%s", h->err);
	ck_assert_int_eq(json_find(line, "hookSpecificOutput", &v), 1);
	ck_assert_int_eq(json_find(v, "permissionDecision", &d), 1);
	ck_assert_int_eq(json_string(d, text, sizeof text, &n), 0);
	ck_assert_str_eq(text, "deny");
}

#define ALLOW                                                                              \
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"exit\":0,\"stderr\":\"\",\"stdout\":" \
	"\"{\\\"hookSpecificOutput\\\":{\\\"hookEventName\\\":\\\"PreToolUse\\\","         \
	"\\\"permissionDecision\\\":\\\"allow\\\"}}\\n\"}}\n"

START_TEST(an_allow_is_passed_on_byte_for_byte)
{
	struct hooked h = asked(ALLOW);

	ck_assert_int_eq(h.status, 0);
	ck_assert_str_eq(h.out, "{\"hookSpecificOutput\":{\"hookEventName\":\"PreToolUse\","
				"\"permissionDecision\":\"allow\"}}\n");
	ck_assert_str_eq(h.err, "");
}
END_TEST

START_TEST(a_deny_of_the_broker_is_passed_on)
{
	struct hooked h =
		asked("{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"exit\":2,\"stdout\":\"\","
		      "\"stderr\":\"no: rule x\"}}\n");

	ck_assert(WIFEXITED(h.status));
	ck_assert_int_eq(WEXITSTATUS(h.status), 2);
	ck_assert_str_eq(h.err, "no: rule x");
	ck_assert_str_eq(h.out, "");
}
END_TEST

START_TEST(the_event_goes_to_the_broker_on_one_line_and_unchanged)
{
	struct hooked h = asked(ALLOW);
	struct span line = {h.request, strlen(h.request)}, v;

	ck_assert_str_eq(h.request,
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"hook\",\"params\":{\"agent\":"
		"\"claude-code\",\"event\":{\"hook_event_name\":\"PreToolUse\",\"tool_name\":"
		"\"Bash\","
		" \t\"tool_input\":{\"command\":\"ls\\n\"}}  }}\n");
	ck_assert_int_eq(json_find(line, "params", &v), 1);
}
END_TEST

START_TEST(notifications_before_the_answer_are_waited_through)
{
	struct hooked h = asked(
		"{\"jsonrpc\":\"2.0\",\"method\":\"approval/pending\",\"params\":{\"id\":1}}\n"
		"{\"jsonrpc\":\"2.0\",\"method\":\"approval/"
		"progress\",\"params\":{\"id\":1}}\n" ALLOW);

	ck_assert_int_eq(h.status, 0);
}
END_TEST

START_TEST(without_a_socket_it_is_denied)
{
	struct hooked h;

	unlink(path);
	run_case(&h, "claude-code", event, sizeof event - 1, NULL, 0);
	check_denied(&h, "no agentd in this sandbox");
}
END_TEST

START_TEST(a_socket_that_nobody_serves_is_a_deny)
{
	struct hooked h;

	close(listener);
	listener = -1;
	run_case(&h, "claude-code", event, sizeof event - 1, NULL, 0);
	check_denied(&h, "does not take connections");
}
END_TEST

START_TEST(a_connection_that_closes_is_a_deny)
{
	struct hooked h = asked("");

	check_denied(&h, "closed the connection");
	h = asked("{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"exit\":0");
	check_denied(&h, "closed the connection");
}
END_TEST

START_TEST(an_answer_in_another_form_is_a_deny)
{
	static const char *const bad[] = {
		"garbage\n",
		"\n",
		"null\n",
		"[]\n",
		"{}\n",
		"{\"id\":1}\n",
		"{\"id\":1,\"result\":null}\n",
		"{\"id\":1,\"result\":{}}\n",
		"{\"id\":1,\"result\":{\"exit\":0}}\n",
		"{\"id\":1,\"result\":{\"exit\":0,\"stdout\":\"\"}}\n",
		"{\"id\":1,\"result\":{\"exit\":\"0\",\"stdout\":\"\",\"stderr\":\"\"}}\n",
		"{\"id\":1,\"result\":{\"exit\":0.0,\"stdout\":\"\",\"stderr\":\"\"}}\n",
		"{\"id\":1,\"result\":{\"exit\":1,\"stdout\":\"\",\"stderr\":\"\"}}\n",
		"{\"id\":1,\"result\":{\"exit\":256,\"stdout\":\"\",\"stderr\":\"\"}}\n",
		"{\"id\":1,\"result\":{\"exit\":-2,\"stdout\":\"\",\"stderr\":\"\"}}\n",
		"{\"id\":1,\"result\":{\"exit\":0,\"stdout\":\"half {\",\"stderr\":\"\"}}\n",
		"{\"id\":1,\"result\":{\"exit\":0,\"stdout\":1,\"stderr\":\"\"}}\n",
		"{\"id\":1,\"result\":{\"exit\":0,\"stdout\":\"\\ud800\",\"stderr\":\"\"}}\n",
		"{\"id\":1,\"result\":{\"exit\":0,\"exit\":0,\"stdout\":\"\",\"stderr\":\"\"}}\n",
		"{\"id\":2,\"result\":{\"exit\":0,\"stdout\":\"\",\"stderr\":\"\"}}\n",
		"{\"id\":\"1\",\"result\":{\"exit\":0,\"stdout\":\"\",\"stderr\":\"\"}}\n",
		"{\"id\":null,\"result\":{\"exit\":0,\"stdout\":\"\",\"stderr\":\"\"}}\n",
		"{\"result\":{\"exit\":0,\"stdout\":\"\",\"stderr\":\"\"}}\n",
		"{\"id\":1,\"result\":{\"exit\":0,\"stdout\":\"\",\"stderr\":\"\"}} x\n",
		"{\"id\":1,\"result\":{\"exit\":0,\"stdout\":\"\",\"stderr\":\"\xff\"}}\n",
	};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct hooked h = asked(bad[i]);

		check_denied(&h, "agentd");
	}
}
END_TEST

START_TEST(a_deny_without_words_gets_some)
{
	struct hooked h =
		asked("{\"id\":1,\"result\":{\"exit\":2,\"stdout\":\"\",\"stderr\":\"\"}}\n");

	check_denied(&h, "without a reason"); /* Codex and Gemini run it when stderr is empty */
}
END_TEST

START_TEST(an_error_answer_is_a_deny_with_its_escaped_text)
{
	struct hooked h =
		asked("{\"id\":1,\"error\":{\"code\":-32000,\"message\":\"full\\u001b[2J\"}}\n");

	check_denied(&h, "full\\x1B[2J");
	h = asked("{\"id\":null,\"error\":{\"code\":-32700,\"message\":\"not JSON\"}}\n");
	check_denied(&h, "not JSON");
	h = asked("{\"id\":1,\"error\":7}\n");
	check_denied(&h, "answered with an error");
}
END_TEST

START_TEST(an_answer_that_is_too_long_is_a_deny)
{
	size_t n = 3u << 20;
	char *big = malloc(n);
	struct hooked h;

	memset(big, ' ', n);
	(void)signal(SIGPIPE, SIG_IGN);
	run_case(&h, "claude-code", event, sizeof event - 1, big, n);
	check_denied(&h, "too long");
	free(big);
}
END_TEST

START_TEST(input_that_is_not_json_is_a_deny)
{
	static const char *const bad[] = {
		"", "{", "{} {}", "hello", "{\"a\":\"\xff\"}", "{'a':1}", "{\"a\":1}}},\"x\":{"};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct hooked h;

		run_case(&h, "claude-code", bad[i], strlen(bad[i]), NULL, 0);
		check_denied(&h, "not JSON");
	}
}
END_TEST

START_TEST(input_that_is_too_large_is_a_deny)
{
	size_t n = 1u << 20;
	char *big = malloc(n);
	struct hooked h;

	memset(big, ' ', n);
	big[0] = '{';
	big[n - 1] = '}';
	run_case(&h, "claude-code", big, n, NULL, 0);
	check_denied(&h, "larger than 1 MiB");
	free(big);
}
END_TEST

START_TEST(a_signal_is_a_deny)
{
	static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGALRM, SIGSEGV,
		SIGABRT, SIGBUS, SIGFPE, SIGXCPU};
	char verb[] = "hook", kind[] = "claude-code", option[] = "--socket";
	char *argv[] = {verb, kind, option, path, NULL};

	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
		struct hooked h = {0};
		struct timespec pause = {.tv_nsec = 20000000};
		int p[2], o = scratch("", 0), e = scratch("", 0);
		pid_t pid;

		ck_assert_int_eq(pipe2(p, O_CLOEXEC), 0);
		pid = start_hook(argv, 4, p[0], o, e); /* waits for its input */
		nanosleep(&pause, NULL);
		kill(pid, signals[i]);
		ck_assert_int_eq(waitpid(pid, &h.status, 0), pid);
		slurp(o, h.out, sizeof h.out);
		slurp(e, h.err, sizeof h.err);
		check_denied(&h, signals[i] == SIGALRM ? "in time" : "interrupted");
		close(p[0]);
		close(p[1]);
	}
}
END_TEST

START_TEST(an_alarm_with_the_answer_at_hand_is_no_deny)
{
	char verb[] = "hook", kind[] = "claude-code", option[] = "--socket";
	char *argv[] = {verb, kind, option, path, NULL};
	struct timespec pause = {.tv_nsec = 20000000};
	int o = scratch("", 0), e = scratch("", 0), s;
	struct hooked h = {0};
	pid_t pid = start_hook(argv, 4, scratch(event, sizeof event - 1), o, e);

	s = serve(&h, "", 0);
	nanosleep(&pause, NULL);
	kill(pid, SIGSTOP); /* as a freeze does */
	(void)io_write_all(s, ALLOW, sizeof ALLOW - 1);
	kill(pid, SIGALRM);
	kill(pid, SIGCONT);
	ck_assert_int_eq(waitpid(pid, &h.status, 0), pid);
	ck_assert_int_eq(h.status, 0);
	close(s);
}
END_TEST

START_TEST(an_answer_that_cannot_be_written_is_a_deny)
{
	char verb[] = "hook", kind[] = "claude-code", option[] = "--socket";
	char *argv[] = {verb, kind, option, path, NULL};
	int e = scratch("", 0), full = open("/dev/full", O_WRONLY), s;
	struct hooked h = {0};
	pid_t pid = start_hook(argv, 4, scratch(event, sizeof event - 1), full, e);

	s = serve(&h, ALLOW, sizeof ALLOW - 1);
	ck_assert_int_eq(waitpid(pid, &h.status, 0), pid);
	ck_assert_int_eq(WEXITSTATUS(h.status), 2);
	slurp(e, h.err, sizeof h.err);
	ck_assert(strstr(h.err, "could not write its answer"));
	close(s);
}
END_TEST

START_TEST(other_agents_and_events_get_the_deny_they_understand)
{
	static const char request_event[] = "{\"hook_event_name\":\"PermissionRequest\"}";
	struct hooked h;

	run_case(&h, "gemini-cli", "x", 1, NULL, 0);
	ck_assert_int_eq(WEXITSTATUS(h.status), 2);
	ck_assert_int_eq(strncmp(h.out, "{\"decision\":\"deny\",\"reason\":\"", 28), 0);
	run_case(&h, "codex", "x", 1, NULL, 0);
	check_denied(&h, "not JSON");
	run_case(&h, "codex", request_event, sizeof request_event - 1, "", 0);
	ck_assert_int_eq(WEXITSTATUS(h.status), 2);
	ck_assert(
		strstr(h.out, "\"hookEventName\":\"PermissionRequest\",\"decision\":{\"behavior\":"
			      "\"deny\""));
	run_case(&h, "emacs", event, sizeof event - 1, NULL, 0);
	check_denied(&h, "does not know this agent");
}
END_TEST

START_TEST(an_event_name_that_is_not_a_word_is_not_printed)
{
	static const char evil[] = "{\"hook_event_name\":\"a\\\",\\\"x\\\":\\\"\"}";
	struct hooked h;

	run_case(&h, "claude-code", evil, sizeof evil - 1, "", 0);
	check_denied(&h, "closed the connection");
	ck_assert(strstr(h.out, "\"hookEventName\":\"PreToolUse\""));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("hook");
	TCase *t = tcase_create("hook");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, an_allow_is_passed_on_byte_for_byte);
	tcase_add_test(t, a_deny_of_the_broker_is_passed_on);
	tcase_add_test(t, the_event_goes_to_the_broker_on_one_line_and_unchanged);
	tcase_add_test(t, notifications_before_the_answer_are_waited_through);
	tcase_add_test(t, without_a_socket_it_is_denied);
	tcase_add_test(t, a_socket_that_nobody_serves_is_a_deny);
	tcase_add_test(t, a_connection_that_closes_is_a_deny);
	tcase_add_test(t, an_answer_in_another_form_is_a_deny);
	tcase_add_test(t, a_deny_without_words_gets_some);
	tcase_add_test(t, an_error_answer_is_a_deny_with_its_escaped_text);
	tcase_add_test(t, an_answer_that_is_too_long_is_a_deny);
	tcase_add_test(t, input_that_is_not_json_is_a_deny);
	tcase_add_test(t, input_that_is_too_large_is_a_deny);
	tcase_add_test(t, a_signal_is_a_deny);
	tcase_add_test(t, an_alarm_with_the_answer_at_hand_is_no_deny);
	tcase_add_test(t, an_answer_that_cannot_be_written_is_a_deny);
	tcase_add_test(t, other_agents_and_events_get_the_deny_they_understand);
	tcase_add_test(t, an_event_name_that_is_not_a_word_is_not_printed);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
