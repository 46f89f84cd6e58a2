/* Publishes a log: entry bundles, tiles and signed checkpoints, as C2SP tlog-tiles lays them out. It
 * reads the leaves back from the write-ahead log and computes the tree a second time; a root that is
 * not the writer's is never signed (one flipped bit in a stored hash ended a public log in 2022).
 * Runs in a thread of its own in the recorder; shares nothing with the writer but files. */
#ifndef AUDIT_PUBLISH_H
#define AUDIT_PUBLISH_H

#include <stdint.h>

#include "audit/note.h"
#include "audit/tree.h"
#include "common/error.h"

struct publish;

/* Starts at the base: what lies behind it is published again. signer and logdir stay the caller's. NULL
 * with *e filled. */
struct publish *publish_open(int logdir, const struct note_signer *signer, struct error *e);
void publish_close(struct publish *p);

/* Publishes the first size leaves, all of them durable, of which the writer says that this is the root.
 * 0; -1 with *e filled: EBADMSG when the root differs (nothing is signed, the log must stop), else an
 * error that may pass (disk full): call again later. */
int publish_to(struct publish *p, uint64_t size, const struct tree_hash *root, struct error *e);

/* Makes full bundles and tiles durable and removes the segments whose leaves are all in them. Does
 * nothing when no segment is done. 0 or -1. */
int publish_retire(struct publish *p, struct error *e);

uint64_t publish_size(const struct publish *p);

#endif
