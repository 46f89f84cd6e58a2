/* Verify's level 2: follows the chain of seals through the records, one after another. Pure. */
#ifndef AUDIT_SEALWATCH_H
#define AUDIT_SEALWATCH_H

#include <jansson.h>
#include <stdint.h>

#include "audit/seal.h"
#include "audit/tree.h"
#include "common/error.h"
#include "common/io.h"

#define SEALWATCH_BEAT_NS (150 * 1000000000ull) /* seals of one run are not further apart */

enum sealwatch_fault { SEALWATCH_BAD = 1, SEALWATCH_BACKDATED, SEALWATCH_SILENT };

struct sealwatch {
	struct seal_chain chain;
	int unknown; /* the key of the first seal is not known: seals are counted, not checked */
	int broken; /* a seal was bad, or records are missing: the rest cannot be checked */
	int from_genesis; /* begun by the genesis record, so times are checked */
	uint64_t seals; /* seen */
	uint64_t sealed; /* records [0, x) that good seals cover, the seals themselves included */
	uint64_t silences,
		silence_ns; /* places where the log was not sealed for too long; the longest */
	/* since the last seal */
	uint64_t least_ns, most_ns; /* times of its records */
	int clock, pause; /* a record says that the clock was set; that the recorder did not run */
};

/* seal_vkey: the pinned key of the first seal; NULL: the genesis record's. */
void sealwatch_begin(struct sealwatch *w, const char *origin, const char *seal_vkey);

/* The record at index; entry is its bytes, before the tree in front of it. 0, or a fault with what is wrong
 * in *e (SILENT is a warning). */
int sealwatch_record(struct sealwatch *w, const json_t *record, struct span entry, uint64_t index,
	const struct tree *before, struct error *e);

/* A record is not there: nothing behind it can be checked. */
void sealwatch_missing(struct sealwatch *w);

#endif
