/* The story of the broker: it is started by the supervisor, builds its walls, says hello, and then
 * answers three kinds of peers: the supervisor (launches, ends, connections), the agents' tools
 * (calls.c), people through agentctl (rpcs.c); and tells the recorder everything first (journal.c). */
#include "agentd/broker/broker.h"

#include <errno.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agentd/broker/calls.h"
#include "agentd/role.h"
#include "common/cleanup.h"

#define RETRY_S 1

/* ---- what the supervisor may say ---- */

static int on_ping(void *ctx, struct wire_msg *m)
{
	struct broker *b = ctx;

	chan_send(b->sup, MSG_PONG, m->h.id, NULL, 0, NULL, 0);
	return 0;
}

static int on_peer(void *ctx, struct wire_msg *m)
{
	struct broker *b = ctx;

	journal_connect(b->journal, take_fd(&m->fds[0]));
	return 0;
}

#define EXACT(type) sizeof(type), sizeof(type)

static const struct wire_rule supervisor_rules[] = {
	{MSG_PING, 0, 0, 0, 0, on_ping},
	{MSG_PEER, 0, 0, 1, 1, on_peer},
	{MSG_RUN, EXACT(struct msg_peer), 1, 1, planner_run},
	{MSG_CLIENT, EXACT(struct msg_peer), 1, 1, rpcs_client},
	{MSG_STARTED, EXACT(struct msg_sandbox), 2, 3, boxes_started},
	{MSG_ENDED, EXACT(struct msg_ended), 0, 0, boxes_ended},
	{MSG_EVENT, EXACT(struct msg_event), 0, 0, boxes_event},
};

/* Without a supervisor there is nothing to decide for: the sandboxes are dead. */
static void on_supervisor_gone(void *ctx, const char *why)
{
	struct broker *b = ctx;

	fprintf(stderr, "agentd broker: the supervisor is gone: %s\n", why);
	event_base_loopbreak(b->base);
}

/* ---- what the journal says ---- */

static void on_lost(void *ctx, const char *why)
{
	struct broker *b = ctx;
	struct box *x;

	if (!b->stopping)
		fprintf(stderr, "agentd broker: everything is denied: %s\n", why);
	TAILQ_FOREACH(x, &b->boxes, link)
	{
		if (!x->log.broken && x->log.next) {
			x->log.broken = 1;
			x->log.why = "the recorder was lost";
		}
	}
	asks_fail(b, why);
}

static void on_ready(void *ctx)
{
	boxes_retry(ctx);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	struct broker *b = arg;
	struct timeval tv = {.tv_sec = RETRY_S};

	(void)fd;
	(void)what;
	boxes_retry(b);
	evtimer_add(b->retry, &tv);
}

/* ---- life ---- */

void broker_config_default(struct broker_config *c, const struct paths *p)
{
	memset(c, 0, sizeof *c);
	snprintf(c->policy_dir, sizeof c->policy_dir, "%s/policy.d", p->etc);
	snprintf(c->trust_dir, sizeof c->trust_dir, "%s/broker/trust", p->state);
	snprintf(c->passwd, sizeof c->passwd, "/etc/passwd");
	c->recorder_ms = 5000;
	c->progress_ms = 10000;
	c->pending_box = 1000;
	c->pending_all = 10000;
	c->conns_box = 256;
}

static void init_lists(struct broker *b)
{
	TAILQ_INIT(&b->boxes);
	TAILQ_INIT(&b->endings);
	TAILQ_INIT(&b->asks);
	TAILQ_INIT(&b->rpc_clients);
	TAILQ_INIT(&b->rpc_groups);
	STAILQ_INIT(&b->owed);
	TAILQ_INIT(&b->duties);
}

static int start(struct broker *b, int sup, struct error *e)
{
	struct journal_events ev = {.lost = on_lost, .ready = on_ready, .ctx = b};
	struct timeval tv = {.tv_sec = RETRY_S};

	snprintf(b->q_prefix, sizeof b->q_prefix, "r%08x", randombytes_random());
	b->sup = chan_new(
		b->base, sup, supervisor_rules, ARRAY_LEN(supervisor_rules), b, on_supervisor_gone);
	b->journal = journal_new(b->base, b->cfg.recorder_ms, &ev);
	b->scratch = calls_scratch_new();
	b->retry = evtimer_new(b->base, on_retry, b);
	if (!b->sup || !b->journal || !b->scratch || !b->retry || evtimer_add(b->retry, &tv) < 0)
		return error_set(e, ENOMEM, "cannot start the broker");
	return 0;
}

struct broker *broker_new(
	struct event_base *base, const struct broker_config *c, int sup, struct error *e)
{
	struct broker *b = sodium_init() < 0 ? NULL : calloc(1, sizeof *b);

	if (!b) {
		error_set(e, ENOMEM, "cannot start the broker");
		return NULL;
	}
	b->base = base;
	b->cfg = *c;
	init_lists(b);
	if (start(b, sup, e) < 0) {
		broker_free(b);
		return NULL;
	}
	return b;
}

void broker_free(struct broker *b)
{
	if (!b)
		return;
	b->stopping = 1;
	if (b->journal) {
		journal_stop(b->journal);
		rpcs_free(b);
		boxes_free(b);
	}
	journal_free(b->journal);
	chan_free(b->sup);
	if (b->retry)
		event_free(b->retry);
	calls_scratch_free(b->scratch);
	free(b);
}

/* ---- the process ---- */

static int make_trust_dir(const struct broker_config *c, struct error *e)
{
	if (mkdir(c->trust_dir, 0700) < 0 && errno != EEXIST)
		return error_set(e, errno, "cannot make %s", c->trust_dir);
	return 0;
}

static int confine(const struct paths *p, struct error *e)
{
	char state[720];
	const struct role_dir dirs[] = {
		{.path = state, .writable = 1}, {.path = p->etc, .optional = 1},
		{.path = "/etc"}, /* passwd: login names for `when` */
	};
	const struct role_spec spec = {.name = "broker",
		.dirs = dirs,
		.ndirs = ARRAY_LEN(dirs),
		.file_size_max = 64u << 20, /* session files count too */
		.files_max = 65536};

	snprintf(state, sizeof state, "%s/broker", p->state);
	return role_confine(&spec, e);
}

static int run(const struct paths *p, struct error *e)
{
	struct broker_config c;
	struct event_base *base;
	struct broker *b = NULL;
	int r = -1;

	broker_config_default(&c, p);
	if (make_trust_dir(&c, e) < 0)
		return -1;
	base = event_base_new();
	if (!base)
		return error_set(e, ENOMEM, "cannot make an event loop");
	if (confine(p, e) == 0 && role_hello(e) == 0)
		b = broker_new(base, &c, ROLE_SUPERVISOR_FD, e);
	if (b) {
		event_base_dispatch(base);
		r = 0;
	}
	broker_free(b);
	event_base_free(base);
	return r;
}

int broker_main(int argc, char **argv)
{
	struct paths p;
	struct error e = {0};

	if (role_begin("broker", argc, argv, &p, &e) < 0 || run(&p, &e) < 0) {
		fprintf(stderr, "agentd broker: %s\n", e.text);
		return 1;
	}
	return 0;
}
