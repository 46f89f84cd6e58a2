/* What agentctl asks of the broker, over connections that the supervisor hands over with their verified
 * credentials (docs/rpc.md section 1). A user sees and answers only what is theirs; root and members of
 * group agentd everything; an agent's uid nothing. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agentd/broker/records.h"
#include "agentd/broker/trust.h"
#include "common/cleanup.h"
#include "common/io.h"

#define RPC_CONNS_MAX 64u /* of one uid */
#define RPC_HELD_MAX  (8u << 20)
#define PAGE_MAX      (256u << 10) /* bytes of one answer to approvals */
#define USES_MAX      1000
#define SECONDS_MAX   86400

/* ---- clients ---- */

void rpcs_unref(struct rpc_client *r)
{
	if (r->gone && !r->uses)
		free(r);
}

static void detach(struct rpc_client *r)
{
	struct box *x = r->attached;

	if (!x)
		return;
	r->attached = NULL;
	x->attached = NULL;
	if (x->pty)
		pty_resume(x->pty);
}

static void on_closed(struct conn *c)
{
	struct rpc_client *r = c->owner;

	detach(r);
	TAILQ_REMOVE(&r->b->rpc_clients, r, link);
	r->gone = 1;
	c->owner = NULL;
	rpcs_unref(r);
}

/* Tells who is attached, and closes that connection; the terminal is then nobody's. */
void rpcs_detach(struct box *x, const char *method, const char *params)
{
	struct rpc_client *r = x->attached;
	struct conn *conn;

	if (!r)
		return;
	conn = r->conn;
	r->attached = NULL;
	x->attached = NULL;
	conn_notify(conn, method, params, strlen(params)); /* may close it: r is gone then */
	conn_finish(conn);
}

/* ---- params ---- */

struct args { /* params with a check that nothing is left over */
	json_t *params;
	size_t taken;
};

static const char *take_string(struct args *a, const char *key)
{
	const char *s = json_string_value(json_object_get(a->params, key));

	a->taken += s != NULL;
	return s;
}

/* A number in 1..max, 0 when it is not there, -1 when it is something else. */
static int64_t take_number(struct args *a, const char *key, int64_t max)
{
	json_t *v = json_object_get(a->params, key);

	if (!v)
		return 0;
	a->taken++;
	if (!json_is_integer(v) || json_integer_value(v) < 1 || json_integer_value(v) > max)
		return -1;
	return json_integer_value(v);
}

static int nothing_left(const struct args *a)
{
	return json_object_size(a->params) == a->taken;
}

static void bad_params(struct rpc_client *r, const char *id, const char *what)
{
	conn_error(r->conn, id, RPC_PARAMS, "params: %s", what);
}

static void answer(struct rpc_client *r, const char *id, struct text *t)
{
	if (t->failed)
		conn_error(r->conn, id, RPC_REFUSED, "out of memory");
	else
		conn_result(r->conn, id, t->p, t->n);
	text_free(t);
}

/* ---- approvals ---- */

static uint64_t age_s(uint64_t from_ns)
{
	return (io_now_boot() - from_ns) / 1000000000;
}

static void put_ask(struct text *t, const struct ask *a)
{
	uint64_t now = io_now_boot();

	text_addf(t, "{\"age_s\":%" PRIu64 ",\"agent\":", age_s(a->asked_ns));
	text_quote_str(t, a->box->session->agent);
	if (a->says) {
		text_add(t, ",\"agent_says\":");
		text_quote_str(t, a->says);
	}
	text_addf(t,
		",\"digest\":\"%s\",\"expires_s\":%" PRIu64 ",\"id\":\"%s\",\"reason\":", a->digest,
		a->expires_ns > now ? (a->expires_ns - now) / 1000000000 : 0, a->id);
	text_quote_str(t, a->why);
	text_add(t, ",\"rule\":");
	text_quote_str(t, a->rule);
	if (a->runs) {
		text_add(t, ",\"runs\":");
		text_add(t, a->runs);
	}
	text_add(t, ",\"sandbox\":");
	text_quote_str(t, a->box->info.name);
	text_add(t, ",\"session\":");
	text_quote_str(t, a->box->info.session);
	text_add(t, ",\"text\":");
	text_quote(t, a->text, a->text_n);
	text_add(t, ",\"tool\":");
	text_quote_str(t, a->tool);
	text_addf(t, ",\"uid\":%" PRIu32 ",\"waiters\":%u}", a->box->info.uid, a->nwaiters);
}

static void do_approvals(struct rpc_client *r, const char *id, struct args *p)
{
	const char *after = take_string(p, "after");
	struct text t = {0};
	struct ask *a = after ? ask_find(r->b, after) : NULL;
	int first = 1;

	if (!nothing_left(p)) {
		bad_params(r, id, "after, if wanted");
		return;
	}
	a = a ? TAILQ_NEXT(a, of_all) : TAILQ_FIRST(&r->b->asks);
	text_add(&t, "{\"approvals\":[");
	for (; a && t.n < PAGE_MAX; a = TAILQ_NEXT(a, of_all)) {
		size_t mark = t.n;

		if (!peer_may(&r->peer, a->box))
			continue;
		if (!first)
			text_put(&t, ",", 1);
		put_ask(&t, a);
		if (!first && t.n > PAGE_MAX) { /* a large one has a page of its own */
			t.n = mark;
			break;
		}
		first = 0;
	}
	while (a && !peer_may(&r->peer, a->box))
		a = TAILQ_NEXT(a, of_all);
	text_addf(&t, "],\"more\":%s}", a ? "true" : "false");
	answer(r, id, &t);
}

/* uses, for_s and session exclude each other. 0 or -1. */
static int take_scope(struct args *p, struct ask_answer *ans)
{
	int64_t uses = take_number(p, "uses", USES_MAX);
	int64_t seconds = take_number(p, "for_s", SECONDS_MAX);
	json_t *session = json_object_get(p->params, "session");

	if (session)
		p->taken++;
	if (uses < 0 || seconds < 0 || (session && !json_is_true(session)) ||
		(uses > 0) + (seconds > 0) + (session != NULL) > 1)
		return -1;
	if (uses)
		ans->scope = SCOPE_USES;
	else if (seconds)
		ans->scope = SCOPE_TIME;
	else if (session)
		ans->scope = SCOPE_SESSION;
	ans->uses = (unsigned)uses;
	ans->seconds = (unsigned)seconds;
	return 0;
}

static void give_answer(
	struct rpc_client *r, const char *id, const char *ask, const struct ask_answer *ans)
{
	struct error e = {0};

	if (ask_answer(r->b, r, id, ask, ans, &e) < 0)
		conn_error(r->conn, id, RPC_REFUSED, "%s", e.text);
}

static void do_approve(struct rpc_client *r, const char *id, struct args *p)
{
	struct ask_answer ans = {.allow = 1, .scope = SCOPE_ONCE};
	const char *ask = take_string(p, "id");

	if (!ask || take_scope(p, &ans) < 0 || !nothing_left(p))
		bad_params(r, id,
			"id, and one of uses (1..1000), for_s (1..86400), session (true), if "
			"wanted");
	else
		give_answer(r, id, ask, &ans);
}

static void do_deny(struct rpc_client *r, const char *id, struct args *p)
{
	struct ask_answer ans = {.allow = 0, .scope = SCOPE_ONCE};
	const char *ask = take_string(p, "id");

	ans.reason = take_string(p, "reason");
	if (!ask || !nothing_left(p))
		bad_params(r, id, "id, and reason if wanted");
	else
		give_answer(r, id, ask, &ans);
}

/* ---- attach ---- */

/* The answer, the terminal and what it printed so far. 0, or -1: it cannot be sent now. */
static int send_terminal(
	struct rpc_client *r, const char *id, struct pty *p, const char *name, const char *session)
{
	struct text t = {0}, replay = {0};
	int sent = -1;

	pty_pause(p, &replay);
	text_add(&t, "{\"name\":");
	text_quote_str(&t, name);
	text_addf(&t, ",\"replay\":%zu,\"session\":", replay.n);
	text_quote_str(&t, session);
	text_add(&t, "}");
	if (!t.failed && !replay.failed)
		sent = conn_result_fd(r->conn, id, t.p, t.n, pty_master(p), replay.p, replay.n);
	text_free(&t);
	text_free(&replay);
	return sent;
}

static void attach(struct rpc_client *r, const char *id, struct box *x)
{
	char by[32];

	snprintf(by, sizeof by, "{\"by_pid\":%" PRIu32 "}", r->peer.pid);
	rpcs_detach(x, "detached", by);
	r->attached = x;
	x->attached = r;
	if (send_terminal(r, id, x->pty, x->info.name, x->info.session) < 0) {
		detach(r);
		conn_error(r->conn, id, RPC_REFUSED, "the terminal cannot be sent now");
	}
}

/* It has ended already: what it printed, and how. */
static void attach_ended(struct rpc_client *r, const char *id, struct ending *n)
{
	struct conn *conn = r->conn; /* each of these may close it: r is gone then */

	if (send_terminal(r, id, n->pty, n->name, n->session) < 0) {
		conn_error(conn, id, RPC_REFUSED, "the terminal cannot be sent now");
	} else {
		conn_notify(conn, "ended", n->params, strlen(n->params));
		conn_finish(conn);
	}
	ending_free(n);
}

static void do_attach(struct rpc_client *r, const char *id, struct args *p)
{
	const char *name = take_string(p, "name"), *session = take_string(p, "session");
	struct ending *n = NULL;
	struct error e = {0};
	struct box *x;

	if (!name || !nothing_left(p) || !*id) {
		bad_params(r, *id ? id : "null", "name, and session if wanted");
		return;
	}
	x = box_for_peer(r->b, &r->peer, name, session, &e);
	if (!x)
		n = ending_find(r->b, &r->peer, name, session);
	if (!x && !n)
		conn_error(r->conn, id, RPC_REFUSED, "%s", e.text);
	else if (r->attached)
		conn_error(r->conn, id, RPC_REFUSED, "this connection is attached already");
	else if (n)
		attach_ended(r, id, n);
	else if (!x->pty)
		conn_error(r->conn, id, RPC_REFUSED,
			"%s has no terminal: it was started with pipes", x->info.name);
	else
		attach(r, id, x);
}

/* ---- trust ---- */

struct trusting { /* waits for its record */
	struct rpc_client *who;
	char id[CONN_ID_CAP], path[1025], sha256[65]; /* sha256 "": untrust */
};

static void answer_trust(struct trusting *w, int removed)
{
	struct rpc_client *r = w->who;
	struct text t = {0};

	if (r->gone)
		return;
	text_add(&t, "{\"path\":");
	text_quote_str(&t, w->path);
	if (*w->sha256)
		text_addf(&t, ",\"sha256\":\"%s\"}", w->sha256);
	else
		text_addf(&t, ",\"removed\":%s}", removed ? "true" : "false");
	answer(r, w->id, &t);
}

/* It is in the log: now it may be so. */
static void on_trusted(void *ctx, int durable)
{
	struct trusting *w = ctx;
	struct rpc_client *r = w->who;
	const char *dir = r->b->cfg.trust_dir;
	struct error e = {.text = "it could not be recorded, so nothing was changed"};
	int done = -1;

	if (durable && *w->sha256)
		done = trust_add(dir, r->peer.uid, w->path, w->sha256, &e);
	else if (durable)
		done = trust_remove(dir, r->peer.uid, w->path, &e);
	if (done >= 0)
		answer_trust(w, done);
	else if (!r->gone)
		conn_error(r->conn, w->id, RPC_REFUSED, "%s", e.text);
	free(w);
	r->uses--;
	rpcs_unref(r);
}

static void change_trust(struct rpc_client *r, const char *id, const char *path, const char *sha256)
{
	struct journal_append *a = journal_begin(r->b->journal, NULL);
	struct trusting *w = a ? calloc(1, sizeof *w) : NULL;

	if (!w) {
		conn_error(r->conn, id, RPC_REFUSED, "it cannot be recorded now (%s)",
			journal_trouble(r->b->journal) ? journal_trouble(r->b->journal)
						       : "no memory");
		return;
	}
	w->who = r;
	snprintf(w->id, sizeof w->id, "%s", id);
	snprintf(w->path, sizeof w->path, "%s", path);
	snprintf(w->sha256, sizeof w->sha256, "%s", sha256);
	record_trust(a, *sha256 ? "trust" : "untrust", r->peer.uid, r->peer.pid, path, sha256);
	r->uses++;
	if (journal_commit(a, 0, on_trusted, w) < 0)
		on_trusted(w, 0);
}

static void do_trust(struct rpc_client *r, const char *id, struct args *p)
{
	const char *path = take_string(p, "path"), *sha256 = take_string(p, "sha256");

	if (!path || !sha256 || !nothing_left(p) || !trust_entry_ok(path, sha256))
		bad_params(r, id, "path (absolute, canonical) and sha256 (64 hex digits)");
	else
		change_trust(r, id, path, sha256);
}

static void do_untrust(struct rpc_client *r, const char *id, struct args *p)
{
	static const char any[] =
		"0000000000000000000000000000000000000000000000000000000000000000";
	const char *path = take_string(p, "path");

	if (!path || !nothing_left(p) || !trust_entry_ok(path, any))
		bad_params(r, id, "path (absolute, canonical)");
	else
		change_trust(r, id, path, "");
}

static void put_trusted(void *ctx, const char *path, const char *sha256)
{
	struct text *t = ctx;

	text_add(t, t->p[t->n - 1] == '[' ? "{\"path\":" : ",{\"path\":");
	text_quote_str(t, path);
	text_addf(t, ",\"sha256\":\"%s\"}", sha256);
}

static void do_trusted(struct rpc_client *r, const char *id, struct args *p)
{
	struct text t = {0};
	struct error e = {0};

	if (!nothing_left(p)) {
		bad_params(r, id, "none");
		return;
	}
	text_add(&t, "{\"trusted\":[");
	if (t.failed || trust_list(r->b->cfg.trust_dir, r->peer.uid, put_trusted, &t, &e) < 0) {
		conn_error(r->conn, id, RPC_REFUSED, "%s", e.text);
		text_free(&t);
		return;
	}
	text_add(&t, "]}");
	answer(r, id, &t);
}

/* ---- state ---- */

static void do_status(struct rpc_client *r, const char *id, struct args *p)
{
	const char *trouble = journal_trouble(r->b->journal);
	struct text t = {0};
	unsigned boxes = 0, held = 0;
	struct box *x;

	if (!nothing_left(p)) {
		bad_params(r, id, "none");
		return;
	}
	TAILQ_FOREACH(x, &r->b->boxes, link)
	{
		if (x->forget || !peer_may(&r->peer, x))
			continue;
		boxes += x->state == BOX_RUNNING;
		held += x->held;
	}
	text_addf(&t,
		"{\"decisions\":%" PRIu64 ",\"pending\":%u,\"recorder\":%s,\"recorder_text\":",
		r->b->decisions, held, trouble ? "false" : "true");
	text_quote_str(&t, trouble ? trouble : "ok");
	text_addf(&t, ",\"sandboxes\":%u,\"version\":\"%s\"}", boxes, AGENTD_VERSION);
	answer(r, id, &t);
}

static void put_layers(struct text *t, const struct policy *p)
{
	struct policy_layer l;

	text_add(t, ",\"layers\":[");
	for (size_t i = 0; policy_layer_get(p, i, &l) == 0; i++) {
		text_addf(t, "%s{\"origin\":\"%s\",\"path\":", i ? "," : "",
			policy_origin_name(l.origin));
		text_quote_str(t, l.file);
		text_addf(t, ",\"sha256\":\"%s\"}", l.sha256);
	}
	text_add(t, "]");
}

static void put_grants(struct text *t, const struct box *x)
{
	uint64_t now = io_now_boot();
	struct grant *g;
	int first = 1;

	text_add(t, ",\"grants\":[");
	TAILQ_FOREACH(g, &x->grants, link)
	{
		if (g->until_ns && g->until_ns <= now)
			continue;
		text_addf(t, "%s{\"digest\":\"%s\"", first ? "" : ",", g->digest);
		first = 0;
		if (g->until_ns)
			text_addf(t, ",\"expires_s\":%" PRIu64, (g->until_ns - now) / 1000000000);
		text_add(t, ",\"tool\":");
		text_quote_str(t, g->tool);
		if (g->uses)
			text_addf(t, ",\"uses\":%u", g->uses);
		text_add(t, "}");
	}
	text_add(t, "]");
}

static void put_box(struct text *t, const struct box *x)
{
	const struct session *s = x->session;

	text_add(t, "{\"agent\":");
	text_quote_str(t, s ? s->agent : "?");
	text_addf(t, ",\"attached\":%s", x->attached ? "true" : "false");
	text_addf(t, ",\"counts\":{\"allow\":%" PRIu64 ",\"ask\":%" PRIu64 ",\"deny\":%" PRIu64 "}",
		x->allowed, x->asked, x->denied);
	put_grants(t, x);
	if (s)
		put_layers(t, s->policy);
	text_add(t, ",\"name\":");
	text_quote_str(t, x->info.name);
	text_addf(t, ",\"pending\":%u,\"policy_sha256\":\"%s\",\"pty\":%s,\"session\":", x->held,
		s ? policy_digest(s->policy) : "", x->pty ? "true" : "false");
	text_quote_str(t, x->info.session);
	if (!s) {
		text_add(t, ",\"trouble\":");
		text_quote_str(t, x->trouble);
	}
	text_addf(t, ",\"uid\":%" PRIu32 ",\"workspace\":", x->info.uid);
	text_quote_str(t, s ? s->workspace : "");
	text_add(t, "}");
}

static void do_sandbox(struct rpc_client *r, const char *id, struct args *p)
{
	const char *name = take_string(p, "name");
	struct error e = {0};
	struct text t = {0};
	struct box *x;

	if (!name || !nothing_left(p)) {
		bad_params(r, id, "name");
		return;
	}
	x = box_for_peer(r->b, &r->peer, name, NULL, &e);
	if (!x) {
		conn_error(r->conn, id, RPC_REFUSED, "%s", e.text);
		return;
	}
	put_box(&t, x);
	answer(r, id, &t);
}

/* ---- the table ---- */

static const struct {
	const char *name;
	void (*run)(struct rpc_client *r, const char *id, struct args *p);
} methods[] = {
	{"approvals", do_approvals},
	{"approve", do_approve},
	{"attach", do_attach},
	{"deny", do_deny},
	{"sandbox", do_sandbox},
	{"status", do_status},
	{"trust", do_trust},
	{"trusted", do_trusted},
	{"untrust", do_untrust},
};

static void on_call(struct conn *c, const char *id, const char *method, json_t *params)
{
	struct args p = {.params = params};

	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		if (strcmp(method, methods[i].name) == 0) {
			methods[i].run(c->owner, id, &p);
			return;
		}
	}
	conn_error(c, id, RPC_METHOD, "no such method");
}

static const struct conn_ops rpc_ops = {.call = on_call, .closed = on_closed};

static struct rpc_group *group_of(struct broker *b, uid_t uid)
{
	struct rpc_group *g;

	TAILQ_FOREACH(g, &b->rpc_groups, link)
	{
		if (g->uid == uid)
			return g;
	}
	g = calloc(1, sizeof *g);
	if (!g || conn_group_init(&g->conns, b->base, RPC_CONNS_MAX, RPC_HELD_MAX) < 0) {
		free(g);
		return NULL;
	}
	g->uid = uid;
	TAILQ_INSERT_TAIL(&b->rpc_groups, g, link);
	return g;
}

static void drop_empty_groups(struct broker *b)
{
	struct rpc_group *g, *next;

	for (g = TAILQ_FIRST(&b->rpc_groups); g; g = next) {
		next = TAILQ_NEXT(g, link);
		if (g->conns.conns)
			continue;
		TAILQ_REMOVE(&b->rpc_groups, g, link);
		conn_group_done(&g->conns);
		free(g);
	}
}

int rpcs_client(void *ctx, struct wire_msg *m)
{
	struct broker *b = ctx;
	struct rpc_client *r = calloc(1, sizeof *r);

	if (!r)
		return 0; /* the descriptor is closed with the message */
	memcpy(&r->peer, m->payload, sizeof r->peer);
	drop_empty_groups(b);
	r->group = paths_is_agent_uid(r->peer.uid) ? NULL : group_of(b, r->peer.uid);
	if (!r->group) {
		free(r);
		return 0;
	}
	r->b = b;
	r->conn = conn_new(&r->group->conns, take_fd(&m->fds[0]), &rpc_ops, r);
	if (!r->conn) {
		free(r);
		return 0;
	}
	r->conn->pid = (pid_t)r->peer.pid;
	r->conn->uid = r->peer.uid;
	TAILQ_INSERT_TAIL(&b->rpc_clients, r, link);
	return 0;
}

void rpcs_free(struct broker *b)
{
	struct rpc_client *r;
	struct rpc_group *g;

	while ((r = TAILQ_FIRST(&b->rpc_clients)))
		conn_close(r->conn);
	TAILQ_FOREACH(g, &b->rpc_groups, link)
	{
		conn_group_done(&g->conns);
	}
	drop_empty_groups(b);
}
