/* The log as its one writer has it: creation, the single-writer lock, recovery after a crash, appending
 * with group commit. Called by the recorder role and by tests; knows nothing of daemons. Files:
 *   origin, log.vkey     name and public key, text
 *   keys/log.key         0600: the Ed25519 seed, 32 bytes
 *   lock                 held (OFD lock) by the writer
 *   keys/seal.slots      0600: the keys of the seals to come, see sealer.h
 *   wal/                 write-ahead log and base, see wal.h and base.h
 *   checkpoint, tile/    published, see publish.h; the write-ahead log is the truth, these can be made
 *                        again as long as it has the entries
 *   quarantine/, tmp/    torn ends of crashes; files that are being written */
#ifndef AUDIT_TLOG_H
#define AUDIT_TLOG_H

#include <stddef.h>
#include <stdint.h>

#include "audit/note.h"
#include "audit/record.h"
#include "audit/tree.h"
#include "audit/wal.h"
#include "common/error.h"

/* 1 when the directory holds a log or any trace of one, 0 when it is empty or holds only what a creation
 * that did not finish has left, -1 with *e filled. */
int tlog_exists(int logdir, struct error *e);

/* Makes a new log in a directory of which tlog_exists says 0: key, random origin, first segment with the
 * genesis record. Durable when it returns 0; after a crash tlog_exists says 0 again. c->log_id is set. */
int tlog_create(int logdir, struct wal_config *c, const struct record_stamp *when, struct error *e);

struct tlog_recovery { /* what opening found that is worth a record */
	uint64_t torn_bytes; /* moved to quarantine/; 0: the log ended cleanly */
	uint64_t torn_frames; /* whole frames in them, none of which was acknowledged */
	unsigned char torn_sha256[32];
	char torn_file[64]; /* path below the log's directory */
	int checkpoint_lost; /* the published checkpoint is missing or torn and will be made again */
};

struct tlog;

/* Takes the lock and recovers. Fails, and changes nothing, when there is no log (ENOENT), another writer
 * has it (EWOULDBLOCK), or the log is damaged or shorter than what was signed (EBADMSG). c->log_id is set.
 * NULL with *e filled; logdir stays the caller's. */
struct tlog *tlog_open(
	int logdir, struct wal_config *c, struct tlog_recovery *found, struct error *e);
void tlog_close(struct tlog *t);

/* Adds a record to the batch; tlog_next is the index it gets. 0, or -1 when the batch or the segment is
 * full: commit, and rotate when it is due. */
int tlog_stage(struct tlog *t, const void *record, size_t n);
uint64_t tlog_next(const struct tlog *t);
size_t tlog_staged(const struct tlog *t);

/* Bytes of frames (wal_frame_size) that the batch can still take: the rest of it is for its seal. */
uint64_t tlog_room(const struct tlog *t);

/* Seals the batch and makes it durable. 0, or -1: final, nothing can be appended any more. */
int tlog_commit(struct tlog *t, struct error *e);
/* The same when there is nothing in it: a sign of life. */
int tlog_seal(struct tlog *t, struct error *e);

/* A record of the batch says that the clock was set: its seal may be older than the one before. */
void tlog_clock_was_set(struct tlog *t);
uint64_t tlog_sealed_at(const struct tlog *t); /* time of the last seal, ns since 1970 */

uint64_t tlog_size(const struct tlog *t); /* durable records */
void tlog_root(const struct tlog *t, struct tree_hash *out); /* of the durable records */

/* See wal.h; for when and how to go on in the next segment. */
struct wal *tlog_wal(struct tlog *t);
struct sealer *tlog_sealer(struct tlog *t);
const struct note_signer *tlog_signer(const struct tlog *t);
int tlog_logdir(const struct tlog *t);
const char *tlog_origin(const struct tlog *t);

#endif
