/* The recorder's second thread: it publishes what is durable, prepares the next segment and retires old
 * ones, so that none of this delays an acknowledgement. Started and asked by recorder.c; must never
 * touch the log's writer. */
#ifndef RECORDER_PUBLISHER_H
#define RECORDER_PUBLISHER_H

#include <stdint.h>

#include "audit/note.h"
#include "audit/tree.h"
#include "audit/wal.h"
#include "common/error.h"

struct publisher;

/* Everything given stays the caller's and must outlive the thread. wake_fd is an eventfd that gets a 1
 * when the publisher has found the log damaged. NULL with *e filled. */
struct publisher *publisher_start(int logdir, const struct note_signer *signer,
	const struct wal_config *c, int wake_fd, struct error *e);

/* Asks for a checkpoint of this size; a later request replaces one that has not begun. Never blocks. */
void publisher_ask(struct publisher *p, uint64_t size, const struct tree_hash *root);

/* The writer has left a segment: prepare another. Never blocks. */
void publisher_rotated(struct publisher *p);

/* Prepares the next segment in the calling thread: when the writer cannot go on without. 0 or -1. */
int publisher_prepare_now(struct publisher *p, struct error *e);

/* 1 and *e when what is on disk is not what was written: nothing may be appended any more. */
int publisher_found_damage(struct publisher *p, struct error *e);

/* Publishes what was asked for, ends the thread, frees it. */
void publisher_stop(struct publisher *p);

#endif
