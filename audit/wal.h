/* The write-ahead log: where a record becomes durable. A segment is a file that was allocated and
 * filled with zeroes before its first use, so that a commit is one pwrite(2) and one fdatasync(2) that
 * changes no metadata and needs no free disk space. Used by the log's writer (tlog.c), the publisher and
 * readers. Knows leaves as bytes only.
 *
 *   wal/<first index, 20 digits>.wal   in use; header, then batches of frames, then zeroes
 *   wal/next                           the next one, ready
 *
 * header, 64 bytes: "agentd-wal-v1\n\0\0", SHA-256 of the origin, u32 crc32c of these, zeroes.
 * frame, 24 bytes and the leaf, padded with zeroes to 8: u8 type (1), u8 flags (1: last of its batch),
 * u16 length, u32 crc32c (of the rest of the frame and the leaf), u64 index, u64 index of its batch's
 * first leaf. Little-endian.
 *
 * Recovery rule: a batch counts only when all its frames are whole. A batch is written after the one
 * before it was durable; so a bad batch with a good one behind it was not torn by a crash but damaged,
 * and the log must not be continued. A bad batch at the very end was never acknowledged. */
#ifndef AUDIT_WAL_H
#define AUDIT_WAL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/error.h"
#include "common/io.h"

#define WAL_BATCH_MAX     (4u << 20) /* bytes of one batch in the file */
#define WAL_HEADER        64u
#define WAL_FRAME         24u
#define WAL_SEGMENT_BYTES (32u << 20)
#define WAL_SEGMENT_MAX   (256u << 20) /* one that is larger is not read */
#define WAL_SEGMENTS_MAX  4096u

struct wal_ops { /* the two calls that tests make fail */
	ssize_t (*pwrite)(int fd, const void *buf, size_t n, off_t at);
	int (*fdatasync)(int fd);
};

struct wal_config {
	uint64_t segment_bytes; /* 0: WAL_SEGMENT_BYTES */
	uint64_t segment_leaves; /* a segment is left after so many; 0: 65536 */
	struct wal_ops ops; /* NULL members: the system's */
	unsigned char log_id[32]; /* SHA-256 of the origin */
};

/* Bytes that a leaf of n bytes takes. */
size_t wal_frame_size(size_t n);

/* Makes wal/next when it is not there: zeroes, header, fsync of file and directory. May run in another
 * thread than the writer's, but only one at a time. 0 or -1. */
int wal_prepare(int logdir, const struct wal_config *c, struct error *e);
int wal_is_prepared(int logdir);

/* The segments in use, ascending by first index; at most WAL_SEGMENTS_MAX. The number, or -1. */
int wal_list(int logdir, uint64_t *first, size_t cap, struct error *e);
int wal_exists(int logdir, uint64_t first); /* 1 when there is a segment with this first index */
int wal_remove(int logdir, uint64_t first, struct error *e);

/* ---- reading ---- */

enum wal_found {
	WAL_LEAF = 1,
	WAL_END = 0, /* no more whole batches; wal_scan_next may find more later in a live log */
	WAL_TORN =
		-1, /* the bytes behind the last whole batch are neither zero nor a whole batch */
	WAL_ERROR = -2, /* cannot be read at all */
};

struct wal_scan;

/* Opens the segment whose first leaf has this index and checks its header. log_id may be NULL. NULL with
 * *e filled. */
struct wal_scan *wal_scan_open(
	int logdir, uint64_t first, const unsigned char log_id[32], struct error *e);
void wal_scan_close(struct wal_scan *s);
/* The next leaf of a whole batch. *leaf is valid until the next call. enum wal_found. */
int wal_scan_next(struct wal_scan *s, uint64_t *index, struct span *leaf, struct error *e);
uint64_t wal_scan_index(const struct wal_scan *s); /* of the leaf that comes next */
uint64_t wal_scan_first(const struct wal_scan *s); /* of the segment's first leaf */

struct wal_tail { /* what lies behind the last whole batch */
	uint64_t offset; /* where the writer goes on */
	uint64_t batch_at; /* where the last whole batch begins; offset when there is none */
	uint64_t bytes; /* from there to the last byte that is not zero */
	uint64_t frames; /* whole frames in it */
	unsigned char sha256[32]; /* of those bytes */
	int damaged; /* a whole frame of a later batch is in it: not a torn write */
};

/* Examines the rest of the segment after wal_scan_next said WAL_END or WAL_TORN. 0 or -1. */
int wal_scan_tail(struct wal_scan *s, struct wal_tail *out, struct error *e);

/* ---- writing ---- */

struct wal;

/* Continues a segment at its tail; next is the index of the leaf that comes there. The last whole batch
 * is written once more and synced, because the process that wrote it may have died before its
 * fdatasync, or of it. NULL with *e filled; logdir stays the caller's. */
struct wal *wal_open(int logdir, const struct wal_config *c, uint64_t first,
	const struct wal_tail *tail, uint64_t next, struct error *e);
void wal_close(struct wal *w);

/* Copies the tail's bytes to the file `to` (fsynced), then zeroes them (durable). 0 or -1. */
int wal_quarantine(struct wal *w, const struct wal_tail *t, const char *to, struct error *e);

/* 1 when the segment should be left for the next one (and no batch is begun). */
int wal_rotation_due(const struct wal *w);
/* Goes on in wal/next. 0, or -1 (ENOENT: it is not prepared) and nothing has changed. */
int wal_rotate(struct wal *w, struct error *e);

/* Bytes that one more batch may take in this segment, after what is staged. */
uint64_t wal_room(const struct wal *w);
/* Adds a leaf to the batch. 0, or -1 when there is no room for it in segment or batch. */
int wal_stage(struct wal *w, const void *leaf, size_t n);
size_t wal_staged(const struct wal *w); /* leaves in the batch */
uint64_t wal_next(const struct wal *w); /* index that the next staged leaf gets */

/* Makes the batch durable: one write, one fdatasync. 0, or -1: from then on the writer is dead and
 * every call fails; what was written is decided by recovery (fsync errors cannot be retried, see
 * wiki.postgresql.org/wiki/Fsync_Errors). */
int wal_commit(struct wal *w, struct error *e);

#endif
