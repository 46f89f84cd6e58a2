/* tool.sock: what the agent's hooks and tools ask (docs/rpc.md section 2). The order is always
 * canonicalise, decide, hold if a human must say, record, answer; no answer allows anything that is
 * not in the log. What comes in here was written by something that may be hostile. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agentd/broker/calls.h"
#include "agentd/broker/records.h"
#include "agentd/broker/shelltext.h"
#include "common/cleanup.h"
#include "common/io.h"

#define ACCEPT_NS \
	20000u /* what a connection costs in the kernel and the loop, beside what is measured */
#define CANCELLED "The call was cancelled before anybody answered, so it was not run."

/* ---- a call's life ---- */

void call_unref(struct call *c)
{
	struct box *x = c->box;

	if (--c->refs)
		return;
	free(c->reason);
	free(c->rule);
	free(c);
	x->calls--;
	box_unref(x);
}

static struct call *call_new(struct client *cl, const char *id, const struct adapter *adapter)
{
	struct broker *b = cl->box->b;
	struct call *c = calloc(1, sizeof *c);

	if (!c)
		return NULL;
	c->client = cl;
	c->box = cl->box;
	c->adapter = adapter;
	c->pid = cl->conn->pid;
	c->refs = 1;
	snprintf(c->id, sizeof c->id, "%s", id);
	snprintf(c->q, sizeof c->q, "%s-%" PRIu64, b->q_prefix, ++b->calls);
	TAILQ_INSERT_TAIL(&cl->calls, c, of_client);
	c->box->calls++;
	c->busy = 1;
	conn_busy(cl->conn, 1);
	return c;
}

static void call_idle(struct call *c)
{
	if (c->busy && c->client)
		conn_busy(c->client->conn, -1);
	c->busy = 0;
}

void call_decide(struct call *c, int allow, const char *rule, const char *fmt, ...)
{
	char buf[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(buf, sizeof buf, fmt, ap);
	va_end(ap);
	free(c->reason);
	free(c->rule);
	c->allow = (unsigned char)allow;
	c->reason = strdup(buf);
	c->rule = strdup(rule);
	if (!c->reason || !c->rule)
		c->allow = 0;
}

static const char *reason_of(const struct call *c)
{
	return c->reason ? c->reason : "agentd is out of memory, so this is denied.";
}

static void write_decision(struct text *t, const struct call *c)
{
	text_add(t, "{\"action_id\":");
	text_quote_str(t, c->q);
	text_addf(t, ",\"decision\":\"%s\",\"reason\":", c->allow ? "allow" : "deny");
	text_quote_str(t, reason_of(c));
	text_add(t, ",\"rule\":");
	text_quote_str(t, c->rule ? c->rule : "");
	text_add(t, "}");
}

static void write_hook(
	struct text *t, const struct adapter *ad, const char *event, int allow, const char *reason)
{
	struct hook_output o = {0};

	ad->write(&o, event, allow, reason);
	if (o.out.failed || o.err.failed)
		t->failed = 1;
	text_addf(t, "{\"exit\":%d,\"stderr\":", o.exit);
	text_quote(t, o.err.p ? o.err.p : "", o.err.n);
	text_add(t, ",\"stdout\":");
	text_quote(t, o.out.p ? o.out.p : "", o.out.n);
	text_add(t, "}");
	text_free(&o.out);
	text_free(&o.err);
}

static void send_answer(struct call *c)
{
	struct text t = {0};

	if (c->adapter)
		write_hook(&t, c->adapter, *c->event ? c->event : NULL, c->allow, reason_of(c));
	else
		write_decision(&t, c);
	if (t.failed)
		conn_error(c->client->conn, c->id, RPC_REFUSED, "out of memory: denied");
	else
		conn_result(c->client->conn, c->id, t.p, t.n);
	text_free(&t);
}

void call_answer(struct call *c)
{
	struct client *cl = c->client;

	c->box->b->decisions++;
	if (c->allow)
		c->box->allowed++;
	else
		c->box->denied++;
	if (cl) {
		struct conn *conn = cl->conn;

		TAILQ_REMOVE(&cl->calls, c, of_client);
		send_answer(c); /* may close it, and cl is gone then */
		c->client = NULL;
		if (!conn->dead && c->busy)
			conn_busy(conn, -1);
	}
	call_unref(c);
}

void call_fail(struct call *c, const char *why)
{
	call_decide(c, 0, "fail-closed",
		"agentd cannot record this action (%s), so it is denied. Nothing was run. Tell the "
		"user; trying again later may work.",
		why);
	call_answer(c);
}

/* ---- from JSON to an action ---- */

struct call_scratch {
	struct action_arg args[ACTION_ARGS_MAX];
	size_t pointers[ACTION_ARGS_MAX], texts[ACTION_ARGS_MAX]; /* offsets in bytes */
	size_t n;
	struct text bytes; /* pointers and numbers */
	struct text path; /* the pointer at hand */
	const char *fault;
};

struct call_scratch *calls_scratch_new(void)
{
	return calloc(1, sizeof(struct call_scratch));
}

void calls_scratch_free(struct call_scratch *s)
{
	if (!s)
		return;
	text_free(&s->bytes);
	text_free(&s->path);
	free(s);
}

static void add_leaf(struct call_scratch *s, const json_t *v, enum action_type type)
{
	struct action_arg *a = &s->args[s->n];

	if (s->n >= ACTION_ARGS_MAX) {
		s->fault = "not canonical: too many values in one call";
		return;
	}
	/* Each value has the keys above it in its pointer: a few long ones become gigabytes. */
	if (s->path.n > ACTION_POINTER_MAX) {
		s->fault = "not canonical: the keys above a value are too long";
		return;
	}
	memset(a, 0, sizeof *a);
	a->type = type;
	a->pointer_len = s->path.n;
	s->pointers[s->n] = s->bytes.n;
	text_put(&s->bytes, s->path.p, s->path.n);
	s->texts[s->n] = s->bytes.n;
	if (type == ACTION_STRING) {
		a->text = json_string_value(v);
		a->len = json_string_length(v);
	} else if (type == ACTION_NUMBER) {
		text_json(&s->bytes, v);
		a->len = s->bytes.n - s->texts[s->n];
	}
	s->n++;
}

/* One reference token of RFC 6901. */
static void push_token(struct text *path, const char *key)
{
	text_put(path, "/", 1);
	for (; *key; key++) {
		if (*key == '~')
			text_put(path, "~0", 2);
		else if (*key == '/')
			text_put(path, "~1", 2);
		else
			text_put(path, key, 1);
	}
}

static void flatten(struct call_scratch *s, json_t *v);

static void flatten_members(struct call_scratch *s, json_t *v)
{
	size_t mark = s->path.n, i;
	char index[24];
	const char *key;
	json_t *item;

	json_object_foreach(v, key, item)
	{
		push_token(&s->path, key);
		flatten(s, item);
		s->path.n = mark;
	}
	json_array_foreach(v, i, item)
	{
		snprintf(index, sizeof index, "%zu", i);
		push_token(&s->path, index);
		flatten(s, item);
		s->path.n = mark;
	}
}

/* Depth is bounded by the connection's limit on nesting. */
static void flatten(struct call_scratch *s, json_t *v)
{
	if (s->fault)
		return;
	switch (json_typeof(v)) {
	case JSON_OBJECT:
		if (json_object_size(v) == 0)
			add_leaf(s, v, ACTION_EMPTY_OBJECT);
		break;
	case JSON_ARRAY:
		if (json_array_size(v) == 0)
			add_leaf(s, v, ACTION_EMPTY_ARRAY);
		break;
	case JSON_STRING:
		add_leaf(s, v, ACTION_STRING);
		break;
	case JSON_INTEGER:
	case JSON_REAL:
		add_leaf(s, v, ACTION_NUMBER);
		break;
	case JSON_TRUE:
		add_leaf(s, v, ACTION_TRUE);
		break;
	case JSON_FALSE:
		add_leaf(s, v, ACTION_FALSE);
		break;
	case JSON_NULL:
		add_leaf(s, v, ACTION_NULL);
		break;
	}
	flatten_members(s, v);
}

static struct action_places places_of(const struct box *x, const struct tool_call *tc)
{
	return (struct action_places){.ws = x->session->workspace,
		.home = x->session->home,
		.tmp = AGENT_TMP,
		.cwd = tc->cwd ? tc->cwd : x->session->cwd};
}

static struct action *make_action(struct box *x, const struct tool_call *tc, struct error *e)
{
	struct call_scratch *s = x->b->scratch;
	struct action_places places = places_of(x, tc);
	struct action *a = NULL;

	s->n = s->bytes.n = s->path.n = 0;
	s->fault = NULL;
	text_put(&s->path, "", 0);
	text_put(&s->bytes, "", 0);
	flatten_members(s, tc->input); /* the input itself is no value, also when it is empty */
	if (s->bytes.failed || s->path.failed)
		s->fault = "not canonical: out of memory";
	if (s->fault) {
		text_free(&s->bytes);
		text_free(&s->path);
		error_set(e, 0, "%s", s->fault);
		return NULL;
	}
	for (size_t i = 0; i < s->n; i++) {
		s->args[i].pointer = s->bytes.p + s->pointers[i];
		if (s->args[i].type == ACTION_NUMBER)
			s->args[i].text = s->bytes.p + s->texts[i];
	}
	if (action_from_tool(&a, &places, tc->tool, strlen(tc->tool), s->args, s->n, e) < 0)
		a = NULL;
	if (s->bytes.cap > 1u << 20)
		text_free(&s->bytes); /* one large call does not keep its memory */
	return a;
}

/* ---- deciding ---- */

struct judged {
	enum verdict verdict;
	char digest[65]; /* "" when there is no action */
	char rule[512];
	char reason[1536]; /* for allow and deny */
	char why[512]; /* for an ask: to the human */
	struct shell_judgement *shell; /* owned; what the call would run, or NULL */
};

static void judge_rule(struct judged *j, const struct decision *d)
{
	size_t n = text_cut(d->rule, strlen(d->rule), 300);

	if (*d->file)
		snprintf(j->rule, sizeof j->rule, "%.*s (%.150s:%u)", (int)n, d->rule, d->file,
			d->line);
	else
		snprintf(j->rule, sizeof j->rule, "%.*s", (int)n, d->rule);
}

/* part: what of the call decided; "" for all of it. */
static void judge_decision(struct judged *j, const struct decision *d, const char *part)
{
	const char *why = d->why ? d->why : "";
	int n = (int)text_cut(why, strlen(why), 240);

	j->verdict = d->verdict;
	judge_rule(j, d);
	snprintf(j->why, sizeof j->why, "%.*s%s%s", n, why, *part && *why ? ", in: " : "", part);
	if (d->verdict == VERDICT_ALLOW)
		snprintf(j->reason, sizeof j->reason, "allowed by policy: %s", j->rule);
	else
		snprintf(j->reason, sizeof j->reason,
			"agentd's policy denies this call: rule %s%s%s%s%s. Nothing was run. Reach "
			"the goal another way, or tell the user which rule stands in the way; the "
			"same call will be denied again.",
			j->rule, *why ? ": " : "", why, *part ? ", because of: " : "", part);
}

static void judge(struct judged *j, struct box *x, const struct tool_call *tc)
{
	char part[SHELLTEXT_PART_CAP] = "";
	struct action_places places;
	struct error e = {0};
	struct decision d;
	struct action *a = make_action(x, tc, &e);

	memset(j, 0, sizeof *j);
	if (!a) {
		j->verdict = VERDICT_DENY;
		snprintf(j->rule, sizeof j->rule, "not canonical");
		snprintf(j->reason, sizeof j->reason,
			"agentd denied this call because it cannot be read in one way only: "
			"%.700s. "
			"Write it differently.",
			e.text);
		return;
	}
	policy_decide(x->session->policy, a, &d);
	action_digest(a, j->digest);
	places = places_of(x, tc);
	if (shelltext_decide(x->session->policy, &places, a, &d, part, &j->shell)) {
		d = (struct decision){.verdict = VERDICT_DENY,
			.rule = "fail-closed",
			.file = "",
			.why = "agentd is out of memory"};
		*part = 0;
	}
	action_free(a);
	judge_decision(j, &d, part);
}

/* ---- recording ---- */

/* Its request and its decision are in the log, or not. */
static void on_decided(void *ctx, int durable)
{
	struct call *c = ctx;

	if (durable)
		call_answer(c);
	else
		call_fail(c, "the log did not confirm it");
}

/* The request of a held call is in the log, or not. */
static void on_requested(void *ctx, int durable)
{
	struct call *c = ctx;

	c->requested = (unsigned char)durable;
	c->lost = !durable;
	if (c->ask && durable) {
		ask_tell(c);
	} else if (c->ask) {
		ask_leave(c);
		call_fail(c, "the log did not confirm it");
	}
	call_unref(c);
}

static void put_request(struct journal_append *a, const struct call *c, const struct tool_call *tc)
{
	struct text input = {0};

	records_input(&input, tc->input);
	if (input.failed)
		text_add(&input, "null");
	record_request(a, c->box, c->pid, c->q, tc->tool, input.failed ? "null" : input.p,
		input.failed ? 4 : input.n, tc->says);
	text_free(&input);
}

static void record_now(struct call *c, const struct tool_call *tc, const char *by)
{
	struct journal_append *a = journal_begin(c->box->b->journal, &c->box->log);

	if (!a) {
		call_fail(c, journal_trouble(c->box->b->journal));
		return;
	}
	put_request(a, c, tc);
	record_decision(
		a, c->box, c->pid, c->q, by, c->allow, c->rule ? c->rule : "", reason_of(c));
	if (journal_commit(a, 0, on_decided, c) < 0)
		call_fail(c, "the records could not be sent");
}

/* ---- holding ---- */

/* What the human reads: the command itself when there is nothing else, else the whole input. */
static void human_text(struct text *t, const json_t *input)
{
	const char *command = json_string_value(json_object_get(input, "command"));

	if (command && json_object_size(input) == 1)
		text_add(t, command);
	else
		text_json(t, input);
}

static int hold(struct call *c, const struct tool_call *tc, const struct judged *j, struct error *e)
{
	struct text t = {0}, runs = {0};
	struct ask_new n = {.digest = j->digest,
		.tool = tc->tool,
		.says = tc->says,
		.rule = j->rule,
		.why = j->why};
	int r;

	human_text(&t, tc->input);
	n.text = t.p;
	n.text_n = t.n;
	if (j->shell)
		shelltext_runs(&runs, j->shell);
	n.runs = runs.p;
	r = t.failed || runs.failed ? error_set(e, ENOMEM, "cannot hold the call")
				    : ask_hold(c, &n, e);
	text_free(&t);
	text_free(&runs);
	return r;
}

static void ask_human(struct call *c, const struct tool_call *tc, const struct judged *j)
{
	struct journal_append *a;
	struct error e = {0};

	if (hold(c, tc, j, &e) < 0) {
		call_decide(c, 0, j->rule, "A human must approve this call, but it cannot wait: %s",
			e.text);
		record_now(c, tc, "fail-closed");
		return;
	}
	c->box->asked++;
	call_idle(c);
	a = journal_begin(c->box->b->journal, &c->box->log);
	if (a) {
		put_request(a, c, tc);
		c->refs++;
		if (journal_commit(a, 0, on_requested, c) == 0)
			return;
		c->refs--;
	}
	ask_leave(c);
	call_fail(c, "the records could not be sent");
}

/* ---- the methods ---- */

static void process(struct client *cl, const char *id, const struct tool_call *tc,
	const struct adapter *adapter)
{
	struct call *c = call_new(cl, id, adapter);
	char approval[ASK_ID_CAP];
	const char *trouble = journal_trouble(cl->box->b->journal);
	struct judged j;

	if (!c) {
		conn_error(cl->conn, id, RPC_REFUSED, "out of memory: denied");
		return;
	}
	if (tc->event)
		snprintf(c->event, sizeof c->event, "%s", tc->event);
	if (trouble) {
		call_fail(c, trouble);
		return;
	}
	judge(&j, cl->box, tc);
	if (j.verdict == VERDICT_ASK && ask_granted(cl->box, j.digest, approval)) {
		call_decide(c, 1, j.rule, "allowed by a human (approval %s)", approval);
		record_now(c, tc, "approval");
	} else if (j.verdict == VERDICT_ASK) {
		ask_human(c, tc, &j);
	} else {
		call_decide(c, j.verdict == VERDICT_ALLOW, j.rule, "%s", j.reason);
		record_now(c, tc, "policy");
	}
	shell_judgement_free(j.shell);
}

/* 1 when params has only these members. */
static int only(json_t *params, const char *const *known, size_t n)
{
	const char *key;
	json_t *v;

	json_object_foreach(params, key, v)
	{
		size_t i = 0;

		while (i < n && strcmp(key, known[i]) != 0)
			i++;
		if (i == n)
			return 0;
	}
	return 1;
}

/* Reads authorize's params. The caller drops tc->input. */
static int read_authorize(json_t *params, struct tool_call *tc)
{
	static const char *const known[] = {"kind", "tool", "input", "cwd", "hook_event", "why"};
	const char *kind = json_string_value(json_object_get(params, "kind"));
	static const char *const texts[] = {"cwd", "hook_event", "why"};

	memset(tc, 0, sizeof *tc);
	if (!params || !only(params, known, ARRAY_LEN(known)) || !kind || strcmp(kind, "tool") != 0)
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		json_t *v = json_object_get(params, texts[i]);

		if (v && !json_is_string(v))
			return -1;
	}
	tc->tool = json_string_value(json_object_get(params, "tool"));
	tc->input = json_incref(json_object_get(params, "input"));
	tc->cwd = json_string_value(json_object_get(params, "cwd"));
	tc->says = json_string_value(json_object_get(params, "why"));
	return tc->tool && json_is_object(tc->input) ? 0 : -1;
}

#define AUTHORIZE_PARAMS \
	"params: kind \"tool\", tool, input (an object), and cwd, hook_event, why if wanted"

static void do_authorize(struct client *cl, const char *id, json_t *params)
{
	struct tool_call tc;

	if (read_authorize(params, &tc) < 0)
		conn_error(cl->conn, id, RPC_PARAMS, AUTHORIZE_PARAMS);
	else if (!*id)
		conn_error(cl->conn, "null", RPC_INVALID, "authorize needs an id");
	else
		process(cl, id, &tc, NULL);
	json_decref(tc.input);
}

static void do_explain(struct client *cl, const char *id, json_t *params)
{
	struct tool_call tc;
	struct text t = {0};
	struct judged j;

	if (read_authorize(params, &tc) < 0) {
		conn_error(cl->conn, id, RPC_PARAMS, AUTHORIZE_PARAMS);
	} else {
		judge(&j, cl->box, &tc);
		text_addf(&t, "{\"decision\":\"%s\",\"reason\":", verdict_name(j.verdict));
		text_quote_str(&t, j.verdict == VERDICT_ASK ? "a human would be asked" : j.reason);
		text_add(&t, ",\"rule\":");
		text_quote_str(&t, j.rule);
		text_add(&t, "}");
		shell_judgement_free(j.shell);
		if (!t.failed)
			conn_result(cl->conn, id, t.p, t.n);
	}
	text_free(&t);
	json_decref(tc.input);
}

static void deny_hook(struct client *cl, const char *id, const struct adapter *ad,
	const char *event, const char *why)
{
	struct text t = {0};
	char reason[512];

	snprintf(reason, sizeof reason,
		"agentd denied this call because it cannot read the hook's event: %.400s.", why);
	write_hook(&t, ad, event, 0, reason);
	if (!t.failed)
		conn_result(cl->conn, id, t.p, t.n);
	text_free(&t);
}

static void do_hook(struct client *cl, const char *id, json_t *params)
{
	static const char *const known[] = {"agent", "event"};
	const char *agent = json_string_value(json_object_get(params, "agent"));
	const struct adapter *ad = agent ? adapter_find(agent) : NULL;
	json_t *event = json_object_get(params, "event");
	struct tool_call tc = {0};
	struct error e = {0};

	if (!params || !only(params, known, ARRAY_LEN(known)) || !ad || !json_is_object(event) ||
		!*id) {
		conn_error(cl->conn, *id ? id : "null", RPC_PARAMS,
			"params: agent (one that agentd has an adapter for) and event (its JSON)");
		return;
	}
	if (ad->read(event, &tc, &e) < 0)
		deny_hook(cl, id, ad, NULL, e.text);
	else
		process(cl, id, &tc, ad);
	json_decref(tc.input);
}

static void do_cancel(struct client *cl, const char *id, json_t *params)
{
	static const char *const known[] = {"id"};
	json_t *which = json_object_get(params, "id");
	struct conn *conn = cl->conn;
	struct text t = {0};
	struct call *c = NULL;

	if (!params || !only(params, known, 1) || !which) {
		conn_error(cl->conn, id, RPC_PARAMS, "params: id of the call");
		return;
	}
	text_json(&t, which);
	TAILQ_FOREACH(c, &cl->calls, of_client)
	{
		if (c->ask && t.p && strcmp(c->id, t.p) == 0)
			break;
	}
	text_free(&t);
	if (c)
		ask_cancel(c, CANCELLED); /* may close the connection, and cl with it */
	if (c)
		conn_result(conn, id, "{\"cancelled\":true}", 18);
	else
		conn_result(conn, id, "{\"cancelled\":false}", 19);
}

static void do_whoami(struct client *cl, const char *id, json_t *params)
{
	const struct session *s = cl->box->session;
	struct text t = {0};

	if (params && json_object_size(params)) {
		conn_error(cl->conn, id, RPC_PARAMS, "whoami has no params");
		return;
	}
	text_add(&t, "{\"agent\":");
	text_quote_str(&t, s->agent);
	text_addf(&t, ",\"pid\":%d,\"policy_sha256\":\"%s\",\"sandbox\":", (int)cl->conn->pid,
		policy_digest(s->policy));
	text_quote_str(&t, s->name);
	text_add(&t, ",\"session\":");
	text_quote_str(&t, s->id);
	text_add(&t, "}");
	if (!t.failed)
		conn_result(cl->conn, id, t.p, t.n);
	text_free(&t);
}

static const struct {
	const char *name;
	void (*run)(struct client *cl, const char *id, json_t *params);
} methods[] = {
	{"authorize", do_authorize},
	{"cancel", do_cancel},
	{"explain", do_explain},
	{"hook", do_hook},
	{"whoami", do_whoami},
};

static void on_call(struct conn *conn, const char *id, const char *method, json_t *params)
{
	struct client *cl = conn->owner;

	if (!cl->box->session || cl->box->state != BOX_RUNNING) {
		conn_error(conn, *id ? id : "null", RPC_REFUSED, "denied: %s",
			cl->box->session ? "the sandbox has ended" : cl->box->trouble);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		if (strcmp(method, methods[i].name) == 0) {
			methods[i].run(cl, id, params);
			return;
		}
	}
	conn_error(conn, id, RPC_METHOD, "no such method");
}

/* ---- connections ---- */

/* Held calls of a client that is gone are denied; what is being recorded is recorded. */
static void on_closed(struct conn *conn)
{
	struct client *cl = conn->owner;
	struct box *x = cl->box;
	struct call *c;

	while ((c = TAILQ_FIRST(&cl->calls))) {
		TAILQ_REMOVE(&cl->calls, c, of_client);
		c->client = NULL;
		c->busy = 0;
		if (c->ask)
			ask_cancel(c, CANCELLED);
	}
	TAILQ_REMOVE(&x->clients, cl, link);
	free(cl);
	conn->owner = NULL;
}

static const struct conn_ops tool_ops = {.call = on_call, .closed = on_closed};

/* Only the agent's own kernel uid may speak here: the socket is in its mount namespace, but the
 * kernel's word is better than that. */
static int peer_of(int fd, struct ucred *u)
{
	socklen_t n = sizeof *u;

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, u, &n);
}

static void take_client(struct box *x, int fd)
{
	struct client *cl = calloc(1, sizeof *cl);
	struct ucred u;

	if (!cl || peer_of(fd, &u) < 0 || u.uid != x->info.kernel_uid) {
		close(fd);
		free(cl);
		return;
	}
	cl->box = x;
	TAILQ_INIT(&cl->calls);
	cl->conn = conn_new(&x->tools, fd, &tool_ops, cl);
	if (!cl->conn) {
		free(cl);
		return;
	}
	cl->conn->pid = u.pid;
	cl->conn->uid = u.uid;
	TAILQ_INSERT_TAIL(&x->clients, cl, link);
}

static void on_resumed(struct conn_group *g)
{
	struct box *x = g->owner;

	if (x->acceptable)
		event_add(x->acceptable, NULL);
}

/* Connecting costs time like calling: it is taken from the sandbox's share. */
static void on_acceptable(evutil_socket_t fd, short what, void *arg)
{
	struct box *x = arg;
	uint64_t since = io_now_mono();
	int c = 0;

	(void)what;
	for (int i = 0; i < 16 && c >= 0 && conn_group_may(&x->tools); i++) {
		/* cppcheck-suppress nullPointer; accept(2) allows both to be NULL */
		c = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (c >= 0)
			take_client(x, c);
		else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			conn_group_tire(&x->tools); /* out of descriptors: not at once again */
		since -= ACCEPT_NS;
		conn_group_charge(&x->tools, &since);
	}
	if (!conn_group_may(&x->tools))
		event_del(x->acceptable);
}

int calls_listen(struct box *x)
{
	x->tools.resumed = on_resumed;
	x->acceptable = event_new(x->b->base, x->listener, EV_READ | EV_PERSIST, on_acceptable, x);
	if (!x->acceptable || evutil_make_socket_nonblocking(x->listener) < 0)
		return -1;
	return event_add(x->acceptable, NULL);
}

void calls_clients_close(struct box *x)
{
	struct client *cl;

	if (x->acceptable)
		event_free(x->acceptable);
	x->acceptable = NULL;
	if (x->listener >= 0)
		close(x->listener);
	x->listener = -1;
	while ((cl = TAILQ_FIRST(&x->clients)))
		conn_close(cl->conn);
}

struct conn *calls_attach(struct box *x, int fd)
{
	struct client *cl;

	take_client(x, fd);
	cl = TAILQ_LAST(&x->clients, clients);
	return cl ? cl->conn : NULL;
}
