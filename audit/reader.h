/* Reads a log's entries in order, from wherever they are now: bundles or write-ahead log; also while the
 * log grows. Used by the publisher, by the recorder for its clients, by `audit tail` and `audit show`.
 * It shows what is there and verifies nothing: that is verify's job. */
#ifndef AUDIT_READER_H
#define AUDIT_READER_H

#include <stdint.h>

#include "common/error.h"
#include "common/io.h"

struct reader;

/* logdir stays the caller's. NULL when out of memory. */
struct reader *reader_new(int logdir);
void reader_free(struct reader *r);

/* The next reader_next is for this index. */
void reader_seek(struct reader *r, uint64_t index);
uint64_t reader_index(const struct reader *r);

/* The next entry, valid until the next call: 1; 0 when there is none yet; -1 with *e filled (an entry
 * that must be there is not, or is damaged). */
int reader_next(struct reader *r, struct span *entry, struct error *e);

/* Number of entries the log has now. 0 or -1. */
int reader_size(struct reader *r, uint64_t *size, struct error *e);

#endif
