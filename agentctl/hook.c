/* agentctl hook AGENT: the program that a coding agent runs before each tool call, inside the sandbox.
 * It hands the agent's JSON to the broker over tool.sock and does what the answer says. It starts once
 * per action, so it does not allocate, use stdio or read anything it does not need.
 *
 * Agents take a hook that fails for a hook that allows (exit 1, a signal, garbage on stdout). So there
 * are two ways out of here: the broker's answer, and exit 2 with a reason on stderr, which every agent
 * understands as "denied". All signals that can be caught lead to the second. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agentctl/verbs.h"
#include "common/escape.h"
#include "common/io.h"
#include "common/jsonscan.h"

#define TOOL_SOCKET "/run/agentd/tool.sock"
#define LINE_MAX_   (1u << 20) /* docs/rpc.md: the longest line either side may send */
#define IDLE_S      30 /* the broker says something every 10 s while a human is asked */
#define DENY_EXIT   2
#define DENY_TAIL   200 /* room for the words that follow the cause of a deny */

/* Where the words go that the agent's model reads. */
enum dialect { DIALECT_CLAUDE, DIALECT_GEMINI };

/* Not on the stack, so that pages that are not needed are never touched. */
static char request[LINE_MAX_ + 1], reply[LINE_MAX_ + 1], out[LINE_MAX_], err[LINE_MAX_];

/* What a signal handler needs. */
static volatile sig_atomic_t waiting_on = -1; /* descriptor that the hook reads from */
static enum dialect dialect;
static char event_name[32] = "PreToolUse";

static void append(char *buf, size_t cap, size_t *n, const char *s)
{
	size_t k = strlen(s);

	if (k > cap - *n)
		k = cap - *n;
	memcpy(buf + *n, s, k);
	*n += k;
}

/* The deny in the agent's own JSON; exit code 2 alone already denies. */
static void print_deny_json(const char *why)
{
	char quoted[JSON_QUOTE_CAP(768)], line[sizeof quoted + 256];
	size_t n = 0;

	if (!json_quote(quoted, sizeof quoted, why, strlen(why)))
		return;
	if (dialect == DIALECT_GEMINI) {
		append(line, sizeof line, &n, "{\"decision\":\"deny\",\"reason\":");
		append(line, sizeof line, &n, quoted);
		append(line, sizeof line, &n, "}\n");
	} else {
		append(line, sizeof line, &n, "{\"hookSpecificOutput\":{\"hookEventName\":\"");
		append(line, sizeof line, &n, event_name);
		if (strcmp(event_name, "PermissionRequest") == 0)
			append(line, sizeof line, &n,
				"\",\"decision\":{\"behavior\":\"deny\",\"message\":");
		else
			append(line, sizeof line, &n,
				"\",\"permissionDecision\":\"deny\",\"permissionDecisionReason\":");
		append(line, sizeof line, &n, quoted);
		append(line, sizeof line, &n,
			strcmp(event_name, "PermissionRequest") == 0 ? "}}}\n" : "}}\n");
	}
	(void)io_write_all(1, line, n);
}

/* Ends the process with a deny. Async-signal-safe. */
__attribute__((noreturn)) static void deny(const char *cause, const char *detail)
{
	char why[768];
	size_t n = 0, cap = sizeof why - 1;

	append(why, cap, &n, "agentd could not decide this action, so it is denied: ");
	append(why, cap, &n, cause);
	if (detail) {
		append(why, cap, &n, ": ");
		n += escape_text(why + n, cap - n - DENY_TAIL, detail, strlen(detail));
	}
	append(why, cap, &n,
		". Nothing was run. Tell the user this, and that `agentctl doctor` on the host "
		"says what is wrong; do not look for a way around it.");
	why[n] = 0;
	why[sizeof why - 1] = 0;
	(void)io_write_all(2, why, n);
	(void)io_write_all(2, "\n", 1);
	print_deny_json(why);
	_exit(DENY_EXIT);
}

/* After a freeze and a thaw the time is over although the answer is there: look before giving up. */
static void on_alarm(void)
{
	struct pollfd p = {.fd = waiting_on, .events = POLLIN};

	if (waiting_on >= 0 && poll(&p, 1, 0) > 0) {
		alarm(IDLE_S);
		return;
	}
	deny("there was no answer in time", NULL);
}

static void on_signal(int sig)
{
	if (sig == SIGALRM)
		on_alarm();
	else
		deny("the hook was interrupted by a signal", NULL);
}

static void catch_signals(void)
{
	static const int caught[] = {SIGALRM, SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE, SIGUSR1,
		SIGUSR2, SIGXCPU, SIGXFSZ, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS};
	struct sigaction a = {.sa_flags = SA_RESTART};

	a.sa_handler = on_signal;
	for (size_t i = 0; i < sizeof caught / sizeof *caught; i++)
		sigaction(caught[i], &a, NULL);
	alarm(IDLE_S);
}

/* Reads standard input behind the n bytes that request already has. Returns the new length; at least
 * tail bytes stay free. */
static size_t read_event(size_t n, size_t tail)
{
	size_t cap = LINE_MAX_ - tail;

	waiting_on = 0;
	for (;;) {
		ssize_t r = read(0, request + n, cap - n);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			deny("the hook could not read its standard input", NULL);
		if (r == 0)
			return n;
		n += (size_t)r;
		if (n == cap)
			deny("the tool call is larger than 1 MiB", NULL);
	}
}

/* The event's name decides what a deny looks like. A name of other letters is not used. */
static void learn_event_name(struct span event)
{
	struct span v;
	char name[sizeof event_name];
	size_t n;

	if (json_find(event, "hook_event_name", &v) != 1 ||
		json_string(v, name, sizeof name, &n) < 0 || n == 0 || strlen(name) != n)
		return;
	for (size_t i = 0; i < n; i++)
		if ((name[i] | 32) < 'a' || (name[i] | 32) > 'z')
			return;
	memcpy(event_name, name, n + 1);
}

/* Fills request with the one line for the broker. Returns its length. */
static size_t make_request(const char *agent)
{
	static const char tail[] = "}}\n";
	size_t start = 0, n;
	struct span event;

	append(request, LINE_MAX_, &start,
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"hook\",\"params\":{\"agent\":\"");
	append(request, LINE_MAX_, &start, agent);
	append(request, LINE_MAX_, &start, "\",\"event\":");
	n = read_event(start, sizeof tail - 1);
	event.p = request + start;
	event.n = n - start;
	if (!json_check(event.p, event.n, NULL))
		deny("the agent gave the hook something that is not JSON", NULL);
	learn_event_name(event);
	/* In well-formed JSON a raw line end is only ever blank space. */
	for (size_t i = start; i < n; i++)
		if (request[i] == '\n' || request[i] == '\r')
			request[i] = ' ';
	append(request, LINE_MAX_, &n, tail);
	return n;
}

static int connect_broker(const char *path)
{
	int fd = io_connect_unix(path);

	if (fd < 0)
		deny(errno == ENOENT ? "there is no agentd in this sandbox"
				     : "agentd does not take connections",
			path);
	return fd;
}

static void send_request(int fd, size_t n)
{
	size_t sent = 0;

	while (sent < n) {
		ssize_t w = send(fd, request + sent, n - sent, MSG_NOSIGNAL);

		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return; /* a server that refuses has its answer in the socket already */
		sent += (size_t)w;
	}
}

__attribute__((noreturn)) static void deny_by_error(struct span error)
{
	struct span m;
	size_t n;

	if (json_find(error, "message", &m) != 1 || json_string(m, err, sizeof err, &n) < 0)
		deny("agentd answered with an error", NULL);
	deny("agentd answered with an error", err);
}

/* Does what a result says: prints its words, ends with its code. */
__attribute__((noreturn)) static void obey(struct span result)
{
	struct span code, o, e;
	size_t out_n, err_n;
	int64_t status;

	if (json_find(result, "exit", &code) != 1 || json_find(result, "stdout", &o) != 1 ||
		json_find(result, "stderr", &e) != 1 || json_int(code, &status) < 0 ||
		json_string(o, out, sizeof out, &out_n) < 0 ||
		json_string(e, err, sizeof err, &err_n) < 0)
		deny("agentd's answer has another form than expected", NULL);
	if (status != 0 && status != DENY_EXIT)
		deny("agentd's answer has an unknown exit code", NULL);
	if (status == DENY_EXIT && err_n == 0)
		deny("agentd denied it without a reason", NULL);
	if (status == 0 && out_n && !json_check(out, out_n, NULL))
		deny("agentd's answer has words that the agent would not understand", NULL);
	if (io_write_all(2, err, err_n) < 0 && status == DENY_EXIT)
		_exit(DENY_EXIT);
	if (io_write_all(1, out, out_n) < 0)
		deny("the hook could not write its answer", NULL);
	_exit((int)status);
}

/* Looks at one line of the broker. Returns when it is a notification. */
static void take_line(const char *p, size_t n)
{
	struct span line = {p, n}, id, v;
	int64_t number;

	if (!json_check(p, n, NULL))
		deny("agentd's answer is not JSON", NULL);
	if (json_find(line, "id", &id) == 0 && json_find(line, "method", &v) == 1)
		return;
	if (json_find(line, "error", &v) == 1)
		deny_by_error(v);
	if (json_find(line, "id", &id) != 1 || json_int(id, &number) < 0 || number != 1 ||
		json_find(line, "result", &v) != 1)
		deny("agentd's answer is to another question", NULL);
	obey(v);
}

/* Takes the whole lines out of the n bytes in answer. Returns the bytes that are left. */
static size_t take_lines(size_t n)
{
	size_t start = 0;

	for (;;) {
		const char *lf = memchr(reply + start, '\n', n - start);

		if (!lf)
			break;
		alarm(IDLE_S);
		take_line(reply + start, (size_t)(lf - reply) - start);
		start = (size_t)(lf + 1 - reply);
	}
	memmove(reply, reply + start, n - start);
	return n - start;
}

__attribute__((noreturn)) static void await_answer(int fd)
{
	size_t n = 0;

	waiting_on = fd;
	for (;;) {
		ssize_t r = recv(fd, reply + n, sizeof reply - n, 0);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			deny("agentd closed the connection without an answer", NULL);
		n = take_lines(n + (size_t)r);
		if (n == sizeof reply)
			deny("agentd's answer is too long", NULL);
	}
}

static const char *known_agent(const char *name)
{
	static const char *const agents[] = {"claude-code", "codex", "gemini-cli"};

	for (size_t i = 0; i < sizeof agents / sizeof *agents; i++)
		if (strcmp(agents[i], name) == 0)
			return agents[i];
	return NULL;
}

static int run_hook(struct ctl *c, int argc, char **argv)
{
	const char *path = TOOL_SOCKET, *agent;
	size_t n;

	(void)c;
	catch_signals();
	agent = argc >= 2 ? known_agent(argv[1]) : NULL;
	if (agent && strcmp(agent, "gemini-cli") == 0) {
		dialect = DIALECT_GEMINI;
		memcpy(event_name, "BeforeTool", sizeof "BeforeTool");
	}
	/* The socket's place is fixed: nothing in the agent's environment may send the question
	 * elsewhere. The option is for tests; who can change the hook's command line needs none. */
	if (argc == 4 && strcmp(argv[2], "--socket") == 0)
		path = argv[3];
	else if (argc != 2)
		deny("the hook was called with wrong arguments (agentctl help hook)", NULL);
	if (!agent)
		deny("the hook does not know this agent (agentctl help hook)", argv[1]);
	n = make_request(agent);
	int fd = connect_broker(path);
	send_request(fd, n);
	await_answer(fd);
}

const struct verb verb_hook = {
	.name = "hook",
	.usage = "claude-code|codex|gemini-cli",
	.summary = "what an agent's pre-tool hook runs: asks agentd about one tool call",
	.help = "Reads the hook's JSON on standard input, asks " TOOL_SOCKET " and answers in the\n"
		"agent's own form. `agentctl run --agent claude-code` installs it; it works only "
		"inside a\n"
		"sandbox. While a human is asked it waits. This version decides the calls of "
		"claude-code;\n"
		"those of the others are all denied.\n"
		"\n"
		"Exit codes: 0 the answer is on standard output; 2 denied, with the reason on "
		"standard\n"
		"error. Whatever goes wrong (no agentd, no answer within 30 s, malformed input) is "
		"a deny.\n"
		"\n"
		"example (inside a sandbox)\n"
		"  echo "
		"'{\"hook_event_name\":\"PreToolUse\",\"tool_name\":\"Bash\",\"tool_input\":\n"
		"         {\"command\":\"ls\"}}' | /run/agentd/agentctl hook claude-code\n",
	.run = run_hook,
	.flags = VERB_ROOTLESS,
};
