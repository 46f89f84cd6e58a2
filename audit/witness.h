/* A witness: remembers the largest checkpoint of each log that it has seen, and signs only what extends
 * it. So no log can show two histories to people who ask for the witness's signature, nor go back. The
 * decisions are those of C2SP tlog-witness; how a request comes (HTTP, SSH) is the caller's. Directory:
 *   witness.key           0600: the Ed25519 seed
 *   witness.vkey          name and public key, text
 *   logs/<hex of SHA-256 of the origin>/vkey, checkpoint, lock
 * Several processes may answer at once. */
#ifndef AUDIT_WITNESS_H
#define AUDIT_WITNESS_H

#include <stddef.h>

#include "audit/note.h"
#include "common/error.h"

#define WITNESS_REQUEST_MAX (NOTE_MAX + 64u * 64u)

struct witness;

/* Makes the key of a new witness in an empty directory. 0 or -1. */
int witness_create(int dir, const char *name, struct error *e);
/* NULL with *e filled; dir stays the caller's. */
struct witness *witness_open(int dir, struct error *e);
void witness_close(struct witness *w);
const struct note_vkey *witness_vkey(const struct witness *w);

/* From now on it signs for this log. 0 or -1 (also when it knows another key under the same origin). */
int witness_add_log(struct witness *w, const char *vkey, size_t n, struct error *e);

struct witness_answer {
	int status; /* of HTTP: 200, 400, 403, 404, 409, 422, 500 */
	size_t n;
	char body
		[1024]; /* 200: the signature line; 409: the size it knows, LF; else one line of text */
};

/* Answers an add-checkpoint request. What it signs is on stable storage before. now: seconds since 1970. */
void witness_add_checkpoint(
	struct witness *w, const char *request, size_t n, uint64_t now, struct witness_answer *out);

/* The last checkpoint it signed for an origin, as a note with the log's and its own signature; the caller
 * frees it. NULL with *e filled. */
char *witness_checkpoint(struct witness *w, const char *origin_hex, size_t *n, struct error *e);

#endif
