/* Verifying a log's directory: everything is recomputed from the entries; no stored hash is believed.
 * Used by `agentctl audit verify` and by tests; needs no daemon, may run beside one. Reads entry after
 * entry in bounded memory, whatever the files claim. */
#ifndef AUDIT_VERIFY_H
#define AUDIT_VERIFY_H

#include <stdint.h>

#include "audit/note.h"
#include "audit/order.h"
#include "audit/quorum.h"
#include "audit/tree.h"
#include "common/error.h"

enum verify_result { /* as exit codes: specs of the log, section 3.10 */
	VERIFY_OK = 0,
	VERIFY_TAMPERED = 1,
	VERIFY_UNDECIDED = 3, /* something needed is missing */
	VERIFY_WARNINGS = 4, /* intact, but */
};

struct verify_finding {
	enum verify_result result;
	char kind
		[24]; /* ENTRY, TILE, BUNDLE, CHECKPOINT, KEY, RECORD, MISSING, WAL, GAP, ORPHAN, … */
	uint64_t index; /* of the first record concerned; UINT64_MAX: none */
	char text[320]; /* may quote untrusted bytes */
};

#define VERIFY_FINDINGS 32u

struct verify_report {
	enum verify_result result;
	char origin[NOTE_NAME_MAX + 1]; /* of the checkpoint, "" without one */
	char vkey[NOTE_VKEY_MAX]; /* the key that was used, "" without one */
	int key_pinned; /* it was given, not taken from the directory */
	int has_checkpoint, signature_ok;
	uint64_t size; /* of the checkpoint */
	struct tree_hash root; /* of the checkpoint */
	uint64_t entries; /* records that were read and hashed, the unsigned tail included */
	uint64_t structure_prefix; /* records [0, x) that are intact as far as the tree tells */
	uint64_t signed_prefix; /* records [0, x) that a log signature covers */
	uint64_t tail; /* records behind the checkpoint, only in the write-ahead log */
	int live; /* a recorder is writing this log now */
	int has_bad;
	uint64_t first_bad; /* first bad leaf; has_bad */
	uint64_t bad_end; /* it is in [first_bad, bad_end) */
	uint64_t seals; /* there */
	uint64_t sealed_prefix; /* records [0, x) that the chain of seals covers */
	int seals_checked; /* the key of the first seal was known */
	uint64_t sealed_ns; /* time of the last good seal, ns since 1970; 0: none */
	uint64_t clocks; /* times that the clock was set */
	uint64_t cosignatures; /* under the checkpoint; checked when there is a quorum */
	int quorum_asked;
	uint64_t witnessed_prefix; /* records [0, x) that a quorum of witnesses has signed for */
	uint64_t witnessed_time; /* when, in seconds since 1970 */
	unsigned witnesses; /* that have signed for it */
	unsigned known, known_held; /* earlier checkpoints that were given; that the log extends */
	uint64_t boots, recoveries, quarantined_bytes;
	struct order_result order;
	char first_time[40], last_time[40]; /* as the records say */
	uint64_t nfindings; /* all of them; the first few of each kind are kept */
	uint32_t kept;
	struct verify_finding finding[VERIFY_FINDINGS];
};

struct verify_known { /* a checkpoint that somebody has kept */
	const char *label; /* for messages */
	uint64_t size;
	struct tree_hash root;
};

struct verify_options { /* all zero: nothing is pinned, nobody else is believed */
	const struct note_vkey
		*key; /* the log's public key; NULL: DIR/log.vkey, which an attacker could have
					replaced with everything else */
	const char *seal_vkey; /* the key of the first seal as text; NULL: the genesis record's */
	const struct quorum
		*quorum; /* who must have signed the checkpoint, or DIR/cosigned; NULL: nobody */
	const struct verify_known *known;
	size_t nknown;
};

/* Always fills the report; the result is in it. */
void verify_dir(int logdir, const struct verify_options *options, struct verify_report *out);

/* The file in a log's directory that holds the newest checkpoint with cosignatures. */
#define VERIFY_COSIGNED "cosigned"

#endif
