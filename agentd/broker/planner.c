/* MSG_RUN: a request becomes a launch plan, or a refusal that says why and what to do. A refusal is
 * in the log before the supervisor hears of it, a start before the agent runs (MSG_GO). */
#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "agentd/broker/layers.h"
#include "agentd/broker/plans.h"
#include "agentd/broker/policies.h"
#include "agentd/broker/records.h"
#include "common/cleanup.h"
#include "common/io.h"

struct launch_try { /* one MSG_RUN while it is handled */
	struct broker *b;
	struct msg_peer peer;
	uint64_t id;
	struct runreq r;
	struct layers l;
	struct policy_facts facts;
	char user[33], host[65]; /* what facts point to */
};

/* ---- refusing ---- */

struct refusal { /* waits for its record */
	struct broker *b;
	uint64_t id;
	struct msg_refuse m;
};

static void on_refusal(void *ctx, int durable)
{
	struct refusal *f = ctx;

	(void)durable; /* a refusal needs no permission of the log */
	chan_send(f->b->sup, MSG_REFUSE, f->id, &f->m, sizeof f->m, NULL, 0);
	free(f);
}

static int refuse(struct launch_try *t, const struct error *e)
{
	struct refusal *f = calloc(1, sizeof *f);
	struct journal_append *a = f ? journal_begin(t->b->journal, NULL) : NULL;

	if (!f)
		return -1;
	f->b = t->b;
	f->id = t->id;
	snprintf(f->m.text, sizeof f->m.text, "%s", e->text);
	if (a) {
		record_refused(a, t->peer.uid, t->r.agent, t->r.name, e->text);
		if (journal_commit(a, 0, on_refusal, f) == 0)
			return 0;
	}
	on_refusal(f, 0);
	return 0;
}

/* ---- the facts of the session ---- */

/* The login name of a uid in a passwd file: who asks cannot choose it. */
static int login_of(const char *passwd, uid_t uid, char *out, size_t cap)
{
	struct error e;
	size_t n;
	cleanup_free char *text = io_read_file(-1, passwd, 1 << 20, &n, &e);
	char *line, *rest = text, want[16];

	snprintf(want, sizeof want, "%u", (unsigned)uid);
	while (text && (line = strsep(&rest, "\n"))) {
		char *name = strsep(&line, ":"), *id;

		(void)strsep(&line, ":"); /* password */
		id = strsep(&line, ":");
		if (name && id && strcmp(id, want) == 0) {
			snprintf(out, cap, "%s", name);
			return 0;
		}
	}
	return -1;
}

static void find_facts(struct launch_try *t)
{
	struct utsname u;

	t->facts.ci = t->r.ci;
	t->facts.session = 1;
	t->facts.date = policy_date((int64_t)(io_now_real() / 1000000000u));
	t->facts.agent = t->r.agent ? t->r.agent : "command";
	t->facts.branch = t->r.branch;
	if (login_of(t->b->cfg.passwd, t->peer.uid, t->user, sizeof t->user) == 0)
		t->facts.user = t->user;
	else
		t->facts.user = t->r.user; /* not in the file: a directory service knows them */
	if (uname(&u) == 0) {
		snprintf(t->host, sizeof t->host, "%.64s", u.nodename);
		t->facts.host = t->host;
	}
}

/* ---- the name ---- */

static int choose_name(struct launch_try *t, char name[NAME_CAP], struct error *e)
{
	if (t->r.name) {
		snprintf(name, NAME_CAP, "%s", t->r.name);
		return box_name_live(t->b, t->peer.uid, name)
			       ? error_set(e, 0,
					 "a sandbox named %s runs already: choose another --name, "
					 "or "
					 "end it with `agentctl kill %s`",
					 name, name)
			       : 0;
	}
	for (unsigned try = 1; try < 1000; try++) {
		plans_name(name, &t->r, try);
		if (!box_name_live(t->b, t->peer.uid, name))
			return 0;
	}
	return error_set(e, 0, "no name is left for the sandbox: give it one with --name");
}

/* ---- building ---- */

static struct session *make_session(struct launch_try *t, struct error *e)
{
	struct session *s = calloc(1, sizeof *s);
	struct policy_error pe;

	if (!s) {
		error_set(e, ENOMEM, "cannot start a session");
		return NULL;
	}
	s->uid = t->peer.uid;
	plans_identity(s, &t->r);
	if (choose_name(t, s->name, e) < 0) {
		session_free(s);
		return NULL;
	}
	snprintf(s->id, sizeof s->id, "%s.%08" PRIx32, s->name, randombytes_random());
	find_facts(t);
	s->policy = policies_get(t->l.docs, t->l.n, &t->facts, &pe);
	if (!s->policy) {
		error_set(e, 0, "%.760s", pe.text);
		session_free(s);
		return NULL;
	}
	return s;
}

static int make_plan(struct launch_try *t, struct box *x, struct error *e)
{
	struct session_policy sp = {.docs = t->l.docs, .n = t->l.n, .facts = t->facts};
	size_t n;
	cleanup_free void *plan = plans_build(x->session, &t->r, t->peer.gid, &n, e);

	if (!plan)
		return -1;
	x->plan_fd = io_sealed_memfd("agentd-plan", plan, n, e);
	if (x->plan_fd < 0)
		return -1;
	x->session_fd = session_save(x->session, &sp, e);
	return x->session_fd < 0 ? -1 : 0;
}

/* session.start is durable: the agent may start. */
static void on_start(void *ctx, int durable)
{
	struct box *x = ctx;
	struct msg_refuse m = {
		.text = "the log did not confirm the start of the session, so nothing "
			"was started: see `agentctl doctor`"};

	x->calls--;
	if (durable) {
		chan_send(x->b->sup, MSG_GO, x->number, NULL, 0, NULL, 0);
		box_unref(x);
		return;
	}
	chan_send(x->b->sup, MSG_REFUSE, x->number, &m, sizeof m, NULL, 0);
	x->forget = 1;
	box_unref(x);
}

/* The supervisor builds the sandbox while the disk is busy with the record. */
static void send_plan(struct box *x)
{
	int fds[2] = {x->plan_fd, x->session_fd};

	x->plan_fd = x->session_fd = -1;
	x->state = BOX_PLANNED;
	x->planned_ns = io_now_mono();
	chan_send(x->b->sup, MSG_PLAN, x->number, NULL, 0, fds, 2);
}

static int record_and_send(struct launch_try *t, struct box *x, struct error *e)
{
	struct journal_append *a = journal_begin(t->b->journal, &x->log);

	if (!a)
		return error_set(e, 0,
			"nothing can be recorded (%s), so nothing is started: see `agentctl "
			"doctor`",
			journal_trouble(t->b->journal) ? journal_trouble(t->b->journal)
						       : "no memory");
	record_start(a, x, &t->r);
	x->calls++;
	send_plan(x);
	if (journal_commit(a, 0, on_start, x) == 0)
		return 0;
	x->calls--;
	return error_set(
		e, 0, "the start of the session cannot be recorded: see `agentctl doctor`");
}

static int launch(struct launch_try *t, struct error *e)
{
	struct box *x;

	if (paths_is_agent_uid(t->peer.uid))
		return error_set(e, 0, "an agent cannot start sandboxes");
	if (layers_collect(
		    &t->l, t->b->cfg.policy_dir, t->b->cfg.trust_dir, t->peer.uid, &t->r, e) < 0)
		return -1;
	x = box_new(t->b);
	if (!x)
		return error_set(e, 0, "too many sandboxes, or no memory");
	x->state = BOX_STARTING;
	x->number = t->id;
	x->foreground = t->r.terminal && !t->r.detached;
	x->session = make_session(t, e);
	if (x->session) {
		x->info.uid = t->peer.uid;
		memcpy(x->info.name, x->session->name, sizeof x->info.name);
		memcpy(x->info.session, x->session->id, sizeof x->info.session);
		memcpy(x->log.id, x->session->id, sizeof x->log.id);
		records_actor(x);
		if (make_plan(t, x, e) == 0 && record_and_send(t, x, e) == 0)
			return 0;
	}
	x->forget = 1;
	box_unref(x);
	return -1;
}

static int read_request(struct launch_try *t, int fd, struct error *e)
{
	size_t n;
	const void *p = io_map_sealed(fd, REQUEST_MAX, &n, e);
	int r;

	if (!p)
		return -1;
	r = runreq_parse(&t->r, p, n, 0, e);
	munmap((void *)(uintptr_t)p, n);
	return r;
}

int planner_run(void *ctx, struct wire_msg *m)
{
	struct launch_try *t = calloc(1, sizeof *t);
	struct error e = {0};
	int r = 0;

	if (!t)
		return -1;
	t->b = ctx;
	t->id = m->h.id;
	memcpy(&t->peer, m->payload, sizeof t->peer);
	if (read_request(t, m->fds[0], &e) < 0 || launch(t, &e) < 0)
		r = refuse(t, &e);
	layers_free(&t->l);
	runreq_free(&t->r);
	free(t);
	return r;
}
