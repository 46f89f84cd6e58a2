/* Batches of appends and their answers; see writer.h. */
#include "agentd/recorder/writer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/io.h"
#include "common/msg.h"

#define ANSWERS_MAX 4096u
#define RECORDS_MAX 4096u /* in one message; the smallest takes 17 bytes of its 68 KiB */
/* When no next segment can be had, the end of this one is for what denies, kills and ends. */
#define RESERVE    (1u << 20)
#define RETRY_NS   1000000000ull
#define CLOCK_STEP 1000000000 /* ns; less is the business of who adjusts the clock */

struct answer {
	uint64_t id, first;
	uint32_t count;
	int refused;
	char *why; /* owned; only of those refused */
};

struct writer {
	struct tlog *log; /* the caller's, NULL when there is none */
	struct publisher *publisher; /* the caller's, NULL at first */
	struct error dead; /* text is empty as long as appending goes on */
	char boot[17];
	int publish; /* a committed batch wants it */
	int publish_next; /* the batch wants it */
	int low; /* no next segment: said on stderr */
	/* how far the clocks are apart, ns; moves when the wall clock is set, or the machine sleeps */
	int64_t wall, asleep;
	uint64_t retry_at; /* CLOCK_MONOTONIC ns: not before that is one tried for again */
	struct error no_segment; /* why there is none */
	size_t committed,
		answers; /* answer[0..committed) may be sent; the rest waits for the commit */
	struct answer answer[ANSWERS_MAX];
	size_t records, bytes; /* of the message in hand, encoded */
	size_t len[RECORDS_MAX];
	char *encoded; /* WAL_BATCH_MAX */
};

struct writer *writer_new(struct tlog *log, const char *boot, const struct error *why)
{
	struct writer *w = calloc(1, sizeof *w);

	if (w)
		w->encoded = malloc(WAL_BATCH_MAX);
	if (!w || !w->encoded) {
		free(w);
		return NULL;
	}
	w->log = log;
	w->wall = (int64_t)(io_now_real() - io_now_boot());
	w->asleep = (int64_t)(io_now_boot() - io_now_mono());
	snprintf(w->boot, sizeof w->boot, "%s", boot);
	if (!log)
		w->dead = *why;
	return w;
}

void writer_free(struct writer *w)
{
	if (!w)
		return;
	writer_forget_answers(w);
	free(w->encoded);
	free(w);
}

void writer_set_publisher(struct writer *w, struct publisher *p)
{
	w->publisher = p;
}

void writer_stop(struct writer *w, const struct error *e)
{
	if (*w->dead.text)
		return;
	w->dead = *e;
	fprintf(stderr, "recorder: %s; every append is refused from now on\n", e->text);
}

int writer_stopped(const struct writer *w)
{
	return *w->dead.text != 0;
}

/* The log's integers end there: some 104 days in ns. */
static json_int_t clamp_int(int64_t ns)
{
	const int64_t most = ((int64_t)1 << 53) - 1;

	return ns > most ? most : ns < -most ? -most : ns;
}

static struct record_stamp now(const struct writer *w)
{
	struct record_stamp s = {.real_ns = io_now_real(), .boot_us = io_now_boot() / 1000};

	memcpy(s.boot, w->boot, sizeof s.boot);
	return s;
}

/* ---- room ---- */

static int rotate(struct writer *w, struct error *e)
{
	if (wal_rotate(tlog_wal(w->log), e) < 0) {
		if (e->code != ENOENT)
			writer_stop(w, e);
		return -1;
	}
	w->low = 0;
	if (w->publisher)
		publisher_rotated(w->publisher);
	return 0;
}

/* Between batches: goes on in the next segment when it is time and one is ready. */
static void rotate_if_due(struct writer *w)
{
	struct error e;

	if (wal_rotation_due(tlog_wal(w->log)))
		(void)rotate(w, &e);
}

/* Goes on in the next segment now, preparing it when it is not there. On a full disk that is hard work
 * for nothing, so it is tried once a second. 0 or -1. */
static int next_segment(struct writer *w, struct error *e)
{
	uint64_t now_ns = io_now_mono();

	if (!wal_is_prepared(tlog_logdir(w->log))) {
		if (now_ns < w->retry_at) {
			*e = w->no_segment;
			return -1;
		}
		w->retry_at = now_ns + RETRY_NS;
		if (!w->publisher)
			return error_set(e, 0, "the next segment of the audit log is not ready");
		if (publisher_prepare_now(w->publisher, e) < 0) {
			w->no_segment = *e;
			if (!w->low)
				fprintf(stderr,
					"recorder: %s; the last segment is kept for denials, kills "
					"and ends\n",
					e->text);
			w->low = 1;
			return -1;
		}
	}
	return rotate(w, e);
}

/* Makes room for a message of this size, at the price of waiting for a segment to be prepared. */
static int make_room(struct writer *w, size_t need, int essential, struct error *e)
{
	uint64_t want = need + (essential ? 0 : RESERVE);

	if (tlog_room(w->log) >= want)
		return 0;
	writer_commit(w); /* a full batch, or the end of the segment */
	if (writer_stopped(w)) {
		*e = w->dead;
		return -1;
	}
	if (tlog_room(w->log) >= want)
		return 0;
	if (next_segment(w, e) == 0)
		return 0;
	if (writer_stopped(w)) {
		*e = w->dead;
		return -1;
	}
	if (essential && tlog_room(w->log) >= need)
		return 0;
	return error_prefix(e, "the audit log has no room left");
}

/* ---- records ---- */

/* Encodes one more record of the message in hand. */
static int encode(struct writer *w, const char *json, size_t n, int *essential, struct error *e)
{
	struct record_stamp when = now(w);
	char *to = w->encoded + w->bytes;
	size_t len;
	int needed = 0;

	if (w->records == RECORDS_MAX || WAL_BATCH_MAX - w->bytes < ENTRY_MAX)
		return error_set(e, 0, "too many records in one append");
	len = record_encode(
		json, n, RECORD_FROM_BROKER, tlog_next(w->log) + w->records, &when, to, &needed, e);
	if (len == 0)
		return -1;
	*essential &= needed;
	w->len[w->records++] = len;
	w->bytes += len;
	return 0;
}

static size_t frames_size(const struct writer *w)
{
	size_t n = 0;

	for (size_t i = 0; i < w->records; i++)
		n += wal_frame_size(w->len[i]);
	return n;
}

static int stage_all(struct writer *w, struct error *e)
{
	const char *p = w->encoded;

	for (size_t i = 0; i < w->records; i++) {
		if (tlog_stage(w->log, p, w->len[i]) < 0)
			return error_set(e, 0, "the audit log has no room left");
		p += w->len[i];
	}
	return 0;
}

static int add_encoded(struct writer *w, int essential, struct error *e)
{
	if (tlog_staged(w->log) == 0)
		rotate_if_due(w);
	if (writer_stopped(w)) {
		*e = w->dead;
		return -1;
	}
	if (make_room(w, frames_size(w), essential, e) < 0)
		return -1;
	if (stage_all(w, e) < 0) {
		writer_stop(w, e); /* cannot happen; half a message must not be committed */
		return -1;
	}
	return 0;
}

/* Takes the reference over. */
static int add(struct writer *w, json_t *o, struct error *e)
{
	struct record_stamp when = now(w);
	int essential = 0, r = -1;
	size_t n = 0;

	if (writer_stopped(w))
		*e = w->dead;
	else if (o)
		n = record_encode_object(o, RECORD_FROM_RECORDER, tlog_next(w->log), &when,
			w->encoded, &essential, e);
	else
		error_set(e, ENOMEM, "cannot make a record");
	json_decref(o);
	if (n) {
		w->records = 1;
		w->len[0] = n;
		r = add_encoded(w, 1, e);
	}
	return r;
}

/* ---- the clock ---- */

/* The wall clock is not to be believed alone: what was done to it is a record. */
static void note_clock(struct writer *w)
{
	int64_t wall = (int64_t)(io_now_real() - io_now_boot());
	int64_t asleep = (int64_t)(io_now_boot() - io_now_mono());
	int64_t set = wall - w->wall, slept = asleep - w->asleep;
	int64_t behind = (int64_t)(tlog_sealed_at(w->log) - io_now_real());
	json_t *o;
	struct error e;

	w->wall = wall;
	w->asleep = asleep;
	if (set > -CLOCK_STEP && behind > CLOCK_STEP)
		set = -behind; /* it was set while the recorder did not run */
	if (set > -CLOCK_STEP && set < CLOCK_STEP && slept < CLOCK_STEP)
		return;
	o = json_pack("{s:s}", "k", "clock");
	if (set <= -CLOCK_STEP || set >= CLOCK_STEP)
		json_object_set_new(o, "set_ns", json_integer(clamp_int(set)));
	if (slept >= CLOCK_STEP)
		json_object_set_new(o, "slept_ns", json_integer(clamp_int(slept)));
	if (add(w, o, &e) == 0 && (set <= -CLOCK_STEP || set >= CLOCK_STEP))
		tlog_clock_was_set(w->log);
}

int writer_add(struct writer *w, json_t *o, struct error *e)
{
	if (!writer_stopped(w))
		note_clock(w);
	return add(w, o, e);
}

/* ---- messages ---- */

static void queue(struct writer *w, const struct wire_msg *m, uint64_t first, const struct error *e)
{
	struct answer *a = &w->answer[w->answers++];

	*a = (struct answer){.id = m->h.id, .first = first, .count = (uint32_t)w->records};
	if (e) {
		a->refused = 1;
		a->why = strdup(e->text);
	}
}

/* Encodes all records of a message. 0; -1 when one is refused; -2 when the message is malformed. */
static int encode_all(struct writer *w, const struct wire_msg *m, int *essential, struct error *e)
{
	size_t at = sizeof(uint32_t);

	w->records = w->bytes = 0;
	*essential = 1;
	while (at < m->h.len) {
		uint32_t n;

		if (m->h.len - at < sizeof n)
			return -2;
		memcpy(&n, m->payload + at, sizeof n);
		at += sizeof n;
		if (n > m->h.len - at)
			return -2;
		if (encode(w, (const char *)m->payload + at, n, essential, e) < 0)
			return -1;
		at += n;
	}
	return w->records ? 0 : -2;
}

int writer_append(struct writer *w, const struct wire_msg *m)
{
	struct error e = w->dead;
	uint32_t flags = 0;
	uint64_t first;
	int r = -1, essential = 0;

	memcpy(&flags, m->payload, sizeof flags);
	if (flags & ~APPEND_PUBLISH)
		return -1;
	if (!writer_stopped(w))
		note_clock(w);
	if (!writer_stopped(w)) {
		r = encode_all(w, m, &essential, &e);
		if (r == -2)
			return -1;
	}
	first = r == 0 ? tlog_next(w->log) : 0;
	if (r == 0)
		r = add_encoded(w, essential, &e);
	if (r == 0)
		w->publish_next |= (flags & APPEND_PUBLISH) != 0;
	queue(w, m, first, r < 0 ? &e : NULL);
	return 0;
}

static void refuse_uncommitted(struct writer *w)
{
	for (size_t i = w->committed; i < w->answers; i++) {
		struct answer *a = &w->answer[i];

		if (!a->refused)
			a->why = strdup(w->dead.text);
		a->refused = 1;
	}
}

void writer_seal(struct writer *w)
{
	struct error e;

	if (!w->log || writer_stopped(w) || tlog_staged(w->log))
		return;
	rotate_if_due(w);
	if (!writer_stopped(w))
		note_clock(w);
	if (!writer_stopped(w) && tlog_room(w->log) > RESERVE && tlog_seal(w->log, &e) < 0)
		writer_stop(w, &e);
}

void writer_commit(struct writer *w)
{
	struct error e;

	if (w->log && !writer_stopped(w) && tlog_staged(w->log) && tlog_commit(w->log, &e) < 0)
		writer_stop(w, &e);
	if (writer_stopped(w))
		refuse_uncommitted(w);
	else
		w->publish |= w->publish_next;
	w->publish_next = 0;
	w->committed = w->answers;
}

/* ---- answers ---- */

static int send_answer(int peer, const struct answer *a)
{
	struct msg_appended ok = {.first = a->first, .count = a->count};
	struct msg_refuse no = {.text = "out of memory"};

	if (!a->refused)
		return wire_send(peer, MSG_APPENDED, a->id, &ok, sizeof ok, NULL, 0);
	if (a->why)
		snprintf(no.text, sizeof no.text, "not recorded: %s", a->why);
	return wire_send(peer, MSG_APPEND_REFUSED, a->id, &no, sizeof no, NULL, 0);
}

static void drop_first(struct writer *w, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(w->answer[i].why);
	memmove(w->answer, w->answer + n, (w->answers - n) * sizeof *w->answer);
	w->answers -= n;
	w->committed -= n;
}

int writer_answer(struct writer *w, int peer)
{
	size_t sent = 0;
	int r = 0;

	while (sent < w->committed && r == 0) {
		r = send_answer(peer, &w->answer[sent]);
		if (r == 0)
			sent++;
	}
	if (r < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS))
		r = 0;
	drop_first(w, sent);
	return r;
}

int writer_has_answers(const struct writer *w)
{
	return w->committed > 0;
}

int writer_is_full(const struct writer *w)
{
	return w->answers == ANSWERS_MAX;
}

void writer_forget_answers(struct writer *w)
{
	for (size_t i = 0; i < w->answers; i++)
		free(w->answer[i].why);
	w->answers = w->committed = 0;
}

uint64_t writer_size(const struct writer *w)
{
	return w->log ? tlog_size(w->log) : 0;
}

int writer_wants_publishing(struct writer *w)
{
	int want = w->publish;

	w->publish = 0;
	return want;
}
