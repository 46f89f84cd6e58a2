/* Which witnesses must have signed a checkpoint: a policy in C2SP tlog-policy's format. Used by verify and
 * by whoever asks witnesses. Pure. */
#ifndef AUDIT_QUORUM_H
#define AUDIT_QUORUM_H

#include <stddef.h>
#include <stdint.h>

#include "audit/note.h"
#include "common/error.h"

#define QUORUM_WITNESSES 64u
#define QUORUM_BYTES     65536u /* of a policy */

struct quorum;

/* log <vkey> [url] · witness <name> <vkey> [url] · group <name> all|any|<k> <name>… · quorum <name>|none,
 * a line each; # begins a comment. NULL with *e filled ("line N: …"). */
struct quorum *quorum_parse(const char *text, size_t n, struct error *e);
void quorum_free(struct quorum *q);

size_t quorum_logs(const struct quorum *q);
const struct note_vkey *quorum_log(const struct quorum *q, size_t i);

struct quorum_witness {
	const char *name, *url; /* url: "" when there is none */
	const struct note_vkey *vkey;
};

size_t quorum_witnesses(const struct quorum *q);
struct quorum_witness quorum_witness(const struct quorum *q, size_t i);

struct quorum_signed { /* of one checkpoint */
	uint64_t by; /* bit i: witness i; whatever it signed twice counts once */
	uint64_t bad; /* bit i: a line by this witness that is not its signature */
	uint64_t when[QUORUM_WITNESSES]; /* seconds since 1970 */
	int met;
	uint64_t time; /* the quorum's: at that time enough had signed. 0 when it is not met */
};

void quorum_check(const struct quorum *q, const struct note *t, struct quorum_signed *out);

#endif
