/* Appends: takes the broker's records, makes batches of them durable, and only then answers. "No record,
 * no action" is kept here. Called by recorder.c; must never answer MSG_APPENDED for a record that is
 * not on stable storage, nor write anything after the first error. */
#ifndef RECORDER_WRITER_H
#define RECORDER_WRITER_H

#include <jansson.h>
#include <stdint.h>

#include "agentd/recorder/publisher.h"
#include "audit/record.h"
#include "audit/tlog.h"
#include "common/error.h"
#include "common/wire.h"

struct writer;

/* log may be NULL: then every append is refused with the text of why. boot: 16 hex digits. NULL when out
 * of memory. The log stays the caller's. */
struct writer *writer_new(struct tlog *log, const char *boot, const struct error *why);
void writer_free(struct writer *w);
void writer_set_publisher(struct writer *w, struct publisher *p); /* stays the caller's */

/* MSG_APPEND: checks its records and adds them to the batch, or refuses all of them. Commits by itself
 * when the batch is full. 0; -1 when the message is malformed (drop the peer). */
int writer_append(struct writer *w, const struct wire_msg *m);

/* Adds a record of the recorder's own (a reference is taken over). 0, or -1 with *e filled. */
int writer_add(struct writer *w, json_t *o, struct error *e);

/* Makes everything that was added durable and queues the answers. */
void writer_commit(struct writer *w);

/* Seals what is there although nothing came: a sign of life. Not on a full disk, whose end is for more
 * important records. */
void writer_seal(struct writer *w);

/* Sends queued answers; stops without error when the socket is full. 0, or -1: the peer is gone. */
int writer_answer(struct writer *w, int peer);
int writer_has_answers(const struct writer *w);
int writer_is_full(const struct writer *w); /* take no more appends before answering */
void writer_forget_answers(struct writer *w); /* the peer they were for is gone */

/* Ends appending for good; e is what every later append is told. */
void writer_stop(struct writer *w, const struct error *e);
int writer_stopped(const struct writer *w);

uint64_t writer_size(const struct writer *w); /* durable records */
/* 1 when a batch with APPEND_PUBLISH was committed since the last call. */
int writer_wants_publishing(struct writer *w);

#endif
