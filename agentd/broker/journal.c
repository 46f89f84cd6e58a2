/* Records on their way to the log; see journal.h. */
#include "agentd/broker/journal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "agentd/broker/chan.h"
#include "common/cleanup.h"
#include "common/io.h"

/* Who waits for an append; its records may be spread over several batches. */
struct waiter {
	journal_done *done;
	void *ctx;
	struct journal_session *s; /* or NULL */
	int64_t epoch, last; /* of s, of its last record */
	unsigned batches; /* that are not answered yet */
	int failed;
};

struct waits { /* one batch's list of waiters */
	struct waiter **w; /* owned array; each waiter is owned by the last batch that names it */
	size_t n, cap;
};

struct batch {
	TAILQ_ENTRY(batch) next;
	uint64_t id, sent_ns;
	struct waits waits;
	uint32_t flags;
	size_t n;
	unsigned char payload[WIRE_PAYLOAD_MAX];
};

struct journal_append {
	struct journal *j;
	struct journal_session *s;
	struct text t; /* u32 length + JSON, repeated; kept from one append to the next */
	size_t record; /* where the record in the making begins */
	int failed;
};

struct journal {
	struct event_base *base;
	struct journal_events ev;
	unsigned deadline_ms;
	struct chan *chan; /* NULL: no recorder yet */
	struct batch *open; /* not sent yet, or NULL */
	struct batch *spare; /* one kept for the next time */
	TAILQ_HEAD(batches, batch) sent; /* oldest first */
	struct event *flush, *deadline;
	uint64_t last_id, sent_id; /* made; of these, the last that went to the recorder */
	uint64_t stuck_id; /* not 0: the recorder has not answered this one in time */
	struct journal_append making;
	char trouble[128];
};

/* ---- answers to who waits ---- */

static void settle(struct waiter *w)
{
	struct journal_session *s = w->s;

	if (s) {
		s->uses--;
		if (w->failed && w->epoch == s->epoch) {
			s->broken = 1;
			s->why = "the log may not have the last records";
		} else if (!w->failed && w->epoch == s->epoch) {
			s->durable = w->last;
		}
	}
	w->done(w->ctx, !w->failed);
	free(w);
}

static void free_batch(struct journal *j, struct batch *b)
{
	free(b->waits.w);
	memset(&b->waits, 0, sizeof b->waits);
	if (!j->spare)
		j->spare = b;
	else
		free(b);
}

static void answer_batch(struct journal *j, struct batch *b, int durable)
{
	for (size_t i = 0; i < b->waits.n; i++) {
		struct waiter *w = b->waits.w[i];

		if (!durable)
			w->failed = 1;
		if (--w->batches == 0)
			settle(w);
	}
	free_batch(j, b);
}

/* Nobody's records are known to be durable any more. */
static void fail_all(struct journal *j, const char *why)
{
	struct batch *b, *open = j->open;
	TAILQ_HEAD(, batch) sent = TAILQ_HEAD_INITIALIZER(sent);

	snprintf(j->trouble, sizeof j->trouble, "%s", why);
	TAILQ_CONCAT(&sent, &j->sent, next);
	j->open = NULL;
	while ((b = TAILQ_FIRST(&sent))) {
		TAILQ_REMOVE(&sent, b, next);
		answer_batch(j, b, 0);
	}
	if (open)
		answer_batch(j, open, 0);
	j->ev.lost(j->ev.ctx, j->trouble);
}

/* ---- the recorder's side ---- */

static void recovered(struct journal *j)
{
	j->stuck_id = 0;
	*j->trouble = 0;
	j->ev.ready(j->ev.ctx);
}

static int take_answer(struct journal *j, uint64_t id, int durable)
{
	struct batch *b;

	TAILQ_FOREACH(b, &j->sent, next)
	{
		if (b->id == id) {
			TAILQ_REMOVE(&j->sent, b, next);
			answer_batch(j, b, durable);
			return 0;
		}
	}
	if (id == 0 || id > j->stuck_id)
		return -1; /* never sent */
	if (id == j->stuck_id)
		recovered(j); /* late, but it works again; what was denied stays denied */
	return 0;
}

static int on_appended(void *ctx, struct wire_msg *m)
{
	return take_answer(ctx, m->h.id, 1);
}

static int on_refused(void *ctx, struct wire_msg *m)
{
	struct msg_refuse r;

	memcpy(&r, m->payload, sizeof r);
	if (!msg_str_ok(r.text, sizeof r.text))
		return -1;
	fprintf(stderr, "agentd broker: the recorder refused records: %.*s\n", 512, r.text);
	return take_answer(ctx, m->h.id, 0);
}

static const struct wire_rule recorder_rules[] = {
	{MSG_APPENDED, sizeof(struct msg_appended), sizeof(struct msg_appended), 0, 0, on_appended},
	{MSG_APPEND_REFUSED, sizeof(struct msg_refuse), sizeof(struct msg_refuse), 0, 0,
		on_refused},
};

static void on_closed(void *ctx, const char *why)
{
	struct journal *j = ctx;
	char text[96];

	snprintf(text, sizeof text, "the recorder is gone (%s)", why);
	fail_all(j, text);
}

static void arm_deadline(struct journal *j)
{
	struct batch *b = TAILQ_FIRST(&j->sent);
	uint64_t now = io_now_mono(), due;
	struct timeval tv = {.tv_usec = 1000};

	if (!b)
		return;
	due = b->sent_ns + (uint64_t)j->deadline_ms * 1000000;
	if (due > now) {
		tv.tv_sec = (time_t)((due - now) / 1000000000);
		tv.tv_usec = (suseconds_t)((due - now) / 1000 % 1000000 + 1);
	}
	evtimer_add(j->deadline, &tv);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct journal *j = arg;
	struct batch *b = TAILQ_FIRST(&j->sent), *newest = TAILQ_LAST(&j->sent, batches);
	char text[96];

	(void)fd;
	(void)what;
	if (b && (newest->sent_ns == 0 ||
			 io_now_mono() >= b->sent_ns + (uint64_t)j->deadline_ms * 1000000)) {
		j->stuck_id = j->sent_id;
		snprintf(text, sizeof text, "the recorder did not answer within %u ms",
			j->deadline_ms);
		fail_all(j, text);
	}
	arm_deadline(j);
}

/* ---- sending ---- */

static void send_open(struct journal *j)
{
	struct batch *b = j->open;

	if (!b)
		return;
	j->open = NULL;
	memcpy(b->payload, &b->flags, sizeof b->flags);
	b->id = ++j->last_id;
	b->sent_ns = io_now_mono();
	TAILQ_INSERT_TAIL(&j->sent, b, next);
	if (chan_send(j->chan, MSG_APPEND, b->id, b->payload, b->n, NULL, 0) == 0) {
		j->sent_id = b->id;
	} else {
		/* Too far behind, or lost. Who waits is answered from the loop, not from in here. */
		b->sent_ns = 0;
		event_active(j->deadline, EV_TIMEOUT, 0);
	}
	if (!evtimer_pending(j->deadline, NULL))
		arm_deadline(j);
}

static void on_flush(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	send_open(arg);
}

static int open_batch(struct journal *j)
{
	struct batch *b = j->spare ? j->spare : malloc(sizeof *b);

	if (!b)
		return -1;
	j->spare = NULL;
	b->flags = 0;
	b->n = sizeof b->flags;
	memset(&b->waits, 0, sizeof b->waits);
	j->open = b;
	event_active(j->flush, EV_TIMEOUT, 0);
	return 0;
}

static int add_wait(struct batch *b, struct waiter *w)
{
	struct waits *l = &b->waits;

	if (l->n && l->w[l->n - 1] == w)
		return 0;
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 16;
		struct waiter **p = realloc(l->w, cap * sizeof(struct waiter *));

		if (!p)
			return -1;
		l->w = p;
		l->cap = cap;
	}
	l->w[l->n++] = w;
	w->batches++;
	return 0;
}

/* Puts one framed record into the open batch. */
static int put_record(
	struct journal *j, struct waiter *w, const char *framed, size_t n, uint32_t flags)
{
	if (j->open && j->open->n + n > sizeof j->open->payload)
		send_open(j);
	if (!j->open && open_batch(j) < 0)
		return -1;
	if (add_wait(j->open, w) < 0)
		return -1;
	memcpy(j->open->payload + j->open->n, framed, n);
	j->open->n += n;
	j->open->flags |= flags;
	return 0;
}

/* ---- appends ---- */

static void begin_epoch(struct journal_append *a)
{
	struct journal_session *s = a->s;
	int64_t now = (int64_t)(io_now_real() / 1000000), after = s->durable;
	struct text *t;

	s->epoch = now > s->epoch ? now : s->epoch + 1;
	s->next = 0;
	s->durable = -1;
	s->broken = 0;
	t = journal_record(a);
	text_put(t, "{", 1);
	text_add(t, s->actor);
	text_addf(t, "\"after\":%" PRId64 ",", after);
	journal_epoch(a);
	text_add(t, "\"k\":\"session.resume\",");
	journal_counter(a);
	text_add(t, "\"reason\":");
	text_quote_str(t, s->why ? s->why : "unknown");
	text_add(t, ",\"s\":");
	text_quote_str(t, s->id);
	text_add(t, "}");
	journal_record_end(a);
}

struct journal_append *journal_begin(struct journal *j, struct journal_session *s)
{
	struct journal_append *a = &j->making;

	if (journal_trouble(j))
		return NULL;
	a->j = j;
	a->s = s;
	a->t.n = 0;
	a->failed = a->t.failed = 0;
	if (s && s->broken)
		begin_epoch(a);
	return a;
}

struct text *journal_record(struct journal_append *a)
{
	uint32_t len = 0;

	a->record = a->t.n;
	text_put(&a->t, (const char *)&len, sizeof len);
	return &a->t;
}

void journal_epoch(struct journal_append *a)
{
	if (a->s && a->s->epoch)
		text_addf(&a->t, "\"e\":%" PRId64 ",", a->s->epoch);
}

void journal_counter(struct journal_append *a)
{
	if (a->s)
		text_addf(&a->t, "\"n\":%" PRId64 ",", a->s->next++);
}

void journal_record_end(struct journal_append *a)
{
	size_t n = a->t.n - a->record - sizeof(uint32_t);
	uint32_t len = (uint32_t)n;

	if (a->t.failed || n > JOURNAL_RECORD_MAX)
		a->failed = 1;
	else
		memcpy(a->t.p + a->record, &len, sizeof len);
}

static void spoil(struct journal_append *a)
{
	if (!a->s)
		return;
	a->s->broken = 1;
	a->s->why = "records could not be sent";
}

int journal_commit(struct journal_append *a, int publish, journal_done *done, void *ctx)
{
	struct waiter *w = a->failed ? NULL : calloc(1, sizeof *w);

	if (!w) {
		spoil(a);
		return -1;
	}
	w->done = done;
	w->ctx = ctx;
	w->s = a->s;
	w->epoch = a->s ? a->s->epoch : 0;
	w->last = a->s ? a->s->next - 1 : 0;
	w->batches = 1; /* ours, until all its records are placed */
	if (w->s)
		w->s->uses++;
	for (size_t at = 0; at < a->t.n && !w->failed;) {
		uint32_t len;
		size_t n;

		memcpy(&len, a->t.p + at, sizeof len);
		n = sizeof len + len;
		if (put_record(a->j, w, a->t.p + at, n, publish ? APPEND_PUBLISH : 0) < 0)
			w->failed = 1;
		at += n;
	}
	if (--w->batches)
		return 0;
	/* Nothing of it is under way, or every batch it was in failed at once. */
	if (w->s)
		w->s->uses--;
	free(w);
	spoil(a);
	return -1;
}

/* ---- life ---- */

const char *journal_trouble(const struct journal *j)
{
	if (!chan_open(j->chan)) /* also before the first one */
		return *j->trouble ? j->trouble : "the recorder is not there yet";
	return j->stuck_id ? j->trouble : NULL;
}

void journal_connect(struct journal *j, int fd)
{
	int had = j->chan != NULL;

	if (chan_open(j->chan))
		fail_all(j, "the recorder was restarted");
	chan_free(j->chan);
	j->chan = chan_new(j->base, fd, recorder_rules, ARRAY_LEN(recorder_rules), j, on_closed);
	if (!j->chan && had)
		return;
	if (j->chan)
		recovered(j);
}

void journal_stop(struct journal *j)
{
	chan_free(j->chan);
	j->chan = NULL;
	fail_all(j, "the broker is stopping");
}

struct journal *journal_new(
	struct event_base *base, unsigned deadline_ms, const struct journal_events *ev)
{
	struct journal *j = calloc(1, sizeof *j);

	if (!j)
		return NULL;
	j->base = base;
	j->ev = *ev;
	j->deadline_ms = deadline_ms;
	TAILQ_INIT(&j->sent);
	j->flush = event_new(base, -1, 0, on_flush, j);
	j->deadline = evtimer_new(base, on_deadline, j);
	if (!j->flush || !j->deadline) {
		journal_free(j);
		return NULL;
	}
	return j;
}

/* What still waits is not answered any more: the process or the test ends. */
static void drop_batch(struct batch *b)
{
	for (size_t i = 0; i < b->waits.n; i++) {
		if (--b->waits.w[i]->batches == 0)
			free(b->waits.w[i]);
	}
	free(b->waits.w);
	free(b);
}

void journal_free(struct journal *j)
{
	struct batch *b;

	if (!j)
		return;
	while ((b = TAILQ_FIRST(&j->sent))) {
		TAILQ_REMOVE(&j->sent, b, next);
		drop_batch(b);
	}
	if (j->open)
		drop_batch(j->open);
	free(j->spare);
	chan_free(j->chan);
	if (j->flush)
		event_free(j->flush);
	if (j->deadline)
		event_free(j->deadline);
	text_free(&j->making.t);
	free(j);
}
