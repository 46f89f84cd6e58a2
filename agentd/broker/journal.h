/* Getting records into the log before anything is done: batches of records to the recorder, and who
 * waits for which. Every append is answered exactly once: durable, or not. "Not" (the recorder is
 * lost, refuses, or is silent for the deadline) is a reason to deny, never to go on.
 *
 * Also owns the counter of each session's records (n, and its epoch e; common/msg.h). */
#ifndef BROKER_JOURNAL_H
#define BROKER_JOURNAL_H

#include <event2/event.h>
#include <stddef.h>
#include <stdint.h>

#include "agentd/broker/text.h"
#include "common/msg.h"

#define JOURNAL_RECORD_MAX 61440u /* bytes: the recorder adds its own fields to it */

struct journal;
struct journal_append;

/* The counter of one session. Lives as long as appends of it are under way (see uses). */
struct journal_session {
	char id[SESSION_CAP];
	char actor[256]; /* `"a":{…},` of session.resume, or "" */
	int64_t epoch; /* 0: the first */
	int64_t next; /* the next n */
	int64_t durable; /* the last n that was durable in time; -1: none or unknown */
	int broken; /* begin a new epoch: the log may not have the last records */
	const char *why; /* of the new epoch; static */
	unsigned uses; /* appends under way */
};

/* durable: 1 when every record of the append is in the log; 0: it may not be. */
typedef void journal_done(void *ctx, int durable);

/* lost: the recorder cannot be relied on any more; everything that waits for a human is to be denied.
 * ready: a recorder is there (again). */
struct journal_events {
	void (*lost)(void *ctx, const char *why);
	void (*ready)(void *ctx);
	void *ctx;
};

struct journal *journal_new(
	struct event_base *base, unsigned deadline_ms, const struct journal_events *ev);
void journal_free(struct journal *j);

/* Answers everything that waits with "not durable" and takes no more: before journal_free. */
void journal_stop(struct journal *j);

/* A new channel to the recorder (takes fd over); the old one is dead. */
void journal_connect(struct journal *j, int fd);

/* NULL when appends are taken; else why not (static or owned by j). */
const char *journal_trouble(const struct journal *j);

/* Starts an append: all records of one decision. Only one is in the making at a time. s: its session
 * or NULL; a session that needs a new epoch gets its session.resume record here. NULL when the
 * journal has trouble or no memory: deny. */
struct journal_append *journal_begin(struct journal *j, struct journal_session *s);
/* The buffer for the next record's JSON object, keys in bytewise order, and the end of that record. */
struct text *journal_record(struct journal_append *a);
void journal_epoch(struct journal_append *a); /* writes `"e":E,`, or nothing in the first epoch */
void journal_counter(struct journal_append *a); /* writes `"n":N,` */
void journal_record_end(struct journal_append *a);
/* Sends it at the end of this turn of the loop, with others. done is called later, exactly once, never
 * from inside. publish: 0 or 1 (APPEND_PUBLISH). 0, or -1: done will not be called, deny. */
int journal_commit(struct journal_append *a, int publish, journal_done *done, void *ctx);

#endif
