/* Approvals: what a human is asked, the answers, and the grants that answers leave behind. An ask is
 * bound to the digest of the canonical action and lives in one session, so to one policy digest. There
 * is no scope "always": that is a policy edit. Every way out of an ask but a recorded "allow" is a
 * deny. */
#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agentd/broker/records.h"
#include "common/io.h"

/* A decision about held calls on its way through the log. */
struct settlement {
	struct box *box; /* counted in box.calls */
	TAILQ_HEAD(, call) calls; /* owned */
	struct rpc_client *who; /* the human's connection, or NULL; counted in who.uses */
	char rpc_id[CONN_ID_CAP];
	struct grant *grant; /* given when it is in the log; owned, or NULL */
	struct text result; /* for who */
};

/* ---- asks ---- */

struct ask *ask_find(struct broker *b, const char *id)
{
	struct ask *a;

	TAILQ_FOREACH(a, &b->asks, of_all)
	{
		if (strcmp(a->id, id) == 0)
			return a;
	}
	return NULL;
}

/* 30 random bits, without letters that look alike: an old id never names a new question. */
static void make_id(struct broker *b, char id[ASK_ID_CAP])
{
	static const char letters[] = "23456789abcdefghjkmnpqrstuvwxyz-";

	do {
		for (int i = 0; i < 6; i++)
			id[i] = letters[randombytes_uniform(31)];
		id[6] = 0;
	} while (ask_find(b, id));
}

static void free_ask(struct ask *a)
{
	if (a->timer)
		event_free(a->timer);
	free(a->tool);
	free(a->text);
	free(a->says);
	free(a->runs);
	free(a->rule);
	free(a->why);
	free(a);
}

/* Takes the ask off every list; its calls stay on it. */
static void close_ask(struct ask *a)
{
	TAILQ_REMOVE(&a->box->asks, a, of_box);
	TAILQ_REMOVE(&a->box->b->asks, a, of_all);
	a->box->held_text -= a->cost;
	a->box->b->held_text -= a->cost;
	evtimer_del(a->timer);
}

static void remove_waiter(struct ask *a, struct call *c)
{
	TAILQ_REMOVE(&a->waiters, c, of_ask);
	a->nwaiters--;
	c->ask = NULL;
	a->box->held--;
	a->box->b->held--;
}

void ask_leave(struct call *c)
{
	struct ask *a = c->ask;

	remove_waiter(a, c);
	if (a->nwaiters == 0) {
		close_ask(a);
		free_ask(a);
	}
}

/* ---- telling who waits ---- */

static void put_time(struct text *t, uint64_t real_s)
{
	time_t s = (time_t)real_s;
	struct tm tm;
	char buf[32];

	gmtime_r(&s, &tm);
	strftime(buf, sizeof buf, "%Y-%m-%dT%H:%M:%SZ", &tm);
	text_quote_str(t, buf);
}

static uint64_t seconds_left(const struct ask *a)
{
	uint64_t now = io_now_boot();

	return now < a->expires_ns ? (a->expires_ns - now + 999999999) / 1000000000 : 0;
}

void ask_tell(struct call *c)
{
	const struct ask *a = c->ask;
	struct text t = {0};

	if (!c->client)
		return;
	text_add(&t, "{\"approval_id\":");
	text_quote_str(&t, a->id);
	text_add(&t, ",\"expires_at\":");
	put_time(&t, a->expires_real);
	text_addf(&t, ",\"id\":%s,\"summary\":", c->id);
	text_quote(&t, a->text, text_cut(a->text, a->text_n, 200));
	text_add(&t, "}");
	if (!t.failed)
		conn_notify(c->client->conn, "approval/pending", t.p, t.n);
	text_free(&t);
}

static void tell_progress(const struct ask *a, struct call *c)
{
	struct text t = {0};

	if (!c->client)
		return;
	text_addf(&t,
		"{\"approval_id\":\"%s\",\"expires_s\":%" PRIu64 ",\"id\":%s,\"waited_s\":%" PRIu64
		"}",
		a->id, seconds_left(a), c->id, (io_now_boot() - a->asked_ns) / 1000000000);
	if (!t.failed)
		conn_notify(c->client->conn, "approval/progress", t.p, t.n);
	text_free(&t);
}

/* Telling a client may find it gone, and that takes its calls, and at last the ask, away: so the calls
 * are held by a reference of their own while it goes on. */
static void tell_all(struct ask *a)
{
	struct box *x = a->box;
	struct call **c = calloc(a->nwaiters, sizeof(struct call *)), *w;
	size_t n = 0;

	if (!c)
		return;
	TAILQ_FOREACH(w, &a->waiters, of_ask)
	{
		w->refs++;
		c[n++] = w;
	}
	x->calls++;
	for (size_t i = 0; i < n; i++) {
		if (c[i]->ask)
			tell_progress(c[i]->ask, c[i]);
		call_unref(c[i]);
	}
	free(c);
	x->calls--;
	box_unref(x);
}

/* ---- settling ---- */

static void free_settlement(struct settlement *s)
{
	struct box *x = s->box;

	if (s->who) {
		s->who->uses--;
		rpcs_unref(s->who);
	}
	if (s->grant)
		free(s->grant->tool);
	free(s->grant);
	text_free(&s->result);
	free(s);
	x->calls--;
	box_unref(x);
}

static void add_grant(struct settlement *s)
{
	struct box *x = s->box;

	if (!s->grant || x->state != BOX_RUNNING)
		return;
	TAILQ_INSERT_TAIL(&x->grants, s->grant, link);
	x->ngrants++;
	s->grant = NULL;
}

static void on_settled(void *ctx, int durable)
{
	struct settlement *s = ctx;
	struct call *c;

	if (durable)
		add_grant(s);
	while ((c = TAILQ_FIRST(&s->calls))) {
		TAILQ_REMOVE(&s->calls, c, of_ask);
		if (durable && !c->lost)
			call_answer(c);
		else
			call_fail(c, "the log did not confirm the decision");
	}
	if (s->who && !s->who->gone && durable)
		conn_result(s->who->conn, s->rpc_id, s->result.p, s->result.n);
	else if (s->who && !s->who->gone)
		conn_error(s->who->conn, s->rpc_id, RPC_REFUSED,
			"the answer could not be recorded, so the call was denied");
	free_settlement(s);
}

static struct settlement *new_settlement(struct box *x)
{
	struct settlement *s = calloc(1, sizeof *s);

	if (!s)
		return NULL;
	s->box = x;
	TAILQ_INIT(&s->calls);
	x->calls++;
	return s;
}

/* Denied without a record: one is owed to the log. */
static void fail_unrecorded(struct call *c, const char *why)
{
	struct broker *b = c->box->b;
	struct owed *o = c->requested && b->nowed < OWED_MAX ? calloc(1, sizeof *o) : NULL;

	if (o) {
		o->box = c->box;
		o->box->calls++;
		o->pid = c->pid;
		memcpy(o->q, c->q, sizeof o->q);
		STAILQ_INSERT_TAIL(&b->owed, o, link);
		b->nowed++;
	}
	call_fail(c, why);
}

/* Denies one call that is in no ask any more. */
static void settle_one(struct call *c, const char *by, const char *why)
{
	struct broker *b = c->box->b;
	struct settlement *s = new_settlement(c->box);
	struct journal_append *a = s ? journal_begin(b->journal, &c->box->log) : NULL;

	call_decide(c, 0, by, "%s", why);
	if (a) {
		record_decision(a, c->box, c->pid, c->q, by, 0, by, why);
		TAILQ_INSERT_TAIL(&s->calls, c, of_ask);
		if (journal_commit(a, 0, on_settled, s) == 0)
			return;
		TAILQ_REMOVE(&s->calls, c, of_ask);
	}
	if (s)
		free_settlement(s);
	fail_unrecorded(c, "there is no log");
}

void ask_cancel(struct call *c, const char *why)
{
	ask_leave(c);
	settle_one(c, "cancel", why);
}

TAILQ_HEAD(call_list, call);

/* Moves the calls of an ask to a list and frees the ask. Answering one call may close its connection,
 * and that takes other calls out of their asks: so nothing is answered while an ask still has calls. */
static void dissolve(struct ask *a, struct call_list *list)
{
	struct call *c;

	TAILQ_INIT(list);
	close_ask(a);
	while ((c = TAILQ_FIRST(&a->waiters))) {
		remove_waiter(a, c);
		TAILQ_INSERT_TAIL(list, c, of_ask);
	}
	free_ask(a);
}

/* Denies every call of an ask, which is gone after it. by is NULL: nothing can be recorded now. */
static void deny_all(struct ask *a, const char *by, const char *why)
{
	struct box *x = a->box;
	struct call_list list;
	struct call *c;

	x->calls++; /* it stays until here is done */
	dissolve(a, &list);
	while ((c = TAILQ_FIRST(&list))) {
		TAILQ_REMOVE(&list, c, of_ask);
		if (by)
			settle_one(c, by, why);
		else
			fail_unrecorded(c, why);
	}
	x->calls--;
	box_unref(x);
}

void ask_cancel_all(struct box *x)
{
	struct ask *a;

	while ((a = TAILQ_FIRST(&x->asks)))
		deny_all(a, "cancel", "The sandbox has ended.");
}

void asks_fail(struct broker *b, const char *why)
{
	struct ask *a;

	while ((a = TAILQ_FIRST(&b->asks)))
		deny_all(a, NULL, why);
}

/* ---- time ---- */

static void arm(struct ask *a)
{
	uint64_t now = io_now_boot(), us = (uint64_t)a->box->b->cfg.progress_ms * 1000, left;
	struct timeval tv;

	left = a->expires_ns > now ? (a->expires_ns - now) / 1000 + 1 : 1;
	if (us > left)
		us = left;
	tv.tv_sec = (time_t)(us / 1000000);
	tv.tv_usec = (suseconds_t)(us % 1000000);
	evtimer_add(a->timer, &tv);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct ask *a = arg;
	char why[256];

	(void)fd;
	(void)what;
	if (io_now_boot() >= a->expires_ns) {
		snprintf(why, sizeof why,
			"A human had to approve this call and nobody answered within %" PRIu64
			" s, so it was not run. Go on with other work, or tell the user what you "
			"need.",
			(a->expires_ns - a->asked_ns) / 1000000000);
		deny_all(a, "timeout", why);
		return;
	}
	arm(a);
	if (seconds_left(a) > 1) /* not when the timer is only a little early for the end */
		tell_all(a);
}

/* ---- holding ---- */

/* What n bytes of UTF-8 become as a JSON string, at most. */
static size_t quoted_max(const char *s, size_t n)
{
	size_t more = 2;

	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];

		more += c < 0x20 ? 5 : c == '"' || c == '\\';
	}
	return n + more;
}

/* How much of what the agent says about the call is kept. */
static size_t says_n(const struct ask_new *n)
{
	return n->says ? text_cut(n->says, strlen(n->says), ASK_SAYS_MAX) : 0;
}

static size_t cost_of(const struct ask_new *n)
{
	return sizeof(struct ask) + n->text_n + says_n(n) + strlen(n->tool) + strlen(n->rule) +
	       strlen(n->why) + (n->runs ? strlen(n->runs) : 0);
}

/* An answer to `approvals` must hold at least one ask: one that is too long would hide all others. */
static int room(const struct box *x, const struct ask_new *n, struct error *e)
{
	const struct broker *b = x->b;
	size_t cost = cost_of(n);

	if (quoted_max(n->text, n->text_n) > ASK_QUOTED_MAX)
		return error_set(
			e, 0, "it is too long for a human to judge. Do it in smaller steps.");
	if (x->held >= b->cfg.pending_box)
		return error_set(e, 0,
			"%u calls of this sandbox wait for a human already. Wait for their answers "
			"before you ask for more.",
			x->held);
	if (b->held >= b->cfg.pending_all)
		return error_set(e, 0, "too many calls on this machine wait for a human already.");
	if (x->held_text + cost > ASK_TEXT_BOX || b->held_text + cost > ASK_TEXT_ALL)
		return error_set(e, 0, "the waiting calls are too large to be kept.");
	return 0;
}

static struct ask *new_ask(struct box *x, const struct ask_new *n)
{
	struct policy_approvals pa;
	struct ask *a = calloc(1, sizeof *a);

	if (!a)
		return NULL;
	a->box = x;
	TAILQ_INIT(&a->waiters);
	memcpy(a->digest, n->digest, sizeof a->digest);
	a->tool = strdup(n->tool);
	a->text = malloc(n->text_n + 1);
	a->says = n->says ? strndup(n->says, says_n(n)) : NULL;
	a->runs = n->runs ? strdup(n->runs) : NULL;
	a->rule = strdup(n->rule);
	a->why = strdup(n->why);
	a->timer = evtimer_new(x->b->base, on_timer, a);
	if (!a->tool || !a->text || (n->says && !a->says) || (n->runs && !a->runs) || !a->rule ||
		!a->why || !a->timer) {
		free_ask(a);
		return NULL;
	}
	memcpy(a->text, n->text, n->text_n + 1);
	a->text_n = n->text_n;
	a->cost = cost_of(n);
	policy_approvals(x->session->policy, &pa);
	a->asked_ns = io_now_boot();
	a->expires_ns = a->asked_ns + (uint64_t)pa.timeout_s * 1000000000;
	a->expires_real = io_now_real() / 1000000000 + pa.timeout_s;
	make_id(x->b, a->id);
	TAILQ_INSERT_TAIL(&x->asks, a, of_box);
	TAILQ_INSERT_TAIL(&x->b->asks, a, of_all);
	x->held_text += a->cost;
	x->b->held_text += a->cost;
	arm(a);
	return a;
}

int ask_hold(struct call *c, const struct ask_new *n, struct error *e)
{
	struct box *x = c->box;
	struct ask *a;

	if (room(x, n, e) < 0)
		return -1;
	TAILQ_FOREACH(a, &x->asks, of_box)
	{
		if (memcmp(a->digest, n->digest, sizeof a->digest) == 0)
			break;
	}
	if (!a)
		a = new_ask(x, n);
	if (!a)
		return error_set(e, ENOMEM, "cannot hold the call");
	TAILQ_INSERT_TAIL(&a->waiters, c, of_ask);
	a->nwaiters++;
	c->ask = a;
	x->held++;
	x->b->held++;
	return 0;
}

/* ---- answers ---- */

static const char *const scope_words[] = {[SCOPE_ONCE] = "once",
	[SCOPE_USES] = "uses",
	[SCOPE_TIME] = "time",
	[SCOPE_SESSION] = "session"};

/* What the policy lets an answer cover (approvals.remember). */
static int scope_ok(const struct box *x, const struct ask_answer *a, struct error *e)
{
	struct policy_approvals pa;

	policy_approvals(x->session->policy, &pa);
	if (!a->allow || a->scope == SCOPE_ONCE || pa.remember_s == POLICY_REMEMBER_SESSION)
		return 0;
	if (pa.remember_s == POLICY_REMEMBER_ONCE)
		return error_set(e, 0,
			"the policy (approvals.remember) lets an answer cover one call only: "
			"approve it without a scope");
	if (a->scope == SCOPE_SESSION || (a->scope == SCOPE_TIME && a->seconds > pa.remember_s))
		return error_set(e, 0,
			"the policy (approvals.remember) lets an answer last %" PRIu32
			" s at most: use a shorter --for",
			pa.remember_s);
	return 0;
}

/* POLICY_WHO_* of the session's policy. */
static int who_ok(const struct box *x, const struct msg_peer *peer, struct error *e)
{
	struct policy_approvals pa;

	policy_approvals(x->session->policy, &pa);
	if (paths_is_agent_uid(peer->uid))
		return error_set(e, 0, "an agent cannot answer");
	if (peer->uid == x->info.uid && (pa.who & POLICY_WHO_OWNER))
		return 0;
	if (peer->admin && (pa.who & POLICY_WHO_ADMIN))
		return 0;
	return error_set(
		e, 0, "the policy (approvals.who) does not let you answer for this sandbox");
}

static struct grant *new_grant(const struct ask *a, const struct ask_answer *ans)
{
	struct policy_approvals pa;
	struct grant *g = calloc(1, sizeof *g);

	if (!g || !(g->tool = strdup(a->tool))) {
		free(g);
		return NULL;
	}
	memcpy(g->digest, a->digest, sizeof g->digest);
	memcpy(g->approval, a->id, sizeof g->approval);
	policy_approvals(a->box->session->policy, &pa);
	/* Counted uses end with time too where the policy says how long an answer may last. */
	if (ans->scope == SCOPE_TIME)
		g->until_ns = io_now_boot() + (uint64_t)ans->seconds * 1000000000;
	else if (pa.remember_s != POLICY_REMEMBER_SESSION)
		g->until_ns = io_now_boot() + (uint64_t)pa.remember_s * 1000000000;
	if (ans->scope == SCOPE_USES)
		g->uses = ans->uses - a->nwaiters;
	return g;
}

static int needs_grant(const struct ask *a, const struct ask_answer *ans)
{
	if (!ans->allow || ans->scope == SCOPE_ONCE)
		return 0;
	return ans->scope != SCOPE_USES || ans->uses > a->nwaiters;
}

static void put_scope(char *buf, size_t cap, const struct ask_answer *ans)
{
	if (!ans->allow || ans->scope == SCOPE_ONCE || ans->scope == SCOPE_SESSION)
		snprintf(buf, cap, "%s", scope_words[ans->allow ? ans->scope : SCOPE_ONCE]);
	else
		snprintf(buf, cap, "%s:%u", scope_words[ans->scope],
			ans->scope == SCOPE_USES ? ans->uses : ans->seconds);
}

/* Decides every call of the ask and writes the records. The calls go over to s. */
static void record_answer(struct journal_append *ap, struct settlement *s, struct ask *a,
	const struct rpc_client *who, const struct ask_answer *ans)
{
	struct record_approval r = {.id = a->id,
		.digest = a->digest,
		.reason = ans->reason,
		.uid = who->peer.uid,
		.pid = who->peer.pid,
		.allow = ans->allow};
	char scope[32];
	struct call *c;

	put_scope(scope, sizeof scope, ans);
	r.scope = scope;
	record_approval(ap, a->box, TAILQ_FIRST(&a->waiters)->q, &r);
	while ((c = TAILQ_FIRST(&a->waiters))) {
		remove_waiter(a, c);
		if (ans->allow)
			call_decide(c, 1, a->rule, "allowed by a human (approval %s)", a->id);
		else
			call_decide(c, 0, a->rule,
				"The user was asked and said no%s%.400s. It was not run; do not "
				"try "
				"the same another way, ask the user what they want instead.",
				ans->reason && *ans->reason ? ": " : "",
				ans->reason ? ans->reason : "");
		record_decision(ap, a->box, c->pid, c->q, "approval", ans->allow, a->rule,
			c->reason ? c->reason : "");
		TAILQ_INSERT_TAIL(&s->calls, c, of_ask);
	}
}

static void put_result(struct text *t, const struct ask *a)
{
	text_addf(t, "{\"id\":\"%s\",\"sandbox\":\"%s\",\"waiters\":%u}", a->id, a->box->info.name,
		a->nwaiters);
}

static int settle_answer(struct ask *a, struct settlement *s, struct rpc_client *who,
	const struct ask_answer *ans, struct error *e)
{
	struct broker *b = a->box->b;
	struct journal_append *ap;

	put_result(&s->result, a);
	if (needs_grant(a, ans) && !(s->grant = new_grant(a, ans)))
		return error_set(e, ENOMEM, "cannot keep the answer");
	ap = journal_begin(b->journal, &a->box->log);
	if (s->result.failed || !ap)
		return error_set(e, 0, "the answer cannot be recorded (%s), so it is not taken",
			journal_trouble(b->journal) ? journal_trouble(b->journal) : "no memory");
	s->who = who;
	who->uses++;
	record_answer(ap, s, a, who, ans);
	if (journal_commit(ap, 1, on_settled, s) < 0)
		on_settled(s, 0); /* denies the calls and tells who */
	return 0;
}

int ask_answer(struct broker *b, struct rpc_client *who, const char *rpc_id, const char *ask_id,
	const struct ask_answer *ans, struct error *e)
{
	struct ask *a = ask_find(b, ask_id);
	struct settlement *s;

	/* Another user's ask is answered like one that does not exist; so is one whose time is over, though
	 * its timer has not run yet (the broker or the machine slept). */
	if (!a || !peer_may(&who->peer, a->box) || io_now_boot() >= a->expires_ns)
		return error_set(e, 0,
			"no approval %.16s waits (it may have been answered or have timed out); "
			"see "
			"`agentctl approvals`",
			ask_id);
	if (who_ok(a->box, &who->peer, e) < 0 || scope_ok(a->box, ans, e) < 0)
		return -1;
	/* All that wait are answered as one: it must not allow more calls than the human said. */
	if (ans->allow && ans->scope == SCOPE_USES && ans->uses < a->nwaiters)
		return error_set(e, 0,
			"%u calls wait for this answer already: approve it with %u uses or more, "
			"or deny it",
			a->nwaiters, a->nwaiters);
	if (needs_grant(a, ans) && a->box->ngrants >= GRANTS_MAX)
		return error_set(e, 0,
			"this sandbox has %u answers that last already: approve once", GRANTS_MAX);
	s = new_settlement(a->box);
	if (!s)
		return error_set(e, ENOMEM, "cannot take the answer");
	snprintf(s->rpc_id, sizeof s->rpc_id, "%s", rpc_id);
	if (settle_answer(a, s, who, ans, e) < 0) {
		free_settlement(s);
		return -1;
	}
	close_ask(a);
	free_ask(a);
	return 0;
}

/* ---- grants ---- */

static void drop_grant(struct box *x, struct grant *g)
{
	TAILQ_REMOVE(&x->grants, g, link);
	x->ngrants--;
	free(g->tool);
	free(g);
}

int ask_granted(struct box *x, const char digest[65], char approval[ASK_ID_CAP])
{
	struct grant *g, *next;
	uint64_t now = io_now_boot();

	for (g = TAILQ_FIRST(&x->grants); g; g = next) {
		next = TAILQ_NEXT(g, link);
		if (g->until_ns && now >= g->until_ns) {
			drop_grant(x, g);
			continue;
		}
		if (memcmp(g->digest, digest, sizeof g->digest) != 0)
			continue;
		memcpy(approval, g->approval, ASK_ID_CAP);
		if (g->uses && --g->uses == 0)
			drop_grant(x, g);
		return 1;
	}
	return 0;
}

void grants_free(struct box *x)
{
	struct grant *g, *next;

	for (g = TAILQ_FIRST(&x->grants); g; g = next) {
		next = TAILQ_NEXT(g, link);
		free(g->tool);
		free(g);
	}
	TAILQ_INIT(&x->grants);
	x->ngrants = 0;
}
