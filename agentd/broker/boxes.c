/* The sandboxes: what the supervisor tells of their life, and what must be in the log because of it.
 * What waits for the log waits as long as it takes: an end or a kill is recorded when there is a
 * recorder again. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agentd/broker/calls.h"
#include "agentd/broker/records.h"
#include "common/io.h"

#define DUTIES_MAX    8192u
#define NEVER_STARTED 120ull /* s after the plan without a word: its session is closed */

/* ---- finding ---- */

struct box *box_by_number(struct broker *b, uint64_t number)
{
	struct box *x;

	TAILQ_FOREACH(x, &b->boxes, link)
	{
		if (x->number == number && !x->forget)
			return x;
	}
	return NULL;
}

static struct box *box_by_session(struct broker *b, const char *session)
{
	struct box *x;

	TAILQ_FOREACH(x, &b->boxes, link)
	{
		if (!x->forget && strcmp(x->info.session, session) == 0)
			return x;
	}
	return NULL;
}

int box_name_live(struct broker *b, uid_t uid, const char *name)
{
	struct box *x;

	TAILQ_FOREACH(x, &b->boxes, link)
	{
		if (!x->forget && x->state != BOX_ENDED && x->info.uid == uid &&
			strcmp(x->info.name, name) == 0)
			return 1;
	}
	return 0;
}

int peer_may_uid(const struct msg_peer *peer, uid_t owner)
{
	return !paths_is_agent_uid(peer->uid) && (peer->admin || peer->uid == owner);
}

int peer_may(const struct msg_peer *peer, const struct box *x)
{
	return peer_may_uid(peer, x->info.uid);
}

int split_name(const char *s, int64_t *uid, const char **name)
{
	const char *slash = strchr(s, '/');
	char *end;

	*uid = -1;
	*name = s;
	if (!slash)
		return name_valid(s) ? 0 : -1;
	errno = 0;
	*uid = strtoll(s, &end, 10);
	*name = slash + 1;
	if (errno || end != slash || s[0] < '0' || s[0] > '9' || *uid > UINT32_MAX)
		return -1;
	return name_valid(*name) ? 0 : -1;
}

struct box *box_for_peer(struct broker *b, const struct msg_peer *peer, const char *name,
	const char *session, struct error *e)
{
	struct box *x, *found = NULL;
	const char *base;
	int64_t uid;

	if (split_name(name, &uid, &base) < 0) {
		error_set(e, 0, "not a sandbox name");
		return NULL;
	}
	TAILQ_FOREACH(x, &b->boxes, link)
	{
		if (x->forget || x->state != BOX_RUNNING || strcmp(x->info.name, base) != 0 ||
			!peer_may(peer, x) || (uid >= 0 && (int64_t)x->info.uid != uid) ||
			(session && strcmp(x->info.session, session) != 0))
			continue;
		if (x->info.uid == peer->uid)
			return x; /* one's own goes before another's of the same name */
		if (found) {
			error_set(e, 0, "several users have a sandbox %s: say UID/%s", base, base);
			return NULL;
		}
		found = x;
	}
	if (!found)
		error_set(e, 0, "no sandbox %s runs; see `agentctl ps`", base);
	return found;
}

/* ---- life ---- */

static void on_emptied(struct conn_group *g)
{
	box_unref(g->owner);
}

struct box *box_new(struct broker *b)
{
	struct box *x = b->nboxes < BOXES_MAX ? calloc(1, sizeof *x) : NULL;

	if (!x)
		return NULL;
	x->b = b;
	x->plan_fd = x->session_fd = x->listener = -1;
	x->log.durable = -1;
	TAILQ_INIT(&x->clients);
	TAILQ_INIT(&x->asks);
	TAILQ_INIT(&x->grants);
	if (conn_group_init(&x->tools, b->base, b->cfg.conns_box, TOOL_HELD_MAX) < 0) {
		free(x);
		return NULL;
	}
	x->tools.emptied = on_emptied;
	x->tools.owner = x;
	TAILQ_INSERT_TAIL(&b->boxes, x, link);
	b->nboxes++;
	return x;
}

static void free_box(struct box *x)
{
	TAILQ_REMOVE(&x->b->boxes, x, link);
	x->b->nboxes--;
	grants_free(x);
	conn_group_done(&x->tools);
	pty_free(x->pty);
	session_free(x->session);
	if (x->plan_fd >= 0)
		close(x->plan_fd);
	if (x->session_fd >= 0)
		close(x->session_fd);
	free(x);
}

void box_unref(struct box *x)
{
	if (x->forget && !x->calls && !x->log.uses && TAILQ_EMPTY(&x->clients) && !x->tools.conns)
		free_box(x);
}

/* ---- MSG_STARTED ---- */

static int strings_ok(const struct msg_sandbox *s)
{
	return msg_str_ok(s->name, sizeof s->name) && msg_str_ok(s->session, sizeof s->session);
}

/* A sandbox that another broker launched: its policy comes out of the session file. When that cannot
 * be used, the sandbox goes on, but everything it asks is denied. */
static struct box *adopt(struct broker *b, const struct msg_sandbox *info, int session_fd)
{
	struct box *x = box_new(b);
	struct error e = {0};

	if (!x)
		return NULL;
	x->session = session_load(session_fd, &e);
	if (x->session &&
		(x->session->uid != info->uid || strcmp(x->session->id, info->session) != 0 ||
			strcmp(x->session->name, info->name) != 0)) {
		session_free(x->session);
		x->session = NULL;
		error_set(&e, 0, "its session file is another sandbox's");
	}
	if (!x->session)
		snprintf(x->trouble, sizeof x->trouble,
			"this sandbox outlived a restart of agentd's broker and its policy could "
			"not "
			"be taken over (%.200s); end it and start it again",
			e.text);
	memcpy(x->log.id, info->session, sizeof x->log.id);
	x->log.broken = 1;
	x->log.why = "the broker was restarted";
	return x;
}

/* Who is attached learns it, and keeps reading the terminal itself. */
static int take_terminal(struct box *x, struct wire_msg *m)
{
	if (!(x->info.flags & SANDBOX_PTY))
		return m->nfds == 2 ? 0 : -1;
	if (m->nfds != 3)
		return -1;
	x->pty = pty_new(x->b->base, m->fds[2], x->foreground);
	m->fds[2] = -1;
	return 0;
}

int boxes_started(void *ctx, struct wire_msg *m)
{
	struct broker *b = ctx;
	struct msg_sandbox info;
	struct box *x;

	memcpy(&info, m->payload, sizeof info);
	if (!strings_ok(&info))
		return -1;
	x = box_by_session(b, info.session);
	if (!x)
		x = adopt(b, &info, m->fds[1]);
	else if (x->state != BOX_PLANNED)
		return -1;
	if (!x)
		return 0; /* no room: nobody answers on its tool.sock, so its hooks deny */
	x->info = info;
	records_actor(x);
	x->number = m->h.id;
	x->state = BOX_RUNNING;
	x->listener = m->fds[0];
	m->fds[0] = -1;
	if (calls_listen(x) < 0)
		fprintf(stderr, "agentd broker: cannot listen for %s\n", x->info.name);
	return take_terminal(x, m);
}

/* ---- MSG_ENDED ---- */

static void forget(struct box *x)
{
	x->forget = 1;
	box_unref(x);
}

static void on_end(void *ctx, int durable)
{
	struct box *x = ctx;

	x->end_sent = 0;
	x->calls--;
	if (!durable)
		return; /* boxes_retry */
	chan_send(x->b->sup, MSG_END_RECORDED, x->number, NULL, 0, NULL, 0);
	forget(x);
}

static void record_box_end(struct box *x)
{
	struct journal_append *a = x->end_sent ? NULL : journal_begin(x->b->journal, &x->log);

	if (!a)
		return;
	record_end(a, x);
	x->calls++;
	x->end_sent = 1;
	if (journal_commit(a, 1, on_end, x) < 0) {
		x->calls--;
		x->end_sent = 0;
	}
}

/* Who is attached reads what is left in the terminal itself; else it is kept for who comes late. */
static void end_terminal(struct box *x, const struct msg_ended *end)
{
	struct text t = {0};
	const char *params;

	text_addf(&t, "{\"code\":%" PRIu32 ",\"text\":", end->exit_code);
	text_quote_str(&t, end->text);
	text_add(&t, "}");
	params = t.failed ? "{}" : t.p;
	if (x->attached)
		rpcs_detach(x, "ended", params);
	else if (x->pty)
		ending_keep(x, params);
	text_free(&t);
	pty_free(x->pty);
	x->pty = NULL;
}

static void end_box(struct box *x, const struct msg_ended *end)
{
	x->calls++; /* it stays while this goes on */
	x->state = BOX_ENDED;
	x->end = *end;
	end_terminal(x, end);
	ask_cancel_all(x);
	calls_clients_close(x);
	grants_free(x);
	record_box_end(x);
	x->calls--;
	box_unref(x);
}

int boxes_ended(void *ctx, struct wire_msg *m)
{
	struct msg_ended end;
	struct box *x = box_by_number(ctx, m->h.id);

	memcpy(&end, m->payload, sizeof end);
	if (!msg_str_ok(end.text, sizeof end.text))
		return -1;
	if (!x) { /* nothing is known of it, so there is nothing to record */
		struct broker *b = ctx;

		chan_send(b->sup, MSG_END_RECORDED, m->h.id, NULL, 0, NULL, 0);
		return 0;
	}
	if (x->state == BOX_PLANNED || x->state == BOX_RUNNING)
		end_box(x, &end);
	return 0;
}

/* ---- MSG_EVENT ---- */

static void finish_duty(struct duty *d)
{
	TAILQ_REMOVE(&d->b->duties, d, link);
	d->b->nduties--;
	free(d);
}

static void on_event(void *ctx, int durable)
{
	struct duty *d = ctx;

	d->under_way = 0;
	if (!durable)
		return; /* boxes_retry */
	chan_send(d->b->sup, MSG_EVENT_RECORDED, d->id, NULL, 0, NULL, 0);
	finish_duty(d);
}

/* The sandbox an event is about, while its session can still be written to. */
static struct box *box_of_event(struct broker *b, const struct msg_event *ev)
{
	struct box *x = ev->sandbox ? box_by_number(b, ev->sandbox) : NULL;

	return x && x->log.id[0] && !x->end_sent && ev->kind != EVENT_REFUSED ? x : NULL;
}

static void try_duty(struct duty *d)
{
	struct box *x = box_of_event(d->b, &d->event);
	struct journal_append *a =
		d->under_way ? NULL : journal_begin(d->b->journal, x ? &x->log : NULL);

	if (!a)
		return;
	if (record_event(a, x, &d->event) < 0)
		return;
	d->under_way = 1;
	if (journal_commit(a, d->event.kind == EVENT_KILL, on_event, d) < 0)
		d->under_way = 0;
}

int boxes_event(void *ctx, struct wire_msg *m)
{
	struct broker *b = ctx;
	struct duty *d;

	d = b->nduties < DUTIES_MAX ? calloc(1, sizeof *d) : NULL;
	if (!d)
		return 0; /* not answered: the supervisor sends it again after a restart */
	d->b = b;
	d->id = m->h.id;
	memcpy(&d->event, m->payload, sizeof d->event);
	if (!msg_str_ok(d->event.name, sizeof d->event.name) ||
		!msg_str_ok(d->event.text, sizeof d->event.text) || d->event.kind < EVENT_KILL ||
		d->event.kind > EVENT_BOOT) {
		free(d);
		return -1;
	}
	TAILQ_INSERT_TAIL(&b->duties, d, link);
	b->nduties++;
	try_duty(d);
	return 0;
}

/* ---- what waits for a recorder ---- */

/* Each owed decision is tried once; what fails now is given up (verify shows the orphan request). */
static void on_owed(void *ctx, int durable)
{
	struct box *x = ctx;

	(void)durable;
	x->calls--;
	box_unref(x);
}

static void pay_owed(struct broker *b)
{
	struct owed *o;

	while (!journal_trouble(b->journal) && (o = STAILQ_FIRST(&b->owed))) {
		struct box *x = o->box;
		struct journal_append *a = journal_begin(b->journal, &x->log);

		STAILQ_REMOVE_HEAD(&b->owed, link);
		b->nowed--;
		if (a)
			record_decision(a, x, o->pid, o->q, "fail-closed", 0, "fail-closed",
				"denied while nothing could be recorded");
		if (!a || journal_commit(a, 0, on_owed, x) < 0)
			on_owed(x, 0);
		free(o);
	}
}

static void check_planned(struct box *x)
{
	struct msg_ended end = {.exit_code = 125, .reason = END_FAILED, .text = "it never started"};

	if (x->state == BOX_PLANNED &&
		io_now_mono() - x->planned_ns > NEVER_STARTED * 1000000000ull)
		end_box(x, &end);
	else if (x->state == BOX_ENDED && !x->forget)
		record_box_end(x);
}

void boxes_retry(struct broker *b)
{
	struct duty *d, *next_duty;
	struct box *x, *next;

	pay_owed(b);
	for (d = TAILQ_FIRST(&b->duties); d; d = next_duty) {
		next_duty = TAILQ_NEXT(d, link);
		try_duty(d);
	}
	for (x = TAILQ_FIRST(&b->boxes); x; x = next) {
		next = TAILQ_NEXT(x, link);
		check_planned(x);
	}
}

static void drop_owed(struct broker *b)
{
	struct owed *o;

	while ((o = STAILQ_FIRST(&b->owed))) {
		STAILQ_REMOVE_HEAD(&b->owed, link);
		b->nowed--;
		o->box->calls--;
		free(o);
	}
}

/* The process or the test ends; the journal takes nothing any more (journal_stop). */
void boxes_free(struct broker *b)
{
	struct duty *d, *next_duty;
	struct box *x, *next;

	for (d = TAILQ_FIRST(&b->duties); d; d = next_duty) {
		next_duty = TAILQ_NEXT(d, link);
		free(d);
	}
	TAILQ_INIT(&b->duties);
	endings_free(b);
	TAILQ_FOREACH(x, &b->boxes, link)
	{
		calls_clients_close(x);
	}
	drop_owed(b);
	for (x = TAILQ_FIRST(&b->boxes); x; x = next) {
		next = TAILQ_NEXT(x, link);
		conn_group_done(&x->tools);
		forget(x);
	}
}
